-- Who has claimed an alert: the number under which that process holds an advisory lock while it lives (storage.claimant).
-- Null: nobody can tell whether it lives; then `claimed_until` alone decides.
ALTER TABLE alerts ADD COLUMN claimed_by integer;

-- Whether a message was a digest is asked for each that follows it.
CREATE INDEX alerts_leader ON alerts (org_id, leader_id) WHERE leader_id IS NOT NULL;
