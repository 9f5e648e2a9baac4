"""What a live table knows: a small row for each monitor, and the rate and lateness of the last seconds."""

from collections.abc import Iterator
from itertools import chain, islice

import msgspec

from monitord.console.feed import Change, Commit
from monitord.console.glyphs import printable
from monitord.domain.check import Trigger
from monitord.domain.health import Status
from monitord.domain.instant import SECOND, Instant, Micros
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Assignment
from monitord.domain.uptime import TimeIn

STRIP = 20
"""How many results the history shows."""

RATE_S = 10
"""Over how many seconds the rate and the lateness are told."""

_SORTED = 500
"""Up to so many monitors of one status are sorted by name; more would cost the event loop too much."""

_WORST_FIRST = (
    Status.FAULTED,
    Status.DOWN,
    Status.UNREACHABLE,
    Status.DEGRADED,
    Status.UNKNOWN,
    Status.PENDING,
    Status.MAINTENANCE,
    Status.UP,
    Status.PAUSED,
)


class Row(msgspec.Struct, gc=False):
    """One monitor."""

    name: str
    target: str
    status: Status
    since: Instant
    counted_from: Instant
    """Up to here the time is in ``up`` and ``down``."""
    response_ms: float | None = None
    strip: bytes = b""
    """The newest verdicts by number, the newest last; 0 is a gap."""
    up: Micros = 0
    down: Micros = 0

    def count_until(self, moment: Instant) -> None:
        """Add the time since the last count to what was judged."""
        length = max(0, moment - self.counted_from)
        if self.status in (Status.UP, Status.DEGRADED):
            self.up += length
        elif self.status is Status.DOWN:
            self.down += length
        self.counted_from = max(moment, self.counted_from)

    def uptime(self, now: Instant) -> float | None:
        """Return the share of time in which the target worked, since this process began to watch it."""
        self.count_until(now)
        return TimeIn(up=self.up, down=self.down).uptime


class Board:
    """Every monitor's row, and who is worst off."""

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}
        self._by_status: dict[Status, dict[int, Row]] = {status: {} for status in _WORST_FIRST}
        self._seconds: dict[int, tuple[int, Micros]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def adopt(self, assignment: Assignment, now: Instant) -> None:
        """Begin a row, or take over the history of the one that is there."""
        monitor, health = assignment.monitor, assignment.health
        known = self._rows.get(monitor.id)
        row = known or Row(name="", target="", status=health.status, since=health.since, counted_from=now)
        row.name, row.target = printable(monitor.spec.name), printable(monitor.spec.check.shown)
        self._rows[monitor.id] = row
        self._settle(monitor.id, row, health.status, health.since, now)

    def forget(self, monitor_id: int) -> None:
        """Drop a row."""
        row = self._rows.pop(monitor_id, None)
        if row is not None:
            del self._by_status[row.status][monitor_id]

    def committed(self, commit: Commit) -> None:
        """Take what was stored."""
        for entry in commit.entries:
            self._count(entry)
            row = self._rows.get(entry.monitor_id)
            if row is not None:
                row.strip = (row.strip + bytes((entry.verdict or 0,)))[-STRIP:]
                if entry.verdict is not None:
                    row.response_ms = entry.response_time_ms
        for change in commit.changes:
            self._change(change)

    def counts(self) -> Iterator[tuple[Status, int]]:
        """Yield how many monitors have each status, the worst first; statuses without any are left out."""
        return ((status, len(rows)) for status, rows in self._by_status.items() if rows)

    def worst(self, limit: int) -> list[Row]:
        """Return at most ``limit`` rows, the worst first, by name within a status where that is affordable."""
        ordered = (
            sorted(rows.values(), key=lambda row: row.name) if len(rows) <= _SORTED else rows.values()
            for rows in self._by_status.values()
        )
        return list(islice(chain.from_iterable(ordered), limit))

    def rate(self, now: Instant) -> tuple[float, float]:
        """Return checks per second, and the greatest lateness in ms, over the last ten whole seconds."""
        last = now // SECOND
        self._seconds = {second: seen for second, seen in self._seconds.items() if second >= last - RATE_S}
        whole = [seen for second, seen in self._seconds.items() if second < last]
        span = min(RATE_S, last - min(self._seconds, default=last)) or 1
        return sum(count for count, _ in whole) / span, max((late for _, late in whole), default=0) / 1000

    def _count(self, entry: LogEntry) -> None:
        if entry.verdict is None:
            return
        second = entry.checked_at // SECOND
        count, latest = self._seconds.get(second, (0, 0))
        late = entry.checked_at - entry.scheduled_at if entry.trigger is Trigger.SCHEDULED else 0
        self._seconds[second] = (count + 1, max(latest, late))

    def _change(self, change: Change) -> None:
        row = self._rows.get(change.monitor_id)
        if row is not None:
            # After an outage of the database one commit may hold several.
            for transition in change.transitions:
                self._settle(change.monitor_id, row, transition.after, transition.at, moment=transition.at)

    def _settle(self, monitor_id: int, row: Row, status: Status, since: Instant, moment: Instant) -> None:
        row.count_until(moment)
        self._by_status[row.status].pop(monitor_id, None)
        row.status, row.since = status, since
        self._by_status[status][monitor_id] = row
