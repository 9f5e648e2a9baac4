"""Alerts as history: what was to be sent, when, to whom, and what became of it."""

from enum import StrEnum

import msgspec

from monitord.domain.alert import AlertKind
from monitord.domain.instant import Instant


class AlertState(StrEnum):
    """What became of an alert (I3). Stored."""

    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"
    CANCELLED = "cancelled"


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to deliver, counted when it began."""

    number: int
    began_at: Instant
    ended_at: Instant | None = None
    """None: it is under way, or we died in the middle of it (I4)."""
    outcome: str = ""
    code: str = ""
    detail: str = ""


class AlertRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A stored alert."""

    id: int
    monitor_id: int
    monitor_name: str
    contact_id: int
    contact_name: str
    channel: str
    incident_id: int | None
    kind: AlertKind
    state: AlertState
    reason: str
    created_at: Instant
    due_at: Instant
    settled_at: Instant | None
    attempt_count: int
    told_with_id: int | None
    """The alert in whose message it was told; None: it has one of its own."""
    is_claimed: bool = False
    """Whether it is being sent at this moment."""
    screenshot_url: str = ""
    attempts: tuple[AttemptRecord, ...] = ()
    """Where they were asked for."""


class AlertQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts. All conditions must hold."""

    limit: int = 50
    beyond_id: int | None = None
    """The last one that was read."""
    oldest_first: bool = False
    monitor_id: int | None = None
    contact_id: int | None = None
    incident_id: int | None = None
    states: tuple[AlertState, ...] = ()
    kinds: tuple[AlertKind, ...] = ()
    start: Instant | None = None
    """Made at or after this."""
    end: Instant | None = None
    """Made before this."""
