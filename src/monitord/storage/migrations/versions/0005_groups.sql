-- Groups of monitors: found by what they name, when a member is deleted.
CREATE INDEX monitors_groups ON monitors (org_id) WHERE type = 'group';
