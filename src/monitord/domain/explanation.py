"""Why a contact was, or was not, told of a change: in sentences, from what is stored."""

from collections.abc import Iterator, Sequence

import msgspec

from monitord.domain.alert import AlertKind, Cancellation, Silence
from monitord.domain.alert_record import AlertRecord, AlertState
from monitord.domain.contact import AlertSettings, Contact
from monitord.domain.health import Status
from monitord.domain.instant import Instant
from monitord.domain.wording import moment

_SILENT = {
    Silence.NO_CONTACTS: "No contact wanted to know of it at that moment.",
    Silence.MUTED: "The monitor was muted.",
    Silence.MAINTENANCE: "It began or ended a maintenance window, of which nobody is told.",
    Silence.DEPENDENCY: "What it depends on was down: of that its own contacts are told.",
    Silence.UNREMARKABLE: "It is nothing that anyone waits to hear: a pause, a resume, or the first good result.",
}
_CANCELLED = {
    Cancellation.SUPERSEDED: "A later alert said more, and was sent in its place.",
    Cancellation.BRIEF: "It was over before the delay that the contact asked for.",
    Cancellation.OUTAGE_NOT_SENT: "It is the end of something that the contact was never told of.",
    Cancellation.ACKNOWLEDGED: "Somebody acknowledged the incident before it was due.",
    Cancellation.RESOLVED: "The incident was over before it was due.",
    Cancellation.SWITCHED_OFF: "The contact, or its wish to be told of this monitor, was switched off or deleted.",
}
_KINDS = {
    Status.DOWN: AlertKind.DOWN,
    Status.DEGRADED: AlertKind.DEGRADED,
    Status.FAULTED: AlertKind.FAULTED,
    Status.UP: AlertKind.UP,
}


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a change and a contact."""

    monitor_name: str
    at: Instant
    before: Status
    after: Status
    message: str
    silence: Silence | None
    """Why nobody at all was told; None: somebody was to be."""
    contact: Contact
    settings: AlertSettings | None
    """What the contact wants to be told now; None: nothing."""
    alerts: Sequence[AlertRecord]
    """What was made for the contact."""


def explain(case: Case) -> list[str]:
    """Return the reasons, the deciding one last."""
    zone = case.contact.spec.time_zone
    change = f"{case.monitor_name} went from {case.before.name} to {case.after.name} at {moment(case.at, zone)}"
    first = f"{change}: {case.message}" if case.message else f"{change}."
    if case.alerts:
        return [first, *(sentence for alert in case.alerts for sentence in _of_alert(alert, zone))]
    if case.silence is not None and case.silence is not Silence.NO_CONTACTS:
        return [first, _SILENT[case.silence]]
    silent = [_SILENT[case.silence]] if case.silence is not None else []
    return [first, *silent, _why_nothing_was_made(case)]


def _why_nothing_was_made(case: Case) -> str:
    contact, settings = case.contact, case.settings
    kind = _KINDS.get(case.after)
    if settings is None:
        return "This contact is told nothing of this monitor: SetAlertConfig says what it shall be told."
    if not settings.is_active:
        return "The alert config of this contact and monitor is switched off (active is false)."
    if kind is not None and kind not in settings.kinds:
        return f"The contact does not want to know of {kind.name}: that is not among its kinds."
    if contact.verified_at is None:
        return "The contact's address has yet to confirm that it wants alerts: see SendConfirmation."
    if contact.disabled_reason:
        return f"The contact is disabled: {contact.disabled_reason}."
    return "The contact could not be told, or did not want to be, when it happened; what it wants now is different."


def _of_alert(alert: AlertRecord, zone: str) -> Iterator[str]:
    what = f"The {alert.kind.name} alert (id {alert.id})"
    match alert.state:
        case AlertState.SENT:
            tries = "at the first attempt" if alert.attempt_count == 1 else f"at attempt {alert.attempt_count}"
            yield f"{what} was sent at {moment(alert.settled_at or alert.created_at, zone)}, {tries}."
            if alert.told_with_id is not None:
                yield f"It was one of many at that moment, told in one message under alert {alert.told_with_id}."
        case AlertState.DEAD:
            last = f": {alert.attempts[-1].detail}" if alert.attempts and alert.attempts[-1].detail else ""
            yield f"{what} was given up after {alert.attempt_count} attempts ({alert.reason}){last}"
        case AlertState.CANCELLED:
            yield f"{what} was not sent. {_cancellation(alert.reason)}"
        case AlertState.PENDING:
            yield f"{what} {_waiting(alert, zone)}"


def _cancellation(reason: str) -> str:
    try:
        return _CANCELLED[Cancellation(reason)]
    except ValueError:
        return f"The reason is {reason}."


def _waiting(alert: AlertRecord, zone: str) -> str:
    if alert.is_claimed:
        return "is being sent at this moment."
    until = moment(alert.due_at, zone)
    if not alert.attempt_count:
        return f"waits until {until}, by the contact's delay, quiet hours or escalation."
    last = f" The last attempt ended with {alert.attempts[-1].code}." if alert.attempts else ""
    return f"is tried again at {until}; {alert.attempt_count} attempts were made.{last}"
