-- What results say of a target, apart from what is shown of it (domain/health.py). Until now the two were one.
ALTER TABLE monitor_states
    ADD COLUMN judged        smallint NOT NULL DEFAULT 2,
    ADD COLUMN failed_streak smallint NOT NULL DEFAULT 0,
    ADD COLUMN blind_streak  smallint NOT NULL DEFAULT 0;
UPDATE monitor_states SET judged = CASE WHEN status IN (3, 4, 5) THEN status ELSE 2 END, failed_streak = down_streak;

-- Whether the check began within a maintenance window: null and false are the same.
ALTER TABLE monitor_logs ADD COLUMN maintenance boolean;

-- Times in which nobody is told of what checks find. `schedule` is domain.maintenance.Once or Recurring.
CREATE TABLE maintenance_windows (
    org_id       bigint NOT NULL REFERENCES organisations,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    name         text NOT NULL,
    schedule     jsonb NOT NULL,
    monitor_ids  bigint[] NOT NULL DEFAULT '{}',
    labels       jsonb NOT NULL DEFAULT '{}',
    is_active    boolean NOT NULL,
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id)
);

-- What a monitor depends on: others of its organisation, kept free of circles by whoever writes it.
ALTER TABLE monitors ADD COLUMN parent_ids bigint[] NOT NULL DEFAULT '{}';
CREATE INDEX monitors_parents ON monitors USING gin (parent_ids) WHERE parent_ids <> '{}';
