"""The store of the check log, as its readers see it. Every method that reads rows takes the organisation first (T9)."""

import datetime as dt
from collections.abc import Callable, Sequence

from monitord.domain.check import Trigger, Verdict
from monitord.domain.errors import NotFoundError
from monitord.domain.health import Status
from monitord.domain.instant import DAY, HOUR, MINUTE, Instant, Micros, from_datetime, to_datetime
from monitord.domain.log import LogEntry
from monitord.domain.queries import LogQuery, MonitorMetrics, ResponseTimes
from monitord.domain.uptime import StatusChange, TimeIn, Unseen, time_in, with_gaps
from monitord.storage import rows
from monitord.storage.database import Connection, Database
from monitord.storage.monitor_writes import not_found
from monitord.storage.monitors import wall_clock
from monitord.storage.plan_retention import kept_since

# No row: no such monitor. How long its organisation's plan keeps the log comes with it.
MONITOR = """
SELECT p.retention_days FROM monitors AS m
JOIN organisations AS o ON o.id = m.org_id LEFT JOIN plans AS p ON p.name = o.plan
WHERE m.org_id = $1 AND m.id = $2
"""
# The times are always given, so that the planner sees what can be pruned.
PAGE = f"""
SELECT {rows.LOG} FROM monitor_logs AS l
WHERE l.org_id = $1 AND l.monitor_id = $2 AND l.seq < $3 AND l.checked_at >= $4 AND l.checked_at < $5
  AND ($6::smallint[] IS NULL OR l.verdict = ANY($6))
ORDER BY l.seq DESC LIMIT $7
"""  # noqa: S608 - made of constants
ROW = f"""
SELECT e.evidence, {rows.LOG} FROM monitor_logs AS l
LEFT JOIN check_evidence AS e
  ON $4 AND e.org_id = l.org_id AND e.monitor_id = l.monitor_id AND e.seq = l.seq AND e.checked_at = l.checked_at
WHERE l.org_id = $1 AND l.monitor_id = $2 AND l.seq = $3 AND l.checked_at >= $5
"""  # noqa: S608 - made of constants
FEED = f"""
SELECT {rows.LOG} FROM monitor_logs AS l
WHERE l.org_id = $1 AND l.shard = $2 AND l.position > $3 AND ($4::bigint[] IS NULL OR l.monitor_id = ANY($4))
ORDER BY l.position LIMIT $5
"""  # noqa: S608 - made of constants
HEAD = "SELECT position FROM shards WHERE id = $1"
OLDEST = """
SELECT GREATEST(s.kept_from, f.kept_from) FROM shards AS s
LEFT JOIN log_floors AS f ON f.org_id = $1 AND f.shard = s.id
WHERE s.id = $2
"""
FIRST_BETWEEN = """
SELECT min(position) FROM monitor_logs
WHERE org_id = $1 AND shard = $2 AND checked_at >= $3 AND checked_at < $4
  AND ($5::bigint[] IS NULL OR monitor_id = ANY($5))
"""
NTH_LAST = """
SELECT min(position) FROM (
    SELECT position FROM monitor_logs WHERE org_id = $1 AND shard = $2 ORDER BY position DESC LIMIT $3
) AS l
"""
NTH_LAST_OF = """
SELECT min(position) FROM (
    SELECT l.position FROM unnest($4::bigint[]) AS t (id) CROSS JOIN LATERAL (
        SELECT position FROM monitor_logs WHERE org_id = $1 AND monitor_id = t.id AND shard = $2
        ORDER BY seq DESC LIMIT $3
    ) AS l ORDER BY l.position DESC LIMIT $3
) AS newest
"""
TRANSITIONS = """
(SELECT at, after, id FROM monitor_transitions WHERE org_id = $1 AND monitor_id = $2 AND at <= $3
 ORDER BY at DESC, id DESC LIMIT 1)
UNION ALL
(SELECT at, after, id FROM monitor_transitions WHERE org_id = $1 AND monitor_id = $2 AND at > $3 AND at < $4)
ORDER BY at, id
"""
# A gap is recorded after it, perhaps after the end of the window.
GAPS = f"""
SELECT scheduled_at, gap_until FROM monitor_logs
WHERE org_id = $1 AND monitor_id = $2 AND checked_at > $3 AND trigger = {Trigger.GAP:d} AND scheduled_at < $4
ORDER BY scheduled_at
"""  # noqa: S608 - made of constants
_WORKED = f"verdict IN ({Verdict.UP:d}, {Verdict.DEGRADED:d})"
STATISTICS = f"""
SELECT count(*) AS checks,
       count(*) FILTER (WHERE verdict = {Verdict.DOWN:d}) AS down,
       avg(response_time) FILTER (WHERE {_WORKED}) AS average,
       percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY response_time)
           FILTER (WHERE {_WORKED}) AS percentiles
FROM monitor_logs
WHERE org_id = $1 AND monitor_id = $2 AND checked_at >= $3 AND checked_at < $4 AND trigger <> {Trigger.GAP:d}
"""  # noqa: S608 - made of constants

_BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_END = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
_LAST_SEQ = 2**63 - 1
_SHARD = 0
_OUT_OF_ORDER = 5 * MINUTE
"""Rows are committed as their checks end: one that began earlier than another follows it by less than this."""
_WINDOWS = (10 * MINUTE, 6 * HOUR, 7 * DAY, 100_000 * DAY)
"""Each is searched where the one before has no row: the first row after a moment is mostly near it."""


class LogStore:
    """Reads the check log; only the ledger writes it."""

    def __init__(self, database: Database, *, clock: Callable[[], Instant] = wall_clock) -> None:
        self._database = database
        self._clock = clock

    async def page(self, org_id: int, query: LogQuery) -> list[LogEntry]:
        """Return one page of a monitor's rows, newest first, without evidence.

        Raises:
            NotFoundError: the monitor isn't there, or is another's.

        """
        async with self._database.connection() as held:
            kept = await self._kept_since(held, org_id, query.monitor_id)
            found = await held.fetch(
                PAGE,
                org_id,
                query.monitor_id,
                _LAST_SEQ if query.before_seq is None else query.before_seq,
                kept if query.start is None else max(kept, to_datetime(query.start)),
                _END if query.end is None else to_datetime(query.end),
                [int(verdict) for verdict in query.verdicts] or None,
                query.limit,
            )
        return [rows.log_entry(row[:]) for row in found]

    async def get(self, org_id: int, monitor_id: int, seq: int, *, with_evidence: bool = True) -> LogEntry:
        """Return one row.

        Raises:
            NotFoundError: the row or its monitor isn't there, or is another's.

        """
        async with self._database.connection() as held:
            kept = await self._kept_since(held, org_id, monitor_id)
            row = await held.fetchrow(ROW, org_id, monitor_id, seq, with_evidence, kept)
        if row is None:
            raise NotFoundError(f"Monitor {monitor_id} has no row {seq} in its log.", sequence=str(seq))
        return rows.log_entry(row[1:], row[0])

    async def metrics(self, org_id: int, monitor_id: int, start: Instant, end: Instant) -> MonitorMetrics:
        """Return uptime and response times of a monitor over [start, end).

        Raises:
            NotFoundError: the monitor isn't there, or is another's.

        """
        day_before = end - DAY
        async with self._database.connection() as held:
            await self._kept_since(held, org_id, monitor_id)
            since, until = to_datetime(min(start, day_before)), to_datetime(end)
            changes = with_gaps(
                [
                    StatusChange(from_datetime(row["at"]), Status(row["after"]))
                    for row in await held.fetch(TRANSITIONS, org_id, monitor_id, since, until)
                ],
                [
                    Unseen(from_datetime(row["scheduled_at"]), from_datetime(row["gap_until"]))
                    for row in await held.fetch(GAPS, org_id, monitor_id, since, until)
                ],
            )
            seen = await held.fetchrow(STATISTICS, org_id, monitor_id, to_datetime(start), until)
        if seen is None:
            raise AssertionError("an aggregate has one row")
        now = self._clock()
        return MonitorMetrics(
            start=start,
            end=end,
            time=_time_in(changes, start, end, now),
            downtime_last_24h=_time_in(changes, day_before, end, now).down,
            response_times=ResponseTimes(seen["average"], *(seen["percentiles"] or (None, None, None))),
            check_count=seen["checks"],
            down_check_count=seen["down"],
        )

    async def feed(
        self, org_id: int, monitor_ids: Sequence[int] | None, shard: int, after_position: int, limit: int
    ) -> list[LogEntry]:
        """Return the next rows of a tail, in the order of their positions, without evidence; None: all monitors."""
        async with self._database.connection() as held:
            found = await held.fetch(FEED, org_id, shard, after_position, _ids(monitor_ids), limit)
        return [rows.log_entry(row[:]) for row in found]

    async def head(self, shard: int) -> int:
        """Return the position of the newest row of a shard, whoever owns it."""
        async with self._database.connection() as held:
            return int(await held.fetchval(HEAD, shard))

    async def oldest_position(self, org_id: int, shard: int) -> int:
        """Return the position before which an organisation's rows may be gone, being older than they are kept."""
        async with self._database.connection() as held:
            return int(await held.fetchval(OLDEST, org_id, shard))

    async def position_at(
        self, org_id: int, monitor_ids: Sequence[int] | None, instant: Instant, *, shard: int = _SHARD
    ) -> int:
        """Return the position after which a tail begins that wants every row checked at or after ``instant``.

        Where there is none yet, the head.
        """
        ids = _ids(monitor_ids)
        async with self._database.connection() as held:
            head = int(await held.fetchval(HEAD, shard))
            for width in _WINDOWS:
                if await held.fetchval(FIRST_BETWEEN, org_id, shard, *_span(instant, width), ids) is not None:
                    around = _span(instant, width + _OUT_OF_ORDER)
                    return int(await held.fetchval(FIRST_BETWEEN, org_id, shard, *around, ids)) - 1
        return head

    async def position_of_last(
        self, org_id: int, monitor_ids: Sequence[int] | None, n: int, *, shard: int = _SHARD
    ) -> int:
        """Return the position after which a tail begins that wants the last ``n`` rows.

        Where there are none, the head.
        """
        ids = _ids(monitor_ids)
        async with self._database.connection() as held:
            head = int(await held.fetchval(HEAD, shard))
            if ids is None:
                first = await held.fetchval(NTH_LAST, org_id, shard, n)
            else:
                first = await held.fetchval(NTH_LAST_OF, org_id, shard, n, ids)
        return head if first is None else int(first) - 1

    async def _kept_since(self, held: Connection, org_id: int, monitor_id: int) -> dt.datetime:
        """Return from when on a monitor's rows are shown, whether the janitor came by or not. Raises NotFoundError."""
        row = await held.fetchrow(MONITOR, org_id, monitor_id)
        if row is None:
            raise not_found(monitor_id)
        days = row["retention_days"]
        return _BEGINNING if days is None else kept_since(to_datetime(self._clock()), days)


def _time_in(changes: Sequence[StatusChange], start: Instant, end: Instant, now: Instant) -> TimeIn:
    """Return the time in each status; what is yet to come is not known."""
    known = min(end, max(start, now))
    total = time_in(changes, start, known)
    total.unknown += end - known
    return total


def _span(start: Instant, width: Micros) -> tuple[dt.datetime, dt.datetime]:
    return to_datetime(start), min(to_datetime(start) + dt.timedelta(microseconds=width), _END)


def _ids(monitor_ids: Sequence[int] | None) -> list[int] | None:
    return None if monitor_ids is None else list(monitor_ids)
