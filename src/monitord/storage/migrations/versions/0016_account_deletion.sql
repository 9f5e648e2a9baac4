-- `exported_at`: when an export of everything was last taken whole. `deletion_at`: when the account goes for good; null: it
-- stays. `erased_at`: the point of no return, after which what is left of it is deleted, part by part.
ALTER TABLE users
    ADD COLUMN exported_at  timestamptz,
    ADD COLUMN deletion_at  timestamptz,
    ADD COLUMN erased_at    timestamptz;
CREATE INDEX users_deletion ON users (deletion_at) WHERE deletion_at IS NOT NULL;

-- Of an organisation that goes with its only member's account: nothing is checked in it, and nobody is invited.
ALTER TABLE organisations ADD COLUMN deletion_at timestamptz;

-- Which of its monitors were active: those that are resumed when its member comes back.
CREATE TABLE account_pauses (
    org_id      bigint NOT NULL,
    monitor_id  bigint NOT NULL,
    PRIMARY KEY (org_id, monitor_id),
    FOREIGN KEY (org_id, monitor_id) REFERENCES monitors ON DELETE CASCADE
);

-- What may be changed in an event that was written is an address, of somebody who has deleted their account; nothing else.
CREATE OR REPLACE FUNCTION keep_audit_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('monitord.retires_audit_events', true) = 'on' THEN
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' AND current_setting('monitord.forgets_addresses', true) = 'on'
       AND to_jsonb(NEW) - '{before,after}'::text[] = to_jsonb(OLD) - '{before,after}'::text[]
       AND NEW.before - 'email' IS NOT DISTINCT FROM OLD.before - 'email'
       AND NEW.after - 'email' IS NOT DISTINCT FROM OLD.after - 'email' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit events are written once, and never changed';
END $$;
CREATE INDEX audit_events_invited ON audit_events (COALESCE(after ->> 'email', before ->> 'email'))
    WHERE kind = 'invitation';
