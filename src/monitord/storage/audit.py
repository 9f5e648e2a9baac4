"""The audit of I5: every slot of every enabled monitor has a result or a GAP, and nothing is skipped in silence.

Which slots there were follows from (id, interval) alone (``domain.schedule``), so this compares what should be in the
log with what is, without asking the engine that made it.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable

import asyncpg
import msgspec
import structlog

from monitord.domain.check import Trigger
from monitord.domain.errors import UnavailableError
from monitord.domain.instant import MINUTE, SECOND, Instant, from_datetime, to_datetime
from monitord.domain.schedule import grid_of
from monitord.storage.database import Connection, Database, Row
from monitord.storage.monitors import wall_clock

# Rows are found by when they were made, never before their slot but for a small step of the clock: that has an index.
_MADE_SINCE = "checked_at >= $1::timestamptz - interval '1 minute'"
SPANS = f"""
SELECT s.monitor_id, s.valid_from, s.valid_until, s.interval_s, COALESCE(l.slots, 0)
FROM monitor_schedules AS s LEFT JOIN (
    SELECT org_id, monitor_id, count(DISTINCT scheduled_at) AS slots FROM monitor_logs
    WHERE {_MADE_SINCE} AND scheduled_at >= $1 AND scheduled_at < $2 AND trigger = {Trigger.SCHEDULED:d}
    GROUP BY org_id, monitor_id
) AS l ON l.org_id = s.org_id AND l.monitor_id = s.monitor_id
WHERE s.valid_from < $2 AND (s.valid_until IS NULL OR s.valid_until > $1)
"""  # noqa: S608 - made of constants
COVERED = f"""
SELECT monitor_id, scheduled_at, gap_until FROM monitor_logs
WHERE {_MADE_SINCE} AND monitor_id = ANY($3::bigint[])
  AND (trigger = {Trigger.SCHEDULED:d} AND scheduled_at >= $1 AND scheduled_at < $2
       OR trigger = {Trigger.GAP:d} AND scheduled_at < $2 AND gap_until > $1)
"""  # noqa: S608 - made of constants

_PERIOD_S = 60.0
_SETTLED = 90 * SECOND
"""A slot this old has its row: the longest check takes 60 s."""
_REACH = 10 * MINUTE
"""How far back the first audit looks, and how long a window is at most."""
_KEPT_WINDOWS = 60
"""How many windows with uncovered slots are looked at again: late rows fill them, and true holes show for an hour."""
_CHUNK = 500
_CAP = 100

_log = structlog.get_logger(__name__)

_Span = tuple[int, Instant, Instant, int]
"""Monitor, the beginning and the end within the window, the interval in microseconds."""


class Uncovered(msgspec.Struct, frozen=True):
    """What an audit found: hopefully nothing."""

    count: int
    examples: tuple[tuple[int, Instant], ...]
    """Monitors and slots, at most a hundred."""


async def uncovered_slots(database: Database, start: Instant, end: Instant) -> Uncovered:
    """Compare the slots within [start, end) with the log. For the operator: it crosses organisations.

    Raises:
        UnavailableError: the database is away.

    """
    count = 0
    examples: list[tuple[int, Instant]] = []
    async with database.transaction() as tx:
        async for suspects in _suspects(tx, start, end):
            for monitor_id, slot in await _holes(tx, suspects, start, end):
                count += 1
                if len(examples) < _CAP:
                    examples.append((monitor_id, slot))
    return Uncovered(count, tuple(examples))


async def _suspects(tx: Connection, start: Instant, end: Instant) -> AsyncIterator[list[_Span]]:
    """Yield chunks of spans whose rows are not as many as their slots: those have gaps, or holes."""
    suspects: list[_Span] = []
    cursor = await tx.cursor(SPANS, to_datetime(start), to_datetime(end))
    while chunk := await cursor.fetch(_CHUNK):  # the loop runs others between chunks
        for row in chunk:
            span = _span(row, start, end)
            if grid_of(span[0], span[3]).count(span[1], span[2]) != row[4]:
                suspects.append(span)
        if len(suspects) >= _CHUNK:
            yield suspects
            suspects = []
    if suspects:
        yield suspects


async def _holes(tx: Connection, spans: Iterable[_Span], start: Instant, end: Instant) -> list[tuple[int, Instant]]:
    by_monitor: defaultdict[int, list[_Span]] = defaultdict(list)
    for span in spans:
        by_monitor[span[0]].append(span)
    checked: defaultdict[int, set[Instant]] = defaultdict(set)
    gaps: defaultdict[int, list[tuple[Instant, Instant]]] = defaultdict(list)
    for row in await tx.fetch(COVERED, to_datetime(start), to_datetime(end), list(by_monitor)):
        if row[2] is None:
            checked[row[0]].add(from_datetime(row[1]))
        else:
            gaps[row[0]].append((from_datetime(row[1]), from_datetime(row[2])))
    return [
        (monitor_id, slot)
        for monitor_id, own in by_monitor.items()
        for _, first, last, interval in own
        for slot in range(grid_of(monitor_id, interval).at_or_after(first), last, interval)
        if slot not in checked[monitor_id] and not any(begin <= slot < until for begin, until in gaps[monitor_id])
    ]


def _span(row: Row, start: Instant, end: Instant) -> _Span:
    monitor_id, valid_from, valid_until, interval_s, _ = row
    first = max(start, from_datetime(valid_from))
    last = end if valid_until is None else min(end, from_datetime(valid_until))
    return monitor_id, first, last, interval_s * SECOND


class Auditor:
    """Audits each stretch of time once it is settled, and again for as long as something is missing in it."""

    def __init__(self, database: Database, *, clock: Callable[[], Instant] = wall_clock) -> None:
        self._database = database
        self._clock = clock
        self._audited_until: Instant | None = None
        self._open: dict[tuple[Instant, Instant], int] = {}

    @property
    def uncovered(self) -> int | None:
        """How many slots of the last while nobody accounts for; None before the first audit."""
        return None if self._audited_until is None else sum(self._open.values())

    async def run(self) -> None:
        """Audit every minute, until cancelled. Without the database there is nothing to audit: later, then."""
        while True:
            await asyncio.sleep(_PERIOD_S)
            try:
                await self.audit()
            except UnavailableError:
                continue
            except asyncpg.PostgresError as error:
                _log.error("the audit of slots failed", error=str(error))

    async def audit(self) -> None:
        """Look at what has settled since the last time, and again at what had holes then.

        Raises:
            UnavailableError: the database is away.

        """
        settled = self._clock() - _SETTLED
        begun = settled - _REACH if self._audited_until is None else self._audited_until
        for window in list(self._open):
            await self._look(*window)
        while begun < settled:
            end = min(begun + _REACH, settled)
            await self._look(begun, end)
            self._audited_until = begun = end
        while len(self._open) > _KEPT_WINDOWS:
            del self._open[next(iter(self._open))]

    async def _look(self, start: Instant, end: Instant) -> None:
        found = await uncovered_slots(self._database, start, end)
        if not found.count:
            self._open.pop((start, end), None)
            return
        if (start, end) not in self._open:
            _log.warning("slots without a result or a gap", count=found.count, examples=found.examples[:3])
        self._open[start, end] = found.count
