"""Alerts whose attempt will never end, because the process that made it is dead: free at once, though not for ever.

The first such attempt costs no wait: a crash must not delay an alert. From the second in a row on it may be the alert
itself that kills us, so that it waits as after a refusal; and after a day it is given up (I3).
"""

from collections.abc import Callable, Sequence

from monitord.domain.instant import SECOND, Instant, to_datetime
from monitord.storage.claimant import CLAIMANTS
from monitord.storage.database import Database, Transaction
from monitord.storage.outbox_outcomes import FIRST_RETRY_S, LIFETIME, longest_wait_s

OTHERS = """
SELECT DISTINCT claimed_by FROM alerts
WHERE state = 'pending' AND claimed_until > $1 AND claimed_by IS NOT NULL AND claimed_by <> $2
"""
# Whoever gets the lock knows that its owner is dead; and keeps it until the commit, should the owner return.
IS_DEAD = "SELECT pg_try_advisory_xact_lock($1, $2)"
ORPHANS = """
SELECT a.org_id, a.id, COALESCE(a.leader_id, a.id) AS message_id, (
    SELECT count(*) FROM alert_attempts AS t
    WHERE t.org_id = a.org_id AND t.alert_id = a.id AND t.number > COALESCE((
        SELECT max(e.number) FROM alert_attempts AS e
        WHERE e.org_id = a.org_id AND e.alert_id = a.id AND e.ended_at IS NOT NULL), 0)) AS unended
FROM alerts AS a
WHERE a.state = 'pending' AND a.claimed_until > $1 AND a.claimed_by = ANY($2::integer[])
ORDER BY a.id FOR NO KEY UPDATE OF a
"""
FREE = """
UPDATE alerts AS a SET claimed_until = NULL, claimed_by = NULL, due_at = GREATEST(a.due_at, b.due_at)
FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS b (org_id, id, due_at)
WHERE a.org_id = b.org_id AND a.id = b.id
"""
GIVE_UP = """
UPDATE alerts AS a SET state = 'dead', reason = $3, settled_at = $1, claimed_until = NULL
WHERE a.state = 'pending' AND a.attempts > 0 AND COALESCE(a.revived_at, a.created_at) <= $2
  AND (a.claimed_until IS NULL OR a.claimed_until <= $1)
  AND EXISTS (SELECT FROM alert_attempts AS t
              WHERE t.org_id = a.org_id AND t.alert_id = a.id AND t.number = a.attempts AND t.ended_at IS NULL)
"""

_NEVER_ENDED = "gave up after a day; the last attempt never ended"


class Orphans:
    """Frees what the dead had claimed."""

    def __init__(self, database: Database, own: int, jitter: Callable[[float, float], float]) -> None:
        """Take this process's number as a claimant, and what draws a number between two others, evenly."""
        self._database = database
        self._own = own
        self._jitter = jitter

    async def free(self, now: Instant) -> int:
        """Free the claims of processes that are dead, and give up what was tried for a day; return how many are free.

        Claims of this process are never free: it knows itself what is under way.
        """
        async with self._database.transaction(None) as tx:
            others = [row[0] for row in await tx.fetch(OTHERS, to_datetime(now), self._own)]
            dead = [number for number in others if await tx.fetchval(IS_DEAD, CLAIMANTS, number)]
            freed = await self._free(tx, dead, now) if dead else 0
            await tx.execute(
                GIVE_UP,
                to_datetime(now),
                to_datetime(now - LIFETIME),
                "gave up after a day; the last attempt never ended",
            )
        return freed

    async def _free(self, tx: Transaction, dead: Sequence[int], now: Instant) -> int:
        rows = await tx.fetch(ORPHANS, to_datetime(now), dead)
        due: dict[tuple[int, int], Instant] = {}  # one for all that a message tells
        for row in rows:
            message = (row["org_id"], row["message_id"])
            due.setdefault(message, now + round(self._wait_s(row["unended"]) * SECOND))
        freed = [(row["org_id"], row["id"], to_datetime(due[row["org_id"], row["message_id"]])) for row in rows]
        if freed:
            await tx.execute(FREE, *map(list, zip(*freed, strict=True)))
        return len(freed)

    def _wait_s(self, unended: int) -> float:
        return 0.0 if unended < 2 else self._jitter(FIRST_RETRY_S, longest_wait_s(unended - 1))
