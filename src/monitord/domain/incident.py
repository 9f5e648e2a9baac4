"""An outage, from the change that began it to the one that ended it, and what belongs to it."""

from enum import StrEnum

import msgspec

from monitord.domain.alert_record import AlertRecord
from monitord.domain.health import Status
from monitord.domain.instant import Instant
from monitord.domain.log import LogEntry


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """A stored incident."""

    id: int
    org_id: int
    monitor_id: int
    monitor_name: str
    """As it is now."""
    opened_at: Instant
    acknowledged_at: Instant | None = None
    acknowledged_by: str = ""
    """The e-mail address of the user."""
    resolved_at: Instant | None = None
    category: str = ""
    message: str = ""
    screenshot_url: str = ""


class IncidentEventKind(StrEnum):
    """What happens to incidents."""

    OPENED = "opened"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class EventPosition(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Where a reader of incidents stands: events come in this order, and none before one that was read."""

    transaction: int
    event: int


class IncidentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an incident, or nothing for a while."""

    position: EventPosition | None
    """None: the beginning is not yet complete, and a reader who leaves has to begin anew."""
    kind: IncidentEventKind | None = None
    """None: nothing happened; the reader need not wonder."""
    incident: Incident | None = None
    """As it is when it is read."""


class IncidentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which incidents, newest first. All conditions must hold."""

    limit: int = 50
    before_id: int | None = None
    """The last one of the page before."""
    monitor_id: int | None = None
    is_open: bool | None = None
    start: Instant | None = None
    """Began at or after this."""
    end: Instant | None = None
    """Began before this."""


class StatusChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the monitor's status during an incident."""

    at: Instant
    before: Status
    after: Status
    category: str = ""
    message: str = ""
    silence: str = ""
    """Why nobody was told; see ``alert.Silence``; empty: somebody was."""
    entry: LogEntry | None = None
    """The check that decided, with its evidence, while it is kept."""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """All that belongs to an incident."""

    incident: Incident
    changes: tuple[StatusChange, ...]
    alerts: tuple[AlertRecord, ...]
