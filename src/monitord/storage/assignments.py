"""What the engine reads of the store: every active monitor's version, and where each stands.

Not for users: it crosses organisations.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from monitord.domain.check import Trigger
from monitord.domain.instant import SECOND, Instant, from_datetime, to_datetime
from monitord.domain.kinds import HeartbeatCheck
from monitord.domain.monitor import Assignment, Monitor
from monitord.storage import rows
from monitord.storage.database import Connection, Database, Row
from monitord.storage.heartbeats import words_of
from monitord.storage.monitor_rows import RECENT
from monitord.storage.monitors import wall_clock
from monitord.storage.sealing import Sealer

VERSIONS = "SELECT id, version FROM monitors WHERE id > $1 AND is_active ORDER BY id LIMIT $2"
MONITORS = f"""
SELECT {rows.MONITOR}, {rows.HEALTH}, c.valid_from
FROM monitors AS m
JOIN monitor_states AS s ON s.org_id = m.org_id AND s.monitor_id = m.id
LEFT JOIN monitor_schedules AS c ON c.org_id = m.org_id AND c.monitor_id = m.id AND c.valid_until IS NULL
WHERE m.id = ANY($1::bigint[])
"""  # noqa: S608 - made of constants
# Positions count in the order of commits, and so do a monitor's sequence numbers. If all old rows of an organisation
# come before all its recent ones, then a monitor with a recent row has its newest row among those. After a clock that
# was wrong this may not hold.
IN_ORDER = """
SELECT o.id, bool_and(old.last IS NULL) AS fresh
FROM unnest($1::bigint[]) AS o (id) CROSS JOIN shards AS h
CROSS JOIN LATERAL (
    SELECT max(position) AS last FROM monitor_logs WHERE org_id = o.id AND shard = h.id AND checked_at < $2
) AS old
CROSS JOIN LATERAL (
    SELECT min(position) AS first FROM monitor_logs WHERE org_id = o.id AND shard = h.id AND checked_at >= $2
) AS recent
GROUP BY o.id
HAVING bool_and(old.last IS NULL OR COALESCE(old.last < recent.first, false))
"""
_COVERS = f"trigger IN ({Trigger.SCHEDULED:d}, {Trigger.GAP:d})"
_NEWEST = f"""
SELECT t.monitor_id, l.seq, l.covered_until
FROM unnest($1::bigint[], $2::bigint[]) AS t (org_id, monitor_id)
CROSS JOIN LATERAL (
    SELECT max(seq) AS seq,
           max(COALESCE(gap_until, scheduled_at + interval '1 microsecond')) FILTER (WHERE {_COVERS}) AS covered_until
    FROM (
        SELECT seq, trigger, scheduled_at, gap_until FROM monitor_logs
        WHERE org_id = t.org_id AND monitor_id = t.monitor_id AND {{condition}}
        ORDER BY seq DESC LIMIT $3
    ) AS newest
) AS l
WHERE l.seq IS NOT NULL
"""  # noqa: S608 - made of constants
NEWEST_RECENT = _NEWEST.format(condition="checked_at >= $4")
NEWEST = _NEWEST.format(condition="true")
NEWEST_COVERING = _NEWEST.format(condition=_COVERS)

_PAGE = 5_000
_CHUNK = 1_000
_ROWS = 8
"""How many of the newest rows to look at: a gap may be recorded while a check is under way, out of order."""

_Newest = dict[int, tuple[int, datetime | None]]
"""By monitor: its last sequence number, and the end of what its newest rows cover."""


class Assignments:
    """Implements the engine's MonitorSource."""

    def __init__(self, database: Database, sealer: Sealer, *, clock: Callable[[], Instant] = wall_clock) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock

    async def versions(self) -> dict[int, int]:
        """Return the version of each active monitor, by id; page by page, so that the loop is never held up."""
        found: dict[int, int] = {}
        after = 0
        async with self._database.connection() as held:
            while True:
                page = await held.fetch(VERSIONS, after, _PAGE)
                found.update((row[0], row[1]) for row in page)
                if len(page) < _PAGE:
                    return found
                after = page[-1][0]

    async def load(self, ids: Sequence[int]) -> list[Assignment]:
        """Return what an actor and a writer need to go on with these monitors, active or not.

        In no certain order; ids that are not there are left out.
        """
        loaded: list[Assignment] = []
        for start in range(0, len(ids), _CHUNK):
            # One snapshot: a configuration and the rows that it made.
            async with self._database.connection() as held, held.transaction(isolation="repeatable_read"):
                loaded += await self._load(held, list(ids[start : start + _CHUNK]))
        return loaded

    async def _load(self, held: Connection, ids: list[int]) -> list[Assignment]:
        end = len(rows.MONITOR_COLUMNS)
        found = [(rows.monitor(row[:end], self._sealer), row) for row in await held.fetch(MONITORS, ids)]
        now = self._clock()
        newest = await _newest(held, [monitor for monitor, _ in found], now)
        words = await words_of(held, (m.id for m, _ in found if isinstance(m.spec.check, HeartbeatCheck)))
        return [
            Assignment(
                monitor=monitor,
                health=rows.health(row[end:-1]),
                last_seq=last_seq,
                covered_until=_covered_until(monitor, row[-1], covered, now),
                words=words.get(monitor.id),
            )
            for monitor, row in found
            for last_seq, covered in (newest.get(monitor.id, (0, None)),)
        ]


async def _newest(held: Connection, monitors: list[Monitor], now: Instant) -> _Newest:
    """Return what the newest rows of each monitor tell.

    Where it is known to be right, only the recent partitions are looked at: after a restart with 100,000 monitors, a
    month of others would have to be read from disk.
    """
    recent = to_datetime(now - RECENT)
    owners = list({monitor.org_id for monitor in monitors})
    in_order = {row["id"]: row["fresh"] for row in await held.fetch(IN_ORDER, owners, recent)}
    quick = [monitor for monitor in monitors if monitor.org_id in in_order]
    found = _by_monitor(await held.fetch(NEWEST_RECENT, *_keys(quick), _ROWS, recent))
    deep = [m for m in monitors if m.id not in found and not in_order.get(m.org_id, False)]
    if deep:
        found |= _by_monitor(await held.fetch(NEWEST, *_keys(deep), _ROWS))
    uncovered = [m for m in monitors if m.id in found and found[m.id][1] is None]
    if uncovered:
        # Its last rows are all re-checks, or checks by hand: rare, and worth a longer look.
        before = _by_monitor(await held.fetch(NEWEST_COVERING, *_keys(uncovered), _ROWS))
        found |= {monitor_id: (found[monitor_id][0], covered) for monitor_id, (_, covered) in before.items()}
    return found


def _covered_until(
    monitor: Monitor, span_start: datetime | None, covered_by_rows: datetime | None, now: Instant
) -> Instant:
    """Return the moment before which every slot of the current schedule has a row, or is not owed one (I5)."""
    covered = monitor.updated_at if span_start is None else from_datetime(span_start)
    if covered_by_rows is not None:
        covered = max(covered, from_datetime(covered_by_rows))
    # Rows from far in the future were made while the clock was wrong. Believed, they would stop the checks until then.
    return covered if covered <= now + monitor.spec.interval_s * SECOND else now


def _keys(monitors: list[Monitor]) -> tuple[list[int], list[int]]:
    return [monitor.org_id for monitor in monitors], [monitor.id for monitor in monitors]


def _by_monitor(fetched: list[Row]) -> _Newest:
    return {monitor_id: (seq, covered_until) for monitor_id, seq, covered_until in fetched}
