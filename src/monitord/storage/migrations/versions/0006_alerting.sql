-- Contacts get what a user decides about them, and a way out: history needs those that are gone.
ALTER TABLE alert_contacts
    ADD COLUMN version          bigint NOT NULL DEFAULT 1,
    ADD COLUMN updated_at       timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN time_zone        text NOT NULL DEFAULT 'UTC',
    -- Why it can't be used any more, for people; null while it can.
    ADD COLUMN disabled_reason  text,
    -- What it wants to be told of each new monitor: domain.contact.AlertSettings; null: nothing.
    ADD COLUMN default_settings jsonb,
    ADD COLUMN deleted_at       timestamptz;
CREATE UNIQUE INDEX alert_contacts_name ON alert_contacts (org_id, name) WHERE deleted_at IS NULL;

-- How an address proves that it wants alerts (T16). The link's token and the code are hashed, used once, and expire;
-- wrong codes are counted.
CREATE TABLE contact_confirmations (
    org_id      bigint NOT NULL,
    contact_id  bigint NOT NULL,
    token_hash  bytea NOT NULL,
    code_hash   bytea NOT NULL,
    attempts    smallint NOT NULL DEFAULT 0,
    sent_at     timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (org_id, contact_id),
    FOREIGN KEY (org_id, contact_id) REFERENCES alert_contacts ON DELETE CASCADE
);
CREATE UNIQUE INDEX contact_confirmations_token ON contact_confirmations (token_hash);

-- 0: at once, never, and never again.
ALTER TABLE monitor_alert_configs
    ADD COLUMN delay_s           integer NOT NULL DEFAULT 0,
    ADD COLUMN escalate_after_s  integer NOT NULL DEFAULT 0,
    ADD COLUMN reminder_s        integer NOT NULL DEFAULT 0,
    -- domain.dispatch.Quiet, without its zone, which is the contact's; null: no quiet hours.
    ADD COLUMN quiet             jsonb;

ALTER TABLE incidents
    ADD COLUMN acknowledged_at  timestamptz,
    ADD COLUMN acknowledged_by  text;

-- `notice` is what its attempts say (domain.notice.NoticeKind), `reason` why it was cancelled or given up. One that is
-- told within the message of another has that one's id as its `leader_id`.
ALTER TABLE alerts
    ADD COLUMN incident_id    bigint,
    ADD COLUMN repeat         integer NOT NULL DEFAULT 0,
    ADD COLUMN notice         text,
    ADD COLUMN reason         text,
    ADD COLUMN claimed_until  timestamptz,
    ADD COLUMN settled_at     timestamptz,
    ADD COLUMN leader_id      bigint,
    ADD FOREIGN KEY (org_id, incident_id) REFERENCES incidents ON DELETE CASCADE;
DROP INDEX alerts_transition_contact;
CREATE UNIQUE INDEX alerts_transition_contact ON alerts (org_id, transition_id, contact_id, kind, repeat);
DROP INDEX alerts_monitor;
CREATE INDEX alerts_pair ON alerts (org_id, monitor_id, contact_id, id);
CREATE INDEX alerts_incident ON alerts (org_id, incident_id);

-- Each attempt to deliver, counted when it begins: `outcome` is null while it runs, and stays so when we died (I4).
CREATE TABLE alert_attempts (
    org_id    bigint NOT NULL,
    alert_id  bigint NOT NULL,
    number    integer NOT NULL,
    began_at  timestamptz NOT NULL,
    ended_at  timestamptz,
    outcome   text,
    code      text NOT NULL DEFAULT '',
    detail    text NOT NULL DEFAULT '',
    PRIMARY KEY (org_id, alert_id, number),
    FOREIGN KEY (org_id, alert_id) REFERENCES alerts ON DELETE CASCADE
);
