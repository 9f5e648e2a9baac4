-- What organisations may have. A figure that is null is no limit of the plan's own. The figures are the operator's: an
-- UPDATE of this table counts from then on. A name is in capitals, which keeps `auto` and `none` free for the setting.
CREATE TABLE plans (
    name            text PRIMARY KEY CHECK (name ~ '^[A-Z][A-Z0-9_]{0,30}$'),
    max_monitors    integer CHECK (max_monitors >= 0),
    min_interval_s  integer CHECK (min_interval_s BETWEEN 1 AND 86400),
    retention_days  integer CHECK (retention_days >= 1),
    max_contacts    integer CHECK (max_contacts >= 0),
    -- Members and open invitations.
    max_seats       integer CHECK (max_seats >= 1),
    -- Calls a second with each credential.
    rpc_rate        double precision CHECK (rpc_rate > 0),
    -- Whether new organisations get it: written at each start, as MONITORD_DEFAULT_PLAN says.
    is_default      boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX plans_default ON plans (is_default) WHERE is_default;
INSERT INTO plans (name, max_monitors, min_interval_s, retention_days, max_contacts, max_seats, rpc_rate) VALUES
    ('FREE', 10, 60, 7, 3, 1, 10),
    ('PRO', 50, 30, 90, 20, 3, 50),
    ('TEAM', 250, 10, 365, 100, 20, 200);

-- A default of the column, so that none of the statements that make organisations can forget it. Organisations that are
-- there already keep having none.
CREATE FUNCTION default_plan() RETURNS text LANGUAGE sql STABLE RETURN (SELECT name FROM plans WHERE is_default);
ALTER TABLE organisations ADD COLUMN plan text REFERENCES plans ON UPDATE CASCADE;
ALTER TABLE organisations ALTER COLUMN plan SET DEFAULT default_plan();
CREATE INDEX organisations_plan ON organisations (plan);

-- The place for payment: what is paid for, as whoever takes the money tells it. Nothing writes it yet. `users` keeps who
-- that is in user_profile.stripe_id.
CREATE TABLE subscriptions (
    org_id                  bigint NOT NULL REFERENCES organisations ON DELETE CASCADE,
    id                      bigint GENERATED ALWAYS AS IDENTITY,
    plan                    text NOT NULL REFERENCES plans ON UPDATE CASCADE,
    -- The words of Stripe.
    status                  text NOT NULL CHECK (status IN ('incomplete', 'incomplete_expired', 'trialing', 'active',
                                                            'past_due', 'canceled', 'unpaid', 'paused')),
    stripe_subscription_id  text,
    current_period_end      timestamptz,
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id)
);
CREATE UNIQUE INDEX subscriptions_active ON subscriptions (org_id) WHERE status IN ('trialing', 'active', 'past_due');
CREATE UNIQUE INDEX subscriptions_stripe ON subscriptions (stripe_subscription_id);
CREATE INDEX subscriptions_plan ON subscriptions (plan);

-- As shards.kept_from, for organisations whose plan keeps the log for less long than the operator does (I15).
CREATE TABLE log_floors (
    org_id     bigint NOT NULL REFERENCES organisations ON DELETE CASCADE,
    shard      smallint NOT NULL,
    kept_from  bigint NOT NULL,
    PRIMARY KEY (org_id, shard)
);
