"""The statements with which alerts are claimed; see ``storage.outbox``."""

# From a contact on, by id: no contact that is due waits for others that are due again and again.
DUE = """
SELECT c.org_id, c.id
FROM alert_contacts AS c
WHERE c.type = ANY($2::text[])
  AND (c.org_id, c.id) > ($6::bigint, $7::bigint)
  AND (c.org_id, c.id) IN (
      SELECT org_id, contact_id FROM alerts
      WHERE state = 'pending' AND due_at <= $1 AND (held_until IS NULL OR held_until <= $1)
        AND (claimed_until IS NULL OR claimed_until <= $1))
  AND NOT (c.org_id, c.id) IN (SELECT * FROM unnest($3::bigint[], $4::bigint[]))
ORDER BY c.org_id, c.id LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED
"""
# Once over what waits: ten thousand alerts of one contact must not be compared with each other.
WAITING = """
WITH w AS MATERIALIZED (
    SELECT * FROM alerts
    WHERE (org_id, contact_id) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[])) AND state = 'pending')
SELECT a.org_id, a.id, a.monitor_id, a.contact_id, a.topic, a.kind, a.created_at, a.due_at, a.held_until,
       a.attempts, a.notice, a.claimed_until > $3 AS is_claimed,
       CASE WHEN (a.org_id, a.leader_id) IN (SELECT org_id, id FROM w) THEN a.leader_id END AS leader_id,
       c.type, c.time_zone, g.quiet,
       c.verified_at IS NOT NULL AND c.disabled_at IS NULL AND c.deleted_at IS NULL AS can_be_told,
       COALESCE(g.is_active, false) AS is_wanted,
       i.resolved_at IS NULL AS is_open, i.acknowledged_at IS NOT NULL AS is_acknowledged,
       (a.org_id, a.id) IN (SELECT org_id, leader_id FROM w WHERE leader_id IS NOT NULL) AS is_leader
FROM w AS a
JOIN alert_contacts AS c ON c.org_id = a.org_id AND c.id = a.contact_id
LEFT JOIN monitor_alert_configs AS g
  ON g.org_id = a.org_id AND g.monitor_id = a.monitor_id AND g.contact_id = a.contact_id
LEFT JOIN incidents AS i ON i.org_id = a.org_id AND i.id = a.incident_id
ORDER BY a.id
"""
# One look at an index for each, whatever Postgres believes to know of a table that has just grown by thousands.
TOLD = """
SELECT b.org_id, b.monitor_id, b.contact_id, b.topic, l.notice
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS b (org_id, monitor_id, contact_id, topic)
CROSS JOIN LATERAL (
    SELECT a.notice FROM alerts AS a
    WHERE a.org_id = b.org_id AND a.monitor_id = b.monitor_id AND a.contact_id = b.contact_id AND a.topic = b.topic
      AND a.state = 'sent'
    ORDER BY a.org_id DESC, a.monitor_id DESC, a.contact_id DESC, a.topic DESC, a.id DESC LIMIT 1) AS l
"""
CANCEL = """
UPDATE alerts AS a SET state = 'cancelled', reason = b.reason, settled_at = $4, claimed_until = NULL
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS b (org_id, id, reason)
WHERE a.org_id = b.org_id AND a.id = b.id AND a.state = 'pending'
"""
POSTPONE = """
UPDATE alerts AS a SET held_until = GREATEST(a.held_until, b.until)
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[])
     AS b (org_id, monitor_id, contact_id, topic, until)
WHERE a.org_id = b.org_id AND a.monitor_id = b.monitor_id AND a.contact_id = b.contact_id AND a.topic = b.topic
  AND a.state = 'pending'
"""
CLAIM = """
UPDATE alerts AS a
SET attempts = attempts + 1, claimed_until = $5, claimed_by = $6, notice = b.notice, leader_id = b.leader_id
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) AS b (org_id, id, notice, leader_id)
WHERE a.org_id = b.org_id AND a.id = b.id
"""
BEGIN_ATTEMPTS = """
INSERT INTO alert_attempts (org_id, alert_id, number, began_at)
SELECT a.org_id, a.id, a.attempts, $3
FROM alerts AS a JOIN unnest($1::bigint[], $2::bigint[]) AS b (org_id, id) ON b.org_id = a.org_id AND b.id = a.id
RETURNING org_id, alert_id, number
"""
