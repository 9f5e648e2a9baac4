-- What is remembered of a job's words to judge it by: domain.heartbeat.Words.
CREATE TABLE heartbeats (
    org_id      bigint NOT NULL,
    monitor_id  bigint NOT NULL,
    words       bytea,
    PRIMARY KEY (org_id, monitor_id),
    FOREIGN KEY (org_id, monitor_id) REFERENCES monitors (org_id, id) ON DELETE CASCADE
);

-- The newest words of each job, for people.
CREATE TABLE heartbeat_pings (
    org_id       bigint NOT NULL,
    monitor_id   bigint NOT NULL,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    received_at  timestamptz NOT NULL,
    kind         smallint NOT NULL,
    exit_code    smallint,
    source       text NOT NULL,
    body         bytea NOT NULL,
    PRIMARY KEY (org_id, monitor_id, id),
    FOREIGN KEY (org_id, monitor_id) REFERENCES monitors (org_id, id) ON DELETE CASCADE
);
