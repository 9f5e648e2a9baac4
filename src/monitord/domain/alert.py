"""Which transitions people are told about."""

from enum import StrEnum

from monitord.domain.health import Status, Transition


class AlertKind(StrEnum):
    """What an alert says. Users choose per contact which kinds they want."""

    DOWN = "down"
    UP = "up"
    DEGRADED = "degraded"
    FAULTED = "faulted"
    ESCALATION = "escalation"
    """A DOWN for a contact that is told only if nobody acknowledges the incident in time."""
    REMINDER = "reminder"
    """A DOWN that was told goes on."""
    SLOW = "slow"
    """The median response time of the last checks passed the contact's own threshold."""
    SLOW_OVER = "slow_over"
    """It no longer does."""
    CERTIFICATE = "certificate"
    """A certificate expires soon, or has expired."""


class Cancellation(StrEnum):
    """Why an alert that was queued is not sent (I3)."""

    SUPERSEDED = "superseded"
    """A later alert says more."""
    BRIEF = "brief"
    """It was over before the delay that the contact asked for."""
    OUTAGE_NOT_SENT = "outage_not_sent"
    """A recovery from what the contact was never told of (I20)."""
    ACKNOWLEDGED = "acknowledged"
    """Somebody took care of the incident before the escalation, or the reminder, was due."""
    RESOLVED = "resolved"
    """The incident was over."""
    SWITCHED_OFF = "switched_off"
    """The contact, or its wish to be told of this monitor, was switched off or deleted meanwhile."""


class Silence(StrEnum):
    """Why a transition told nobody (I2)."""

    NO_CONTACTS = "no_contacts"
    MUTED = "muted"
    MAINTENANCE = "maintenance"
    DEPENDENCY = "dependency"
    UNREMARKABLE = "unremarkable"
    """The first good result of a new monitor, a pause, a resume: nothing that anyone waits to hear."""


_BAD = frozenset({Status.DOWN, Status.DEGRADED})


def alert_kind(transition: Transition) -> AlertKind | None:
    """Return what to tell people of a transition, or None where there is nothing to tell.

    What only hides the judgement, or lays it open again, is nothing to tell: an outage that was told before a
    maintenance window is told to be over after it, and not told again if it goes on (I20).
    """
    if transition.after is Status.FAULTED:
        return AlertKind.FAULTED
    if transition.judged_after is transition.judged_before:
        return None
    match transition.judged_after:
        case Status.DOWN:
            return AlertKind.DOWN
        case Status.DEGRADED:
            return AlertKind.DEGRADED
        case Status.UP:
            return AlertKind.UP if transition.judged_before in _BAD else None
        case _:
            return None


def silence_of(transition: Transition) -> Silence:
    """Return why a transition that has nothing to tell tells nobody (I2)."""
    if Status.MAINTENANCE in (transition.before, transition.after):
        return Silence.MAINTENANCE
    if Status.UNREACHABLE in (transition.judged_before, transition.judged_after):
        return Silence.DEPENDENCY
    return Silence.UNREMARKABLE


def opens_incident(transition: Transition) -> bool:
    """Return whether an incident begins with this transition."""
    if transition.after is Status.FAULTED:
        return True
    return transition.judged_after is Status.DOWN and transition.judged_before is not Status.DOWN


def ends_incident(transition: Transition) -> bool:
    """Return whether an open incident is over with this transition."""
    if transition.before is Status.FAULTED:
        return transition.after is not Status.FAULTED
    return transition.judged_before is Status.DOWN and transition.judged_after is not Status.DOWN
