"""Uptime as a share of time, from transitions: never a count of checks."""

from collections.abc import Iterable

import msgspec

from monitord.domain.health import Status
from monitord.domain.instant import Instant, Micros


class StatusChange(msgspec.Struct, frozen=True, gc=False):
    """From ``at`` on, until the next change, the monitor's status was ``status``."""

    at: Instant
    status: Status


class TimeIn(msgspec.Struct, gc=False):
    """How long, in microseconds, a monitor was in each kind of status within a window."""

    up: Micros = 0
    degraded: Micros = 0
    down: Micros = 0
    maintenance: Micros = 0
    paused: Micros = 0
    unknown: Micros = 0

    @property
    def uptime(self) -> float | None:
        """The share, 0 to 1, of the judged time in which the target worked; None when none was judged.

        Slow is up. UNKNOWN, MAINTENANCE and PAUSED time is left out of both sides and shown apart.
        """
        good = self.up + self.degraded
        judged = good + self.down
        return good / judged if judged else None


_FIELD = {
    Status.UP: "up",
    Status.DEGRADED: "degraded",
    Status.DOWN: "down",
    Status.MAINTENANCE: "maintenance",
    Status.PAUSED: "paused",
}


class Unseen(msgspec.Struct, frozen=True, gc=False):
    """From ``start`` until ``end``, excluded, slots went unchecked."""

    start: Instant
    end: Instant


def with_gaps(changes: Iterable[StatusChange], gaps: Iterable[Unseen]) -> list[StatusChange]:
    """Return the changes with the status unknown during each gap: nobody looked, so nobody may claim it was up.

    After a gap holds what was decided last, before it or in it. Both arguments are in order of time. A pause stays
    a pause.
    """
    told = list(changes)
    shaded: list[StatusChange] = []
    status, taken = Status.UNKNOWN, 0
    for gap in gaps:
        while taken < len(told) and told[taken].at <= gap.start:
            status = told[taken].status
            shaded.append(told[taken])
            taken += 1
        if status is Status.PAUSED:
            continue
        shaded.append(StatusChange(gap.start, Status.UNKNOWN))
        while taken < len(told) and told[taken].at < gap.end:
            status = told[taken].status
            taken += 1
        shaded.append(StatusChange(gap.end, status))
    return shaded + told[taken:]


def time_in(changes: Iterable[StatusChange], start: Instant, end: Instant) -> TimeIn:
    """Add up the time in each status within [start, end).

    ``changes`` are in order of time; the last one at or before ``start`` tells what was true then. Time
    before the first change is unknown.
    """
    total = TimeIn()
    status, since = Status.UNKNOWN, start
    for change in changes:
        moment = min(max(change.at, start), end)
        _add(total, status, moment - since)
        status, since = change.status, moment
    _add(total, status, end - since)
    return total


def _add(total: TimeIn, status: Status, length: Micros) -> None:
    if length > 0:
        name = _FIELD.get(status, "unknown")
        setattr(total, name, getattr(total, name) + length)
