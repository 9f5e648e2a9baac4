"""What follows from an attempt: the alert is sent, dead, or tried again; the contact may be disabled (I3)."""

from collections.abc import Callable, Sequence

from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.instant import HOUR, SECOND, Instant, Micros, from_datetime, to_datetime
from monitord.domain.notice import NoticeKind
from monitord.storage.database import Database, Transaction
from monitord.storage.outbox import Claim

LIFETIME: Micros = 24 * HOUR
"""For how long an alert is tried, from when it was made, or taken up again."""
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 600.0
_REMINDED = frozenset({NoticeKind.DOWN, NoticeKind.ESCALATION, NoticeKind.REMINDER})

LOCK = """
SELECT id, state, attempts, COALESCE(revived_at, created_at) AS created_at FROM alerts
WHERE org_id = $1 AND id = ANY($2::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""
END_ATTEMPTS = """
UPDATE alert_attempts SET ended_at = $4, outcome = $5, code = $6, detail = $7
WHERE org_id = $1 AND alert_id = ANY($2::bigint[]) AND number = $3
"""
SETTLE = """
UPDATE alerts SET state = $3, reason = $4, settled_at = $5, claimed_until = NULL
WHERE org_id = $1 AND id = ANY($2::bigint[]) AND state = 'pending'
"""
RETRY = """
UPDATE alerts SET due_at = $3, claimed_until = NULL WHERE org_id = $1 AND id = ANY($2::bigint[]) AND state = 'pending'
"""
DISABLE = """
UPDATE alert_contacts SET disabled_at = $3, disabled_reason = $4, version = version + 1, updated_at = $3
WHERE org_id = $1 AND id = $2 AND disabled_at IS NULL
"""
REMIND = """
INSERT INTO alerts (org_id, transition_id, monitor_id, contact_id, incident_id, kind, repeat, created_at, due_at)
SELECT a.org_id, a.transition_id, a.monitor_id, a.contact_id, a.incident_id, 'reminder', a.repeat + 1,
       $3::timestamptz, $3::timestamptz + g.reminder_s * interval '1 second'
FROM alerts AS a
JOIN monitor_alert_configs AS g
  ON g.org_id = a.org_id AND g.monitor_id = a.monitor_id AND g.contact_id = a.contact_id AND g.reminder_s > 0
JOIN incidents AS i
  ON i.org_id = a.org_id AND i.id = a.incident_id AND i.resolved_at IS NULL AND i.acknowledged_at IS NULL
WHERE a.org_id = $1 AND a.id = ANY($2::bigint[])
ON CONFLICT DO NOTHING
"""


class Outcomes:
    """Records how attempts ended."""

    def __init__(self, database: Database, jitter: Callable[[float, float], float]) -> None:
        """Take what draws a number between two others, evenly (``random.uniform``)."""
        self._database = database
        self._jitter = jitter

    async def record(self, claim: Claim, attempt: Attempt, now: Instant) -> None:
        """Record an attempt for every alert that it was to tell.

        One that was settled by somebody else meanwhile, its lease having run out, stays settled.
        """
        org_id, ids = claim.org_id, list(claim.members)
        at = to_datetime(now)
        async with self._database.transaction(None) as tx:
            rows = await tx.fetch(LOCK, org_id, ids)
            await tx.execute(
                END_ATTEMPTS, org_id, ids, claim.attempt, at, attempt.outcome, attempt.code, attempt.detail
            )
            if not rows:
                return  # the monitor was deleted, and with it all of this
            if attempt.outcome is Outcome.ACCEPTED:
                await tx.execute(SETTLE, org_id, ids, "sent", None, at)
                await self._remind(tx, claim, now)
            elif attempt.outcome is Outcome.PERMANENT:
                await tx.execute(SETTLE, org_id, ids, "dead", attempt.code, at)
            elif now - min(from_datetime(row["created_at"]) for row in rows) >= LIFETIME:
                await tx.execute(SETTLE, org_id, ids, "dead", f"gave up after a day; the last was {attempt.code}", at)
            else:
                wait_s = self._wait_s(claim.attempt, attempt.retry_after_s)
                await tx.execute(RETRY, org_id, ids, to_datetime(now + round(wait_s * SECOND)))
            if attempt.disables_contact:
                await tx.execute(DISABLE, org_id, claim.contact_id, at, attempt.detail or attempt.code)

    def _wait_s(self, attempts: int, asked_s: float | None) -> float:
        """Return how long to wait: 5 s to 10 min with full jitter, and never less than the other side asked for."""
        return max(self._jitter(FIRST_RETRY_S, longest_wait_s(attempts)), min(asked_s or 0.0, 3600.0))

    async def _remind(self, tx: Transaction, claim: Claim, now: Instant) -> None:
        ids: Sequence[int] = [id_ for id_, notice in claim.members.items() if notice in _REMINDED]
        if ids:
            await tx.execute(REMIND, claim.org_id, list(ids), to_datetime(now))


def longest_wait_s(attempts: int) -> float:
    """Return the longest wait after so many attempts, in seconds: doubled with each, and 10 min at most."""
    return min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(attempts, 10))
