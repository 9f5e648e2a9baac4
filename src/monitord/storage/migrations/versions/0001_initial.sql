-- Every row that a user owns carries its organisation, and stands first in the keys of the hot tables, so that they
-- could be distributed by it without a change of meaning.

CREATE TABLE organisations (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    personal    boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id          bigint NOT NULL REFERENCES organisations,
    email           text NOT NULL,
    fullname        text NOT NULL DEFAULT '',
    provider        text NOT NULL DEFAULT 'password',
    role            text NOT NULL DEFAULT 'USER' CHECK (role IN ('ADMIN', 'USER')),
    password_hash   text,
    -- Grows when every session has to end: a new password, a logout everywhere.
    session_version integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_org ON users (org_id);

CREATE TABLE user_profile (
    user_id     bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    bio         text NOT NULL DEFAULT '',
    is_premium  boolean NOT NULL DEFAULT false,
    stripe_id   text
);

CREATE TABLE sessions (
    id            uuid PRIMARY KEY,
    user_id       bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    -- SHA-256 of the refresh token that is valid now; an older one that comes back ends the session.
    refresh_hash  bytea NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    ended_at      timestamptz
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE api_keys (
    id            text PRIMARY KEY,
    org_id        bigint NOT NULL REFERENCES organisations,
    user_id       bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    display_name  text NOT NULL,
    scope         text NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
    secret_hash   bytea NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    last_used_at  timestamptz,
    revoked_at    timestamptz
);
CREATE INDEX api_keys_org ON api_keys (org_id, created_at DESC, id);
CREATE INDEX api_keys_user ON api_keys (user_id);

-- Answers to calls with a request_id, kept for 24 hours (I14). The answer is sealed with a key derived from the
-- request_id, which is not stored: whoever reads this table learns no secret of an answer.
CREATE TABLE request_ids (
    org_id        bigint NOT NULL REFERENCES organisations ON DELETE CASCADE,
    id_hash       bytea NOT NULL,
    method        text NOT NULL,
    request_hash  bytea NOT NULL,
    answer        bytea NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id_hash)
);
CREATE INDEX request_ids_created ON request_ids (created_at);

-- Who may write, and where the log stands (I7, I15). Every batch of rows adds to `position` in its own transaction:
-- the row's lock makes the order of positions the order of commits, so a reader that has seen position n has seen all
-- before it; and a batch whose epoch is not the stored one, from a process that was replaced, fails.
CREATE TABLE shards (
    id        smallint PRIMARY KEY,
    owner     uuid,
    epoch     bigint NOT NULL DEFAULT 0,
    position  bigint NOT NULL DEFAULT 0,
    -- Rows before this position may have been dropped, being older than the retention: what a tail that comes back with
    -- an older cursor is told (I15).
    kept_from bigint NOT NULL DEFAULT 1
);
INSERT INTO shards (id) VALUES (0);

CREATE TABLE monitors (
    org_id              bigint NOT NULL REFERENCES organisations,
    id                  bigint GENERATED ALWAYS AS IDENTITY,
    shard               smallint NOT NULL DEFAULT 0 REFERENCES shards,
    -- By code points, whatever the database's own order is: pages by name depend on it.
    name                text COLLATE "C" NOT NULL,
    labels              jsonb NOT NULL DEFAULT '{}',
    type                text NOT NULL,
    -- The kind's own settings, without secrets; `secrets` holds those, sealed.
    config              jsonb NOT NULL,
    secrets             bytea,
    interval_s          integer NOT NULL,
    timeout_ms          integer NOT NULL,
    failure_threshold   smallint NOT NULL,
    success_threshold   smallint NOT NULL,
    recheck_interval_s  integer NOT NULL,
    is_active           boolean NOT NULL,
    version             bigint NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id)
);
CREATE UNIQUE INDEX monitors_name ON monitors (org_id, name);
CREATE INDEX monitors_labels ON monitors USING gin (labels jsonb_path_ops);
CREATE INDEX monitors_shard ON monitors (shard);
-- What the engine reads: every active monitor's version, and some by id, whoever owns them.
CREATE INDEX monitors_id ON monitors (id) INCLUDE (version, is_active);

-- When which grid of slots held: what the audit of unchecked slots compares the log with (I5). A pause is the absence
-- of a row. Spans are [valid_from, valid_until).
CREATE TABLE monitor_schedules (
    org_id       bigint NOT NULL,
    monitor_id   bigint NOT NULL,
    valid_from   timestamptz NOT NULL,
    valid_until  timestamptz,
    interval_s   integer NOT NULL,
    PRIMARY KEY (org_id, monitor_id, valid_from),
    FOREIGN KEY (org_id, monitor_id) REFERENCES monitors ON DELETE CASCADE
);
CREATE UNIQUE INDEX monitor_schedules_current ON monitor_schedules (org_id, monitor_id) WHERE valid_until IS NULL;

-- The fold of a monitor's results as it stands: written when it changes in a way that matters, not with each check.
CREATE TABLE monitor_states (
    org_id           bigint NOT NULL,
    monitor_id       bigint NOT NULL,
    status           smallint NOT NULL,
    since            timestamptz NOT NULL,
    down_streak      smallint NOT NULL DEFAULT 0,
    degraded_streak  smallint NOT NULL DEFAULT 0,
    alive_streak     smallint NOT NULL DEFAULT 0,
    up_streak        smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (org_id, monitor_id),
    FOREIGN KEY (org_id, monitor_id) REFERENCES monitors ON DELETE CASCADE
) WITH (fillfactor = 80);
CREATE INDEX monitor_states_status ON monitor_states (org_id, status);

-- The check log. Partitioned by day and retired by dropping partitions. Written by COPY alone, in batches.
CREATE TABLE monitor_logs (
    org_id            bigint NOT NULL,
    monitor_id        bigint NOT NULL,
    seq               bigint NOT NULL,
    position          bigint NOT NULL,
    shard             smallint NOT NULL,
    -- See domain/check.py for the numbers of `trigger` and `verdict`.
    trigger           smallint NOT NULL,
    verdict           smallint,
    counted           boolean NOT NULL,
    monitor_version   bigint NOT NULL,
    scheduled_at      timestamptz NOT NULL,
    -- When the check began; for a gap, when it was recorded.
    checked_at        timestamptz NOT NULL,
    gap_until         timestamptz,
    category          text,
    message           text,
    status_code       smallint,
    response_time     real,
    dns_ms            real,
    connect_ms        real,
    tls_ms            real,
    ttfb_ms           real,
    transfer_ms       real,
    dns_ok            boolean,
    ssl_ok            boolean,
    content_ok        boolean,
    address           text,
    cert_expires_at   timestamptz,
    bytes_received    integer,
    redirects         smallint,
    screenshot_url    text,
    PRIMARY KEY (org_id, monitor_id, seq, checked_at)
) PARTITION BY RANGE (checked_at);
CREATE INDEX monitor_logs_feed ON monitor_logs (org_id, shard, position);
-- Rows lie in the order of their commits, which is nearly that of their time: a small index finds a moment.
CREATE INDEX monitor_logs_time ON monitor_logs USING brin (checked_at)
    WITH (autosummarize = on, pages_per_range = 64);
-- Catches what no day's partition is there for, should the clock be far off; empty in good health.
CREATE TABLE monitor_logs_default PARTITION OF monitor_logs DEFAULT;

-- What explains a verdict that is not UP: msgpack of domain.check.Evidence.
CREATE TABLE check_evidence (
    org_id      bigint NOT NULL,
    monitor_id  bigint NOT NULL,
    seq         bigint NOT NULL,
    checked_at  timestamptz NOT NULL,
    evidence    bytea NOT NULL,
    PRIMARY KEY (org_id, monitor_id, seq, checked_at)
) PARTITION BY RANGE (checked_at);
CREATE TABLE check_evidence_default PARTITION OF check_evidence DEFAULT;

-- Monitors that are gone, whose log rows are yet to be deleted.
CREATE TABLE monitor_purges (
    org_id      bigint NOT NULL,
    monitor_id  bigint NOT NULL,
    deleted_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, monitor_id)
);

-- Changes of status, for ever: uptime comes from them. `seq` is the log row that caused it; null for a pause, a resume
-- and the like.
CREATE TABLE monitor_transitions (
    org_id       bigint NOT NULL,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    monitor_id   bigint NOT NULL,
    seq          bigint,
    before       smallint NOT NULL,
    after        smallint NOT NULL,
    at           timestamptz NOT NULL,
    category     text,
    message      text NOT NULL DEFAULT '',
    -- Why nobody was told (I2); null where alerts were queued.
    silence      text CHECK (silence IN ('no_contacts', 'muted', 'maintenance', 'dependency', 'unremarkable')),
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, monitor_id) REFERENCES monitors ON DELETE CASCADE
);
CREATE INDEX monitor_transitions_monitor ON monitor_transitions (org_id, monitor_id, at, id);

CREATE TABLE incidents (
    org_id              bigint NOT NULL,
    id                  bigint GENERATED ALWAYS AS IDENTITY,
    monitor_id          bigint NOT NULL,
    opened_at           timestamptz NOT NULL,
    resolved_at         timestamptz,
    opened_by           bigint NOT NULL,
    resolved_by         bigint,
    category            text,
    message             text NOT NULL DEFAULT '',
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, monitor_id) REFERENCES monitors ON DELETE CASCADE,
    FOREIGN KEY (org_id, opened_by) REFERENCES monitor_transitions ON DELETE CASCADE,
    FOREIGN KEY (org_id, resolved_by) REFERENCES monitor_transitions ON DELETE CASCADE
);
CREATE UNIQUE INDEX incidents_open ON incidents (org_id, monitor_id) WHERE resolved_at IS NULL;
CREATE INDEX incidents_monitor ON incidents (org_id, monitor_id, opened_at);
CREATE INDEX incidents_opened_by ON incidents (org_id, opened_by);
CREATE INDEX incidents_resolved_by ON incidents (org_id, resolved_by);

CREATE TABLE alert_contacts (
    org_id       bigint NOT NULL REFERENCES organisations,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    name         text NOT NULL,
    type         text NOT NULL,
    config       jsonb NOT NULL,
    secrets      bytea,
    verified_at  timestamptz,
    disabled_at  timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id)
);

CREATE TABLE monitor_alert_configs (
    org_id       bigint NOT NULL,
    monitor_id   bigint NOT NULL,
    contact_id   bigint NOT NULL,
    -- Values of domain.alert.AlertKind.
    kinds        text[] NOT NULL DEFAULT '{down,up,degraded,faulted}',
    is_active    boolean NOT NULL DEFAULT true,
    PRIMARY KEY (org_id, monitor_id, contact_id),
    FOREIGN KEY (org_id, monitor_id) REFERENCES monitors ON DELETE CASCADE,
    FOREIGN KEY (org_id, contact_id) REFERENCES alert_contacts ON DELETE CASCADE
);
CREATE INDEX monitor_alert_configs_contact ON monitor_alert_configs (org_id, contact_id);

-- The outbox: one row per transition and contact, written in the transition's transaction (I1, I3).
CREATE TABLE alerts (
    org_id         bigint NOT NULL,
    id             bigint GENERATED ALWAYS AS IDENTITY,
    transition_id  bigint NOT NULL,
    monitor_id     bigint NOT NULL,
    contact_id     bigint NOT NULL,
    kind           text NOT NULL,
    state          text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'dead', 'cancelled')),
    attempts       integer NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT now(),
    due_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, transition_id) REFERENCES monitor_transitions ON DELETE CASCADE,
    FOREIGN KEY (org_id, monitor_id) REFERENCES monitors ON DELETE CASCADE,
    FOREIGN KEY (org_id, contact_id) REFERENCES alert_contacts ON DELETE CASCADE
);
CREATE UNIQUE INDEX alerts_transition_contact ON alerts (org_id, transition_id, contact_id);
CREATE INDEX alerts_pending ON alerts (due_at) WHERE state = 'pending';
CREATE INDEX alerts_monitor ON alerts (org_id, monitor_id);
CREATE INDEX alerts_contact ON alerts (org_id, contact_id);
