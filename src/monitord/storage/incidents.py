"""The store of incidents. Every method takes the organisation first (T9)."""

from collections.abc import Callable

from monitord.domain.errors import FailedPreconditionError, NotFoundError
from monitord.domain.health import Status
from monitord.domain.incident import (
    EventPosition,
    Incident,
    IncidentEvent,
    IncidentEventKind,
    IncidentQuery,
    StatusChange,
    Timeline,
)
from monitord.domain.instant import Instant, from_datetime, to_datetime
from monitord.storage import rows
from monitord.storage.alert_history import OF_INCIDENT, with_attempts
from monitord.storage.database import Database, Row
from monitord.storage.monitors import wall_clock

MAX_CHANGES = 250
"""Of each end of a timeline."""

_COLUMNS = """
i.org_id, i.id, i.monitor_id, m.name, i.opened_at, i.acknowledged_at, i.acknowledged_by, i.resolved_at, i.category,
i.message, i.screenshot_url
"""
_FROM = "FROM incidents AS i JOIN monitors AS m ON m.org_id = i.org_id AND m.id = i.monitor_id"
ONE = f"SELECT {_COLUMNS} {_FROM} WHERE i.org_id = $1 AND i.id = $2"
LIST = f"""
SELECT {_COLUMNS} {_FROM}
WHERE i.org_id = $1 AND ($2::bigint IS NULL OR i.monitor_id = $2)
  AND ($3::boolean IS NULL OR (i.resolved_at IS NULL) = $3)
  AND ($4::timestamptz IS NULL OR i.opened_at >= $4) AND ($5::timestamptz IS NULL OR i.opened_at < $5)
  AND ($6::bigint IS NULL OR i.id < $6)
ORDER BY i.id DESC LIMIT $7
"""
ACKNOWLEDGE = """
UPDATE incidents SET
    acknowledged_at = COALESCE(acknowledged_at, $3),
    acknowledged_by = COALESCE(acknowledged_by, (
        SELECT u.email FROM users AS u JOIN memberships AS m ON m.user_id = u.id WHERE u.id = $4 AND m.org_id = $1), '')
WHERE org_id = $1 AND id = $2 AND resolved_at IS NULL RETURNING true
"""
_CHANGES = f"""
SELECT t.id, t.at AS changed_at, t.before, t.after, t.category AS why, t.message AS words, t.silence, e.evidence,
       {rows.LOG}
FROM incidents AS i
JOIN monitor_transitions AS t ON t.org_id = i.org_id AND t.monitor_id = i.monitor_id
  AND t.id >= i.opened_by AND (i.resolved_by IS NULL OR t.id <= i.resolved_by)
LEFT JOIN monitor_logs AS l ON l.org_id = t.org_id AND l.monitor_id = t.monitor_id AND l.seq = t.seq
  AND l.checked_at BETWEEN t.at - interval '1 day' AND t.at + interval '1 day'
LEFT JOIN check_evidence AS e
  ON e.org_id = l.org_id AND e.monitor_id = l.monitor_id AND e.seq = l.seq AND e.checked_at = l.checked_at
WHERE i.org_id = $1 AND i.id = $2
"""  # noqa: S608 - made of constants
CHANGES = f"""
(SELECT * FROM ({_CHANGES}) AS c ORDER BY c.id LIMIT $3)
UNION (SELECT * FROM ({_CHANGES}) AS c ORDER BY c.id DESC LIMIT $3) ORDER BY 1
"""  # noqa: S608 - made of constants
# A transaction's events are shown once no older one is under way: what is read later stands later (I15).
EVENTS = f"""
SELECT e.xid::text AS xid, e.id AS event_id, e.kind, {_COLUMNS}
FROM incident_events AS e
JOIN incidents AS i ON i.org_id = e.org_id AND i.id = e.incident_id
JOIN monitors AS m ON m.org_id = i.org_id AND m.id = i.monitor_id
WHERE e.org_id = $1 AND (e.xid, e.id) > ($2::text::xid8, $3) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY e.xid, e.id LIMIT $4
"""  # noqa: S608 - made of constants
HEAD = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
STANDING = f"""
SELECT {_COLUMNS} {_FROM}
WHERE i.org_id = $1 AND i.resolved_at IS NULL AND EXISTS (
    SELECT FROM incident_events AS e
    WHERE e.org_id = i.org_id AND e.incident_id = i.id AND e.kind = 'opened' AND e.xid < $2::text::xid8)
ORDER BY i.id
"""  # noqa: S608 - made of constants

_LAST = 2**63 - 1


class IncidentStore:
    """Reads incidents, and takes note that somebody takes care."""

    def __init__(self, database: Database, *, clock: Callable[[], Instant] = wall_clock) -> None:
        self._database = database
        self._clock = clock

    async def timeline(self, org_id: int, incident_id: int) -> Timeline:
        """Return an incident with what belongs to it; raise NotFoundError if it isn't there, or is another's."""
        async with self._database.connection() as held:
            row = await held.fetchrow(ONE, org_id, incident_id)
            if row is None:
                raise _not_found(incident_id)
            changes = await held.fetch(CHANGES, org_id, incident_id, MAX_CHANGES)
            alerts = await with_attempts(held, org_id, await held.fetch(OF_INCIDENT, org_id, incident_id))
        return Timeline(incident=_incident(row), changes=tuple(map(_change, changes)), alerts=tuple(alerts))

    async def require(self, org_id: int, incident_id: int) -> None:
        """Raise NotFoundError unless an incident is there, and not another's."""
        async with self._database.connection() as held:
            if await held.fetchrow(ONE, org_id, incident_id) is None:
                raise _not_found(incident_id)

    async def page(self, org_id: int, query: IncidentQuery) -> list[Incident]:
        """Return at most ``query.limit`` incidents, newest first."""
        async with self._database.connection() as held:
            found = await held.fetch(
                LIST,
                org_id,
                query.monitor_id,
                query.is_open,
                None if query.start is None else to_datetime(query.start),
                None if query.end is None else to_datetime(query.end),
                query.before_id,
                query.limit,
            )
        return [_incident(row) for row in found]

    async def acknowledge(self, org_id: int, incident_id: int, user_id: int) -> Incident:
        """Note that a user takes care; who did so first stays.

        Raises:
            NotFoundError: it isn't there, or is another's.
            FailedPreconditionError: it is over.

        """
        async with self._database.transaction(None) as held:
            noted = await held.fetchval(ACKNOWLEDGE, org_id, incident_id, to_datetime(self._clock()), user_id)
            row = await held.fetchrow(ONE, org_id, incident_id)
        if row is None:
            raise _not_found(incident_id)
        if noted is None:
            raise FailedPreconditionError("The incident is over: there is nothing left to take care of.")
        return _incident(row)

    async def standing(self, org_id: int) -> tuple[EventPosition, list[Incident]]:
        """Return the incidents that go on, and the position from which on events are news."""
        async with self._database.connection() as held:
            head = await held.fetchval(HEAD)
            found = await held.fetch(STANDING, org_id, head)
        return EventPosition(int(head) - 1, _LAST), [_incident(row) for row in found]

    async def events(self, org_id: int, after: EventPosition, limit: int) -> list[IncidentEvent]:
        """Return at most ``limit`` events behind a position, in order."""
        async with self._database.connection() as held:
            found = await held.fetch(EVENTS, org_id, str(after.transaction), after.event, limit)
        return [
            IncidentEvent(
                position=EventPosition(int(row["xid"]), row["event_id"]),
                kind=IncidentEventKind(row["kind"]),
                incident=_incident(row),
            )
            for row in found
        ]


def _incident(row: Row) -> Incident:
    return Incident(
        id=row["id"],
        org_id=row["org_id"],
        monitor_id=row["monitor_id"],
        monitor_name=row["name"],
        opened_at=from_datetime(row["opened_at"]),
        acknowledged_at=None if row["acknowledged_at"] is None else from_datetime(row["acknowledged_at"]),
        acknowledged_by=row["acknowledged_by"] or "",
        resolved_at=None if row["resolved_at"] is None else from_datetime(row["resolved_at"]),
        category=row["category"] or "",
        message=row["message"],
        screenshot_url=row["screenshot_url"] or "",
    )


def _change(row: Row) -> StatusChange:
    first = len(row) - len(rows.LOG_COLUMNS)
    entry = None
    if row["seq"] is not None:
        entry = rows.log_entry(row[first:], row["evidence"])
    return StatusChange(
        at=from_datetime(row["changed_at"]),
        before=Status(row["before"]),
        after=Status(row["after"]),
        category=row["why"] or "",
        message=row["words"],
        silence=row["silence"] or "",
        entry=entry,
    )


def _not_found(incident_id: int) -> NotFoundError:
    return NotFoundError(f"There is no incident {incident_id}.", id=str(incident_id))
