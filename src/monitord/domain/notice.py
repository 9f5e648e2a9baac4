"""What one contact is told in one message, whatever the channel: all facts, and no words or markup.

A notice is made from what is stored at the moment of sending, so that an attempt after a crash says the same again.
Everything in it that a user or a target wrote is capped and free of control characters (T19, I12); whoever renders it
escapes it where it becomes HTML or Markdown.
"""

from enum import StrEnum

import msgspec

from monitord.domain.check import Evidence
from monitord.domain.health import Status
from monitord.domain.instant import Instant


class NoticeKind(StrEnum):
    """What a notice says."""

    DOWN = "down"
    UP = "up"
    """An outage or a slowness that was told is over."""
    OUTAGE_OVER = "outage_over"
    """An outage that began and ended before anyone could be told: both in one message (I20)."""
    DEGRADED = "degraded"
    SLOW = "slow"
    """The median response time of the last checks passed the contact's threshold."""
    SLOW_OVER = "slow_over"
    """It no longer does."""
    CERTIFICATE = "certificate"
    """A certificate expires soon, or has expired."""
    FAULTED = "faulted"
    """monitord itself can't check the monitor any more."""
    REMINDER = "reminder"
    """An outage goes on."""
    ESCALATION = "escalation"
    """An outage goes on, and nobody has acknowledged it."""
    DIGEST = "digest"
    """Many transitions at once, in one message."""
    OPERATOR = "operator"
    """monitord about itself: its own network is down, and the like."""
    TEST = "test"
    """Someone wanted to see that the contact works."""
    CONFIRMATION = "confirmation"
    """An address is asked whether it wants alerts at all (T16)."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The monitor that a notice is about."""

    id: int
    name: str
    kind: str
    """As ``domain.kinds.kind_of``."""
    target: str
    """As people read it, without secrets."""


class Phase(msgspec.Struct, frozen=True):
    """How long a part of the check took."""

    name: str
    ms: float


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A screenshot."""

    url: str
    """Where it can be seen; empty: nowhere."""
    content: bytes = b""
    """To be shown inline, where the channel can; empty: it can't be had at the moment."""
    media_type: str = "image/png"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One monitor's change within a digest."""

    subject: Subject
    status: Status
    at: Instant
    message: str
    kind: NoticeKind = NoticeKind.DOWN
    """What it would say alone."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one contact."""

    key: str
    """Names this message, the same for each attempt: 1 to 64 of ``a-z 0-9 -``. Message-IDs come from it."""
    thread: str
    """Names the incident: ties reminders and the recovery to the outage. Of the same alphabet; empty: there is none."""
    replies_to: str = ""
    """The key of the first message to this contact about the same incident; empty: it is this one."""
    kind: NoticeKind
    at: Instant
    """When that happened of which it tells."""
    contact_name: str = ""
    subject: Subject | None = None
    """None for digests, tests and operator alerts."""
    status: Status = Status.UNKNOWN
    """What is believed of the monitor by this notice."""
    since: Instant = 0
    """Since when the outage has been going on, or went on; 0: it is about none."""
    duration_s: float | None = None
    """How long it lasted, or has lasted so far; None: it is about none."""
    category: str = ""
    """As ``domain.check.Category``; empty: nothing failed."""
    message: str = ""
    """What is wrong, as a sentence."""
    status_code: int | None = None
    response_ms: float | None = None
    phases: tuple[Phase, ...] = ()
    expires_at: Instant = 0
    """When the certificate ends; 0: it is not about one."""
    evidence: tuple[str, ...] = ()
    """Last lines of the evidence: steps, header lines, the start of the body. At most 40, of 200 characters each."""
    picture: Picture | None = None
    link: str = ""
    """Where to see more; of a confirmation, where to confirm; empty: nowhere."""
    code: str = ""
    """Of a confirmation: what confirms it by hand."""
    unsubscribe_url: str = ""
    """Where a POST ends these messages (RFC 8058); empty: there is no such place."""
    lines: tuple[Line, ...] = ()
    """Of a digest: the first 50 changes."""
    more_lines: int = 0
    """Of a digest: how many more there are."""
    time_zone: str = "UTC"
    """The contact's, of the IANA time zone database: moments are shown in it."""


_LINES = 40
_LINE_CHARS = 200


def evidence_lines(evidence: Evidence) -> tuple[str, ...]:
    """Return what explains a verdict as lines: the steps, then the first header lines, then the start of the body."""
    lines = [f"{step.at_ms:.0f} ms  {step.phase}: {step.text}" for step in evidence.steps]
    lines += evidence.header_lines
    lines += evidence.body_excerpt.decode(errors="replace").splitlines()
    return tuple(clean(line) for line in lines[:_LINES])


def clean(text: str, limit: int = _LINE_CHARS) -> str:
    """Return a text on one line, of at most ``limit`` characters, without anything that is not printed (T19, I12)."""
    shown = text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else " " for char in shown)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
