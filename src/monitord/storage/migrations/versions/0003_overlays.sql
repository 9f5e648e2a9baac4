-- What results say of a target, apart from what is shown of it (domain/health.py). Until now the two were one.
ALTER TABLE monitor_states
    ADD COLUMN judged        smallint NOT NULL DEFAULT 2,
    ADD COLUMN failed_streak smallint NOT NULL DEFAULT 0,
    ADD COLUMN blind_streak  smallint NOT NULL DEFAULT 0;
UPDATE monitor_states SET judged = CASE WHEN status IN (3, 4, 5) THEN status ELSE 2 END, failed_streak = down_streak;

-- Whether the check began within a maintenance window: null and false are the same.
ALTER TABLE monitor_logs ADD COLUMN maintenance boolean;
