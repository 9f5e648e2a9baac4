"""The history of alerts, as its readers see it. Every method takes the organisation first (T9)."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from monitord.domain.alert import AlertKind
from monitord.domain.alert_record import AlertQuery, AlertRecord, AlertState, AttemptRecord
from monitord.domain.errors import FailedPreconditionError, NotFoundError
from monitord.domain.instant import Instant, from_datetime, to_datetime
from monitord.storage.database import Connection, Database, Row
from monitord.storage.monitors import wall_clock

_SELECT = """
SELECT a.id, a.monitor_id, m.name AS monitor_name, a.contact_id, c.name AS contact_name, c.type, a.incident_id, a.kind,
       a.state, a.reason, a.created_at,
       GREATEST(a.due_at, a.held_until) AS due_at, a.settled_at, a.attempts, a.leader_id, a.screenshot_url,
       a.claimed_until > now() AS is_claimed
FROM alerts AS a
JOIN monitors AS m ON m.org_id = a.org_id AND m.id = a.monitor_id
JOIN alert_contacts AS c ON c.org_id = a.org_id AND c.id = a.contact_id
"""
_CONDITIONS = """
WHERE a.org_id = $1 AND ($2::bigint IS NULL OR a.monitor_id = $2) AND ($3::bigint IS NULL OR a.contact_id = $3)
  AND ($4::bigint IS NULL OR a.incident_id = $4) AND ($5::text[] IS NULL OR a.state = ANY($5))
  AND ($6::text[] IS NULL OR a.kind = ANY($6)) AND ($7::timestamptz IS NULL OR a.created_at >= $7)
  AND ($8::timestamptz IS NULL OR a.created_at < $8)
"""
NEWEST = f"{_SELECT} {_CONDITIONS} AND ($9::bigint IS NULL OR a.id < $9) ORDER BY a.id DESC LIMIT $10"
OLDEST = f"{_SELECT} {_CONDITIONS} AND ($9::bigint IS NULL OR a.id > $9) ORDER BY a.id LIMIT $10"
ONE = f"{_SELECT} WHERE a.org_id = $1 AND a.id = $2"
OF_INCIDENT = f"{_SELECT} WHERE a.org_id = $1 AND a.incident_id = $2 ORDER BY a.id"
OF_TRANSITION = f"{_SELECT} WHERE a.org_id = $1 AND a.transition_id = $2 AND a.contact_id = $3 ORDER BY a.id"
ATTEMPTS = """
SELECT alert_id, number, began_at, ended_at, outcome, code, detail FROM alert_attempts
WHERE org_id = $1 AND alert_id = ANY($2::bigint[]) ORDER BY alert_id, number
"""
LOCK = "SELECT state FROM alerts WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE"
# What is over by now is told as such: news of an outage that ended would be none.
REVIVE = """
UPDATE alerts AS a SET
    state = 'pending', due_at = $3, held_until = NULL, revived_at = $3, settled_at = NULL, reason = NULL,
    claimed_until = NULL, leader_id = NULL,
    notice = CASE WHEN a.kind IN ('down', 'reminder', 'escalation') AND EXISTS (
                      SELECT FROM incidents AS i
                      WHERE i.org_id = a.org_id AND i.id = a.incident_id AND i.resolved_at IS NOT NULL)
                  THEN 'outage_over' END
WHERE a.org_id = $1 AND a.id = $2
"""


class AlertHistory:
    """Reads alerts, and takes those up again that were given up."""

    def __init__(self, database: Database, *, clock: Callable[[], Instant] = wall_clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, org_id: int, alert_id: int) -> AlertRecord:
        """Return an alert with its attempts; raise NotFoundError if it isn't there, or is another's."""
        async with self._database.connection() as held:
            rows = await held.fetch(ONE, org_id, alert_id)
            if not rows:
                raise NotFoundError(f"There is no alert {alert_id}.", id=str(alert_id))
            return (await with_attempts(held, org_id, rows))[0]

    async def page(self, org_id: int, query: AlertQuery) -> list[AlertRecord]:
        """Return at most ``query.limit`` alerts, without their attempts."""
        statement = OLDEST if query.oldest_first else NEWEST
        async with self._database.connection() as held:
            rows = await held.fetch(
                statement,
                org_id,
                query.monitor_id,
                query.contact_id,
                query.incident_id,
                list(query.states) or None,
                list(query.kinds) or None,
                None if query.start is None else to_datetime(query.start),
                None if query.end is None else to_datetime(query.end),
                query.beyond_id,
                query.limit,
            )
        return [_record(row) for row in rows]

    async def retry(self, org_id: int, alert_id: int) -> AlertRecord:
        """Try an alert again that was given up.

        Raises:
            NotFoundError: it isn't there, or is another's.
            FailedPreconditionError: it was not given up.

        """
        async with self._database.transaction(None) as held:
            state = await held.fetchval(LOCK, org_id, alert_id)
            if state is None:
                raise NotFoundError(f"There is no alert {alert_id}.", id=str(alert_id))
            if state != AlertState.DEAD:
                raise FailedPreconditionError(f"Only what was given up (dead) is tried again; this alert is {state}.")
            await held.execute(REVIVE, org_id, alert_id, to_datetime(self._clock()))
        return await self.get(org_id, alert_id)


async def with_attempts(held: Connection, org_id: int, rows: Sequence[Row]) -> list[AlertRecord]:
    """Return alerts with their attempts."""
    attempts: defaultdict[int, list[AttemptRecord]] = defaultdict(list)
    for row in await held.fetch(ATTEMPTS, org_id, [row["id"] for row in rows]):
        attempts[row["alert_id"]].append(_attempt(row))
    return [msgspec.structs.replace(_record(row), attempts=tuple(attempts[row["id"]])) for row in rows]


def _record(row: Row) -> AlertRecord:
    return AlertRecord(
        id=row["id"],
        monitor_id=row["monitor_id"],
        monitor_name=row["monitor_name"],
        contact_id=row["contact_id"],
        contact_name=row["contact_name"],
        channel=row["type"],
        incident_id=row["incident_id"],
        kind=AlertKind(row["kind"]),
        state=AlertState(row["state"]),
        reason=row["reason"] or "",
        created_at=from_datetime(row["created_at"]),
        due_at=from_datetime(row["due_at"]),
        settled_at=None if row["settled_at"] is None else from_datetime(row["settled_at"]),
        attempt_count=row["attempts"],
        told_with_id=row["leader_id"],
        is_claimed=bool(row["is_claimed"]),
        screenshot_url=row["screenshot_url"] or "",
    )


def _attempt(row: Row) -> AttemptRecord:
    return AttemptRecord(
        number=row["number"],
        began_at=from_datetime(row["began_at"]),
        ended_at=None if row["ended_at"] is None else from_datetime(row["ended_at"]),
        outcome=row["outcome"] or "",
        code=row["code"],
        detail=row["detail"],
    )
