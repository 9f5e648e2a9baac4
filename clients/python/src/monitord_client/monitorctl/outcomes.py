"""What ``apply`` did, for people and for scripts."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from rich.text import Text

from monitord_client.monitorctl.applying import UNDECIDED, Done, Outcome
from monitord_client.monitorctl.printing import mapping_of, short, visible
from monitord_client.v1.monitor_service_pb2 import APPLY_ACTION_CREATED, ApplyAction

_MARKS = {
    "CREATED": ("+", "green"),
    "CHANGED": ("~", "yellow"),
    "UNCHANGED": ("=", "dim"),
    "REMOVED": ("-", "red"),
    "UNDECIDED": ("?", "yellow"),
}


def _word(action: ApplyAction.ValueType) -> str:
    return "UNDECIDED" if action == UNDECIDED else short(ApplyAction.Name, action)


def _all(outcome: Outcome) -> Iterator[tuple[str, str, list[str]]]:
    """Yield everything with its action and the fields that changed."""
    for contact in outcome.contacts:
        yield f"contact {contact.name}", _word(contact.action), list(contact.changed_fields)
    for monitor in outcome.monitors:
        yield monitor.name, _word(monitor.action), list(monitor.changed_fields)
    for alert in outcome.alerts:
        yield f"alerts {alert.monitor} -> {alert.name}", _word(alert.action), []


def lines(outcome: Outcome) -> Iterator[Text]:
    """Yield one line for each contact, monitor and pair of them."""
    for name, action, changed in _all(outcome):
        mark, style = _MARKS.get(action, ("?", ""))
        fields = f" ({', '.join(changed)})" if changed else ""
        yield Text(visible(f"{mark} {name}{fields}"), style=style)


def summary(outcome: Outcome, *, dry_run: bool) -> str:
    """Return how many of what was done."""
    counts = Counter(action.lower() for _, action, _ in _all(outcome))
    told = ", ".join(f"{count} {action}" for action, count in counts.items()) or "nothing to do"
    return f"{told}{' (dry run: nothing was changed)' if dry_run else ''}"


def notes(outcome: Outcome, *, dry_run: bool) -> Iterator[str]:
    """Yield what a person should know of it."""
    if any(contact.action == UNDECIDED for contact in outcome.contacts):
        yield "? has secrets in the file; stored ones are never told: only applying shows whether they differ"
    for done in outcome.contacts:
        contact = done.contact
        if contact is None or dry_run or not contact.HasField("email") or contact.HasField("verify_time"):
            continue
        when = "gets a mail, and " if done.action == APPLY_ACTION_CREATED else ""
        yield visible(
            f"{contact.name}: {contact.email.address} {when}is told nothing before it has confirmed: "
            f"monitorctl contact confirm {contact.name} CODE"
        )


def as_data(outcome: Outcome, sections: Collection[str]) -> dict[str, Any]:
    """Return it for scripts; what the files don't speak of is left out."""
    data: dict[str, Any] = {"results": [mapping_of(result) for result in outcome.monitors]}
    if "contacts" in sections:
        data["contacts"] = [
            {"name": done.name, **_data(done), "changed_fields": list(done.changed_fields), "id": _id(done)}
            for done in outcome.contacts
        ]
    if outcome.alerts:
        data["alerts"] = [{"monitor": done.monitor, "contact": done.name, **_data(done)} for done in outcome.alerts]
    return data


def _data(done: Done) -> dict[str, Any]:
    return {"action": f"APPLY_ACTION_{_word(done.action)}"}


def _id(done: Done) -> str:
    return str(done.contact.id if done.contact is not None else 0)
