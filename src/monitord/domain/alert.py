"""Which transitions people are told about."""

from enum import StrEnum

from monitord.domain.health import Status, Transition


class AlertKind(StrEnum):
    """What an alert says. Users choose per contact which kinds they want."""

    DOWN = "down"
    UP = "up"
    DEGRADED = "degraded"
    FAULTED = "faulted"


class Silence(StrEnum):
    """Why a transition told nobody (I2)."""

    NO_CONTACTS = "no_contacts"
    MUTED = "muted"
    MAINTENANCE = "maintenance"
    DEPENDENCY = "dependency"
    UNREMARKABLE = "unremarkable"
    """The first good result of a new monitor, a pause, a resume: nothing that anyone waits to hear."""


_BAD = frozenset({Status.DOWN, Status.DEGRADED, Status.FAULTED})


def alert_kind(transition: Transition) -> AlertKind | None:
    """Return what to tell people of a transition, or None where there is nothing to tell."""
    match transition.after:
        case Status.DOWN:
            return AlertKind.DOWN
        case Status.DEGRADED:
            return AlertKind.DEGRADED
        case Status.FAULTED:
            return AlertKind.FAULTED
        case Status.UP:
            return AlertKind.UP if transition.before in _BAD else None
        case _:
            return None


def opens_incident(transition: Transition) -> bool:
    """Return whether an incident begins with this transition."""
    return transition.after in (Status.DOWN, Status.FAULTED)


def ends_incident(transition: Transition) -> bool:
    """Return whether an open incident is over with this transition: anything but more of the same ends it."""
    return transition.after not in (Status.DOWN, Status.FAULTED)
