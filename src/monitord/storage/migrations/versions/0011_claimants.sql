-- Who has claimed an alert: the number under which that process holds an advisory lock while it lives (storage.claimant).
-- Null: nobody can tell whether it lives; then `claimed_until` alone decides.
ALTER TABLE alerts ADD COLUMN claimed_by integer;
