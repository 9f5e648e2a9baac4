-- Figures of the kind of check, by name (domain/check.py): null for the kinds that have none.
ALTER TABLE monitor_logs ADD COLUMN measurements jsonb;
