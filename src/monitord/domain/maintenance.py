"""Maintenance windows: when they are open, and for which monitors. Pure: the time is an argument.

Moments of a recurring window are found on the wall clock of its zone. A local time that a change to summer time skips
falls on the moment after the gap; one that comes twice in autumn counts once, the first time.
"""

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim

from monitord.domain.instant import SECOND, Instant, Micros, from_datetime, to_datetime
from monitord.domain.kinds.heartbeat import CronSchedule
from monitord.domain.monitor import Monitor

MAX_DURATION_S = 31 * 86_400
_NEVER: Instant = 1 << 62


class Once(msgspec.Struct, frozen=True, tag="once"):
    """Open from ``start`` until ``end``, excluded."""

    start: Instant
    end: Instant


class Recurring(msgspec.Struct, frozen=True, tag="recurring"):
    """Open for ``duration_s`` from each time of ``cron`` on."""

    cron: CronSchedule
    duration_s: int


class MaintenanceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a user decides about a window."""

    name: str
    schedule: Once | Recurring
    monitor_ids: tuple[int, ...] = ()
    """These monitors; with ``labels``, those as well. Neither: all of the organisation's."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """Monitors that have all of these."""
    active: bool = True


class MaintenanceWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored window."""

    id: int
    org_id: int
    spec: MaintenanceSpec
    version: int
    created_at: Instant
    updated_at: Instant


class Span(msgspec.Struct, frozen=True):
    """What holds at a moment, and from when until when: [``since``, ``until``)."""

    since: Instant
    until: Instant
    is_open: bool


def span_at(spec: MaintenanceSpec, moment: Instant) -> Span:
    """Return whether a window is open at a moment, and the time around it for which that answer holds.

    ``since`` may be later than the answer's true beginning, and ``until`` earlier than its true end.
    """
    if not spec.active:
        return Span(-_NEVER, _NEVER, False)
    if isinstance(spec.schedule, Once):
        start, end = spec.schedule.start, spec.schedule.end
        if moment < start:
            return Span(-_NEVER, start, False)
        return Span(start, end, True) if moment < end else Span(end, _NEVER, False)
    return _recurring_span(spec.schedule, moment)


def covers(spec: MaintenanceSpec, monitor: Monitor) -> bool:
    """Return whether a window is about a monitor of its organisation."""
    if not spec.monitor_ids and not spec.labels:
        return True
    if monitor.id in spec.monitor_ids:
        return True
    labels = monitor.spec.labels
    return bool(spec.labels) and all(labels.get(key) == value for key, value in spec.labels.items())


def next_start(spec: MaintenanceSpec, moment: Instant) -> Instant | None:
    """Return when a window opens next after a moment; None if it never does again."""
    if not spec.active:
        return None
    if isinstance(spec.schedule, Once):
        return spec.schedule.start if spec.schedule.start > moment else None
    return next(_times(spec.schedule.cron, moment + 1), None)


def _recurring_span(schedule: Recurring, moment: Instant) -> Span:
    length: Micros = schedule.duration_s * SECOND
    last = next(_times(schedule.cron, moment + 1, back=True), None)
    if last is not None and moment < last + length:
        # The next opening may come before this one's end: then it is open for longer than is told here.
        return Span(last, last + length, True)
    opening = next(_times(schedule.cron, moment + 1), None)
    return Span(-_NEVER if last is None else last + length, _NEVER if opening is None else opening, False)


def _times(cron: CronSchedule, moment: Instant, *, back: bool = False) -> Iterator[Instant]:
    """Yield the times of a schedule at or after a moment; or those before it, the latest first."""
    zone = ZoneInfo(cron.time_zone)
    # Cron counts whole seconds from here on: a microsecond more or less is cut off by the comparison.
    begin = to_datetime(max(moment, 0)).astimezone(zone) + dt.timedelta(seconds=1 if back else -1)
    for time in CronSim(cron.expression, begin, reverse=back):
        opening = from_datetime(time.astimezone(dt.UTC))
        if opening < moment if back else opening >= moment:
            yield opening
