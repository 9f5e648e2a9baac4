"""Questions to the store, and their answers."""

from enum import IntEnum

import msgspec

from monitord.domain.check import Verdict
from monitord.domain.health import Health, Status
from monitord.domain.instant import Instant, Micros
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Monitor
from monitord.domain.uptime import TimeIn


class MonitorView(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor with how it does."""

    monitor: Monitor
    health: Health
    last: LogEntry | None
    """Its newest row of the log, without evidence."""


class MonitorOrder(IntEnum):
    """How a list of monitors is sorted. The numbers are sent: never reuse one."""

    ID = 1
    ID_DESC = 2
    NAME = 3
    """By code points."""
    NAME_DESC = 4


class MonitorQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which monitors, in which order, and from where on. All conditions must hold."""

    limit: int = 50
    """At least 1."""
    order: MonitorOrder = MonitorOrder.ID
    after: int | str | None = None
    """The last one of the page before: its id, or its name where sorted by name."""
    statuses: tuple[Status, ...] = ()
    """Any of these; empty: all."""
    types: tuple[str, ...] = ()
    """Any of these kinds of check, such as ``http``; empty: all."""
    active: bool | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """All of these."""
    names: tuple[str, ...] = ()
    """Any of these, exactly; empty: all."""


class ApplyAction(IntEnum):
    """What applying a set does with one monitor. The numbers are sent: never reuse one."""

    CREATED = 1
    CHANGED = 2
    UNCHANGED = 3
    REMOVED = 4


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What was done with one monitor of a set, or would be."""

    name: str
    action: ApplyAction
    changed_fields: tuple[str, ...] = ()
    """The fields of ``MonitorSpec`` that changed; those of the check as ``http.url``. Only for CHANGED."""
    id: int = 0
    """0 for one that a dry run would create."""
    version: int = 0
    """As stored now; 0 where it is gone or was not yet created."""


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows of one monitor's log, newest first."""

    monitor_id: int
    limit: int = 50
    """At least 1."""
    before_seq: int | None = None
    """The last row of the page before."""
    start: Instant | None = None
    """Rows whose check began at or after this."""
    end: Instant | None = None
    """Rows whose check began before this."""
    verdicts: tuple[Verdict, ...] = ()
    """Any of these; empty: all rows, gaps included."""


class ResponseTimes(msgspec.Struct, frozen=True):
    """In milliseconds, over UP and DEGRADED checks; None where there were none."""

    average: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class MonitorMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Uptime and response times of one monitor over [start, end)."""

    start: Instant
    end: Instant
    time: TimeIn
    downtime_last_24h: Micros
    """Time in DOWN in the 24 hours before ``end``."""
    response_times: ResponseTimes
    check_count: int
    """Every check in the window, gaps excluded."""
    down_check_count: int
    """Of those, with verdict DOWN."""
