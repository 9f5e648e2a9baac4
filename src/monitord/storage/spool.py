"""What waits to be committed: bounded, in order, and thinned out when the database stays away (I16, I17).

Results say the same thing again and again. From half of its bound on, the spool keeps of each run of equal results
the first and the last, and one GAP for those between: they could not have changed a status, and their slots stay
accounted for (I5). What flaps too much even for that goes into one GAP per monitor, the oldest first, and is counted.
Each result costs O(1) at all times: nothing ever walks over the spool.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from monitord.domain.check import CheckResult, Gap, GapReason, Trigger
from monitord.domain.errors import UnavailableError
from monitord.domain.instant import Instant
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Monitor


class Awaited(msgspec.Struct, frozen=True, eq=False):
    """A result that somebody waits for; never thinned out, and only dropped when nothing else is left."""

    result: CheckResult
    answer: "asyncio.Future[LogEntry]"


class GapRecord(msgspec.Struct, frozen=True):
    """A gap, and when it was recorded."""

    gap: Gap
    recorded_at: Instant


class Parking(msgspec.Struct, frozen=True, eq=False):
    """A monitor that becomes FAULTED; never dropped."""

    monitor: Monitor
    message: str
    at: Instant
    done: "asyncio.Future[None]"


class Barrier(msgspec.Struct, frozen=True, eq=False):
    """Done once all that was taken before it is committed."""

    done: "asyncio.Future[None]"


Item: TypeAlias = CheckResult | Awaited | GapRecord | Parking | Barrier


class _Node:
    """A place in the queue whose content may still be replaced, until it is taken."""

    __slots__ = ("item", "taken")

    def __init__(self, item: CheckResult | GapRecord) -> None:
        self.item = item
        self.taken = False


class _Tail:
    """The newest run of equal rows of one monitor: [first] [gap] last, the gap and last in nodes of their own."""

    __slots__ = ("gap", "idle", "key", "last", "several")

    def __init__(self, key: object, last: _Node, idle: bool) -> None:
        self.key = key
        self.last = last
        self.idle = idle
        """Whether the last row can be left out without a change to the fold."""
        self.gap: _Node | None = None
        self.several = False
        """Whether another row of the run stands before the last."""


class Spool:
    """A queue in the order of arrival per monitor, never longer than its bound plus one gap per monitor."""

    def __init__(self, max_rows: int, *, thin_from: int | None = None) -> None:
        """Hold at most ``max_rows`` rows, evidence for a fiftieth of them; thin out from ``thin_from`` on (half)."""
        self._max_rows = max_rows
        self._thin_from = max_rows // 2 if thin_from is None else thin_from
        self._max_evidence = max(1_000, max_rows // 50)
        self._evidence = 0
        self._queue: deque[Item | _Node] = deque()
        self._oldest: dict[int, GapRecord] = {}
        self._kept: deque[Parking | Barrier] = deque()
        self._tails: dict[int, _Tail] = {}
        self.thinned = 0
        """Results that a GAP stands for, because they said the same as their neighbours."""
        self.dropped = 0
        """Results that a GAP stands for although they might have mattered: the bound was reached."""

    def __len__(self) -> int:
        return len(self._queue) + len(self._oldest) + len(self._kept)

    def append(self, item: Item, *, idle: bool = False) -> None:
        """Add an item at the end. ``idle`` promises that leaving it out changes nothing that the fold decides."""
        if type(item) is CheckResult and item.observation.evidence is not None:
            item = self._with_evidence(item)
        if len(self._queue) < self._thin_from:
            if self._tails:
                self._tails.clear()  # what they know as the newest rows no longer are
            self._queue.append(item)
            return
        if type(item) is CheckResult:
            self._append_result(item, idle)
        elif type(item) is GapRecord:
            self._append_gap(item)
        else:
            self._append_apart(item)
        while len(self._queue) > self._max_rows:
            self._evict()

    def take(self, limit: int) -> list[Item]:
        """Remove and return the oldest items, at most ``limit``."""
        items: list[Item] = []
        while self._oldest and len(items) < limit:
            items.append(self._oldest.popitem()[1])  # across monitors any order will do
        while self._kept and len(items) < limit:
            items.append(self._kept.popleft())
        queue = self._queue
        for _ in range(min(limit - len(items), len(queue))):
            entry = queue.popleft()
            if type(entry) is _Node:
                entry.taken = True
                entry = entry.item
            items.append(entry)  # type: ignore[arg-type]
        if not queue:
            self._tails.clear()
        self._evidence -= sum(map(_has_evidence, items))
        return items

    def put_back(self, items: list[Item]) -> None:
        """Return what ``take`` gave, to its place before everything else."""
        self._evidence += sum(map(_has_evidence, items))
        self._queue.extendleft(reversed(items))

    def waiting(self) -> Iterator["asyncio.Future[Any]"]:
        """Yield the futures of those who wait for something in the spool."""
        for entry in (*self._kept, *self._queue):
            future = future_of(entry.item if type(entry) is _Node else entry)  # type: ignore[arg-type]
            if future is not None:
                yield future

    def _with_evidence(self, result: CheckResult) -> CheckResult:
        """Count a result's evidence, or take it away: an outage's length must not be paid in memory (I16)."""
        if self._evidence < self._max_evidence:
            self._evidence += 1
            return result
        return without_evidence(result)

    def _append_result(self, result: CheckResult, idle: bool) -> None:
        seen = result.observation
        key = (seen.verdict, seen.category, result.monitor_version, result.maintenance)
        idle = idle and result.trigger is not Trigger.MANUAL
        tail = self._tails.get(result.monitor_id)
        if tail is None or tail.key != key or tail.last.taken:
            self._begin(result, key, idle)
        elif tail.several and tail.idle:
            self._replace_last(tail, result, idle)
        else:
            tail.last = _Node(result)
            tail.several, tail.idle = True, idle
            self._queue.append(tail.last)

    def _replace_last(self, tail: _Tail, result: CheckResult, idle: bool) -> None:
        """Put a result in the place of the last one, which has equals on both sides now: a gap stands for it."""
        old = tail.last.item
        assert type(old) is CheckResult
        self._evidence -= _has_evidence(old)
        self.thinned += 1
        tail.idle = idle
        if old.trigger is not Trigger.SCHEDULED:  # covers no slot
            tail.last.item = result
        elif tail.gap is not None and not tail.gap.taken:
            tail.gap.item = _joined(tail.gap.item, old)
            tail.last.item = result
        else:
            tail.gap, tail.last = tail.last, _Node(result)
            tail.gap.item = _joined(None, old)
            self._queue.append(tail.last)

    def _append_gap(self, record: GapRecord) -> None:
        gap = record.gap
        key = (gap.reason, gap.monitor_version)
        tail = self._tails.get(gap.monitor_id)
        if tail is not None and tail.key == key and not tail.last.taken:
            tail.last.item = _joined(tail.last.item, record)
        else:
            self._begin(record, key, idle=False)

    def _append_apart(self, item: Item) -> None:
        """Add what is not thinned out; what follows it of its monitor must not get before it."""
        if isinstance(item, Awaited):
            self._tails.pop(item.result.monitor_id, None)
        elif isinstance(item, Parking):
            self._tails.pop(item.monitor.id, None)
        self._queue.append(item)

    def _begin(self, item: CheckResult | GapRecord, key: object, idle: bool) -> None:
        node = _Node(item)
        monitor_id = item.monitor_id if type(item) is CheckResult else item.gap.monitor_id  # type: ignore[union-attr]
        self._tails[monitor_id] = _Tail(key, node, idle)
        self._queue.append(node)

    def _evict(self) -> None:
        entry = self._queue.popleft()
        if type(entry) is _Node:
            entry.taken = True
            item: Item = entry.item
        else:
            item = entry  # type: ignore[assignment]
        if isinstance(item, Parking | Barrier):
            self._kept.append(item)
            return
        self._evidence -= _has_evidence(item)
        if isinstance(item, Awaited):
            if not item.answer.done():
                item.answer.set_exception(UnavailableError("The database is away, and too many results wait for it."))
            item = item.result
        if type(item) is CheckResult:
            self.dropped += 1
        monitor_id = item.monitor_id if type(item) is CheckResult else item.gap.monitor_id  # type: ignore[union-attr]
        joined = _joined(self._oldest.get(monitor_id), item)
        if joined is not None:
            self._oldest[monitor_id] = joined


def future_of(item: Item) -> "asyncio.Future[Any] | None":
    """Return the future of whoever waits for an item, if somebody does."""
    if isinstance(item, Awaited):
        return item.answer
    return item.done if isinstance(item, (Parking, Barrier)) else None


def without_evidence(result: CheckResult) -> CheckResult:
    """Return the result alone, without what explains it."""
    return msgspec.structs.replace(result, observation=msgspec.structs.replace(result.observation, evidence=None))


def _has_evidence(item: Item) -> bool:
    return type(item) is CheckResult and item.observation.evidence is not None


def _joined(before: GapRecord | CheckResult | None, item: GapRecord | CheckResult) -> Any:
    """Return one gap for a gap and what follows it; None where no slot is concerned."""
    if isinstance(item, CheckResult):
        if item.trigger is not Trigger.SCHEDULED:
            return before
        # One microsecond long: it covers this slot, and none of any other grid, should the interval have changed.
        slot, until, slots, recorded_at = item.scheduled_at, item.scheduled_at + 1, 1, item.started_at
        monitor_id, org_id, version, reason = item.monitor_id, item.org_id, item.monitor_version, GapReason.SPOOL_FULL
    else:
        gap = item.gap
        slot, until, slots, recorded_at = gap.first_slot, gap.until, gap.slots, item.recorded_at
        monitor_id, org_id, version, reason = gap.monitor_id, gap.org_id, gap.monitor_version, gap.reason
    if before is not None:
        assert isinstance(before, GapRecord)
        first = before.gap
        slot, until, slots = min(slot, first.first_slot), max(until, first.until), slots + first.slots
        reason = reason if reason is first.reason else GapReason.SPOOL_FULL
        recorded_at = max(recorded_at, before.recorded_at)
    gap = Gap(
        monitor_id=monitor_id,
        org_id=org_id,
        monitor_version=version,
        first_slot=slot,
        until=until,
        slots=slots,
        reason=reason,
    )
    return GapRecord(gap, recorded_at)
