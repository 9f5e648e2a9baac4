"""A contact: who is told, by which channel, and what of which monitor."""

import msgspec

from monitord.domain.alert import AlertKind
from monitord.domain.contacts import Channel
from monitord.domain.instant import Instant

USUAL_KINDS = (AlertKind.DOWN, AlertKind.UP, AlertKind.DEGRADED, AlertKind.FAULTED, AlertKind.CERTIFICATE)
"""What a contact is told unless it chose; SLOW is added where there is a threshold for it."""
CHOICES = (*USUAL_KINDS, AlertKind.SLOW)
"""What users can choose from; escalations, reminders and the end of slowness follow from these."""


class QuietHours(msgspec.Struct, frozen=True):
    """Hours of each day, on the contact's wall clock, in which it is told nothing: it is told at their end."""

    start_min: int
    """Minutes after midnight, 0 to 1439."""
    end_min: int


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a contact wants to be told of a monitor, and when."""

    kinds: tuple[AlertKind, ...] = USUAL_KINDS
    is_active: bool = True
    delay_s: int = 0
    """An outage that is over sooner is not told; 0: it is told at once."""
    escalate_after_s: int = 0
    """The contact is told of an outage only if nobody has acknowledged it for so long; 0: it is told anyway."""
    reminder_s: int = 0
    """How often an outage that goes on unacknowledged is told again; 0: never."""
    quiet: QuietHours | None = None
    slow_threshold_ms: int = 0
    """SLOW is told when the median response time of the last 3 checks is above it; 0: there is none."""


class ContactSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a user decides about a contact."""

    name: str
    channel: Channel
    time_zone: str = "UTC"
    """Of its quiet hours, and of the moments in its messages."""
    default_settings: AlertSettings | None = None
    """What it wants to be told of each monitor that is made from now on; None: nothing."""


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """A stored contact."""

    id: int
    org_id: int
    spec: ContactSpec
    version: int
    created_at: Instant
    updated_at: Instant
    verified_at: Instant | None = None
    """Since when it may be told anything; None: an address that has yet to confirm (T16)."""
    disabled_reason: str | None = None
    """Why it can't be told anything any more, such as a hard bounce; None: it can."""


class AlertConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor and a contact with what it wants to be told."""

    monitor_id: int
    contact_id: int
    settings: AlertSettings
