-- 0: no threshold. `slow_since` is set while the contact has been told that the monitor is slow.
ALTER TABLE monitor_alert_configs
    ADD COLUMN slow_threshold_ms  integer NOT NULL DEFAULT 0,
    ADD COLUMN slow_since         timestamptz;
ALTER TABLE monitor_alert_configs ALTER COLUMN kinds SET DEFAULT '{down,up,degraded,faulted,certificate}';
CREATE INDEX monitor_alert_configs_slow ON monitor_alert_configs (org_id, monitor_id) WHERE slow_threshold_ms > 0;

-- How many mails asked this address, since when: bounded for each day (T16).
ALTER TABLE contact_confirmations
    ADD COLUMN sends       smallint NOT NULL DEFAULT 1,
    ADD COLUMN first_at    timestamptz NOT NULL DEFAULT now();

-- What is told of a certificate, known by its end: the last warning of each that was made, in days before; 0: expired.
CREATE TABLE certificate_notices (
    org_id      bigint NOT NULL,
    monitor_id  bigint NOT NULL,
    contact_id  bigint NOT NULL,
    expires_at  timestamptz NOT NULL,
    days        smallint NOT NULL,
    PRIMARY KEY (org_id, monitor_id, contact_id),
    FOREIGN KEY (org_id, monitor_id, contact_id) REFERENCES monitor_alert_configs ON DELETE CASCADE
);

-- Slowness and certificates are no transitions of the monitor: they say themselves when and what. Each topic of a pair
-- has its own order: news of one doesn't overtake news of another.
ALTER TABLE alerts
    ALTER COLUMN transition_id DROP NOT NULL,
    ADD COLUMN at       timestamptz,
    ADD COLUMN message  text,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN topic    text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN kind IN ('slow', 'slow_over') THEN 'slow' WHEN kind = 'certificate' THEN kind ELSE 'state' END) STORED,
    ADD CHECK (transition_id IS NOT NULL OR at IS NOT NULL);
DROP INDEX alerts_pair;
CREATE INDEX alerts_pair ON alerts (org_id, monitor_id, contact_id, topic, id);

-- Since when an alert that had been given up is tried again; null: it never was given up and taken up again.
ALTER TABLE alerts ADD COLUMN revived_at timestamptz, ADD COLUMN screenshot_url text;
-- Not sent before, though it is due: a picture is being taken, or the contact sleeps. Apart from `due_at`, which says
-- whether it should have been told by the time that all was over.
ALTER TABLE alerts ADD COLUMN held_until timestamptz;
ALTER TABLE incidents ADD COLUMN screenshot_url text;

-- What happens to incidents, in an order that readers can follow: a transaction's events are shown once no older
-- transaction is under way any more, so that (xid, id) only grows.
CREATE TABLE incident_events (
    org_id       bigint NOT NULL,
    xid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id           bigint GENERATED ALWAYS AS IDENTITY,
    incident_id  bigint NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('opened', 'acknowledged', 'resolved')),
    at           timestamptz NOT NULL,
    PRIMARY KEY (org_id, xid, id),
    FOREIGN KEY (org_id, incident_id) REFERENCES incidents ON DELETE CASCADE
);
CREATE INDEX incident_events_incident ON incident_events (org_id, incident_id);

-- By a trigger, because incidents are written by the ledger, by pauses and by people, and none may forget.
CREATE FUNCTION record_incident_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO incident_events (org_id, incident_id, kind, at) VALUES (NEW.org_id, NEW.id, 'opened', NEW.opened_at);
        RETURN NULL;
    END IF;
    IF OLD.acknowledged_at IS NULL AND NEW.acknowledged_at IS NOT NULL THEN
        INSERT INTO incident_events (org_id, incident_id, kind, at)
        VALUES (NEW.org_id, NEW.id, 'acknowledged', NEW.acknowledged_at);
    END IF;
    IF OLD.resolved_at IS NULL AND NEW.resolved_at IS NOT NULL THEN
        INSERT INTO incident_events (org_id, incident_id, kind, at)
        VALUES (NEW.org_id, NEW.id, 'resolved', NEW.resolved_at);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER incidents_events AFTER INSERT OR UPDATE ON incidents
    FOR EACH ROW EXECUTE FUNCTION record_incident_event();
INSERT INTO incident_events (org_id, incident_id, kind, at)
SELECT org_id, id, 'opened', opened_at FROM incidents WHERE resolved_at IS NULL ORDER BY opened_at;
