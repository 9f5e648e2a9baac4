"""Contacts, and what they are told, for people."""

from collections.abc import Iterable
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from monitord_client.monitorctl.printing import short, visible
from monitord_client.monitorctl.spans import clock_words, length_words, span_words
from monitord_client.monitorctl.tables import grid
from monitord_client.times import moment_of
from monitord_client.v1.alert_pb2 import Alert, AlertState
from monitord_client.v1.contact_pb2 import ALERT_KIND_SLOW, AlertKind, AlertSettings, Contact

_STATES = {"PENDING": "cyan", "SENT": "green", "DEAD": "bold red", "CANCELLED": "dim"}


def kind_word(kind: int) -> str:
    """Return a kind of alert as a word."""
    return short(AlertKind.Name, kind).lower()


def state_word(alert: Alert) -> Text:
    """Return what became of an alert, in its colour."""
    name = short(AlertState.Name, alert.state)
    return Text(name, style=_STATES.get(name, ""))


def settings_words(settings: AlertSettings) -> str:
    """Return what a contact wants to be told, and when, on one line."""
    parts = [", ".join(kind_word(kind) for kind in settings.kinds) or "all"]
    if settings.HasField("active") and not settings.active:
        parts.insert(0, "OFF")
    for name, words in (
        ("slow_threshold", "slow above {}"),
        ("delay", "if it lasts {}"),
        ("escalate_after", "if nobody acknowledges for {}"),
        ("reminder_interval", "again every {}"),
    ):
        nanos = getattr(settings, name).ToNanoseconds()
        if nanos and (name != "slow_threshold" or ALERT_KIND_SLOW in settings.kinds):
            parts.append(words.format(span_words(nanos)))
    if settings.HasField("quiet_hours"):
        parts.append(f"quiet {settings.quiet_hours.start}-{settings.quiet_hours.end}")
    return visible("; ".join(parts))


def contact_state(contact: Contact) -> Text:
    """Return whether a contact is told anything."""
    if contact.disabled_reason:
        return Text(visible(f"OFF: {contact.disabled_reason}"), style="bold red")
    if not contact.HasField("verify_time"):
        return Text("UNCONFIRMED", style="yellow")
    return Text("READY", style="green")


def contacts_table(contacts: Iterable[Contact]) -> Table:
    """Return one line per contact."""
    table = grid("ID", "NAME", "BY", "TO", "STATE", "ZONE", "NEW MONITORS")
    for contact in contacts:
        default = settings_words(contact.default_settings) if contact.HasField("default_settings") else "-"
        table.add_row(
            str(contact.id),
            Text(visible(contact.name)),
            contact.WhichOneof("channel") or "-",
            Text(visible(contact.destination)),
            contact_state(contact),
            visible(contact.time_zone),
            Text(default),
        )
    return table


def contact_card(contact: Contact, configs: list[tuple[str, AlertSettings]], now: datetime) -> RenderableType:
    """Return all there is to know of a contact, with the names of the monitors that it is told of."""
    card = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    card.add_column(style="bold")
    card.add_column(overflow="fold")
    card.add_row("Name", Text(visible(contact.name)))
    card.add_row("Id", str(contact.id))
    card.add_row("Reached by", Text(visible(f"{contact.WhichOneof('channel') or '-'}: {contact.destination}")))
    card.add_row("State", contact_state(contact))
    if contact.HasField("verify_time"):
        kind = "Confirmed" if contact.HasField("email") else "Usable since"
        card.add_row(kind, clock_words(moment_of(contact.verify_time), now))
    card.add_row("Time zone", visible(contact.time_zone))
    default = settings_words(contact.default_settings) if contact.HasField("default_settings") else "told nothing"
    card.add_row("New monitors", Text(default))
    for index, (name, settings) in enumerate(configs):
        card.add_row("" if index else "Told of", Text(f"{visible(name)}: {settings_words(settings)}"))
    if not configs:
        card.add_row("Told of", Text("nothing: monitorctl alert set MONITOR CONTACT", style="dim"))
    card.add_row("Created", clock_words(moment_of(contact.create_time)))
    card.add_row("Changed", clock_words(moment_of(contact.update_time)))
    return card


def configs_table(configs: Iterable[tuple[str, str, AlertSettings]]) -> Table:
    """Return one line per monitor and contact, given by their names."""
    table = grid("MONITOR", "CONTACT", "TOLD")
    for monitor, contact, settings in configs:
        table.add_row(Text(visible(monitor)), Text(visible(contact)), Text(settings_words(settings)))
    return table


def alerts_table(alerts: Iterable[tuple[Alert, str, str]], now: datetime) -> Table:
    """Return one line per alert, each with the names of its monitor and contact."""
    table = grid("ID", "TIME", "MONITOR", "CONTACT", "KIND", "STATE", "TRIES", "WHY")
    for alert, monitor, contact in alerts:
        table.add_row(
            str(alert.id),
            clock_words(moment_of(alert.create_time), now),
            Text(visible(monitor)),
            Text(visible(contact)),
            kind_word(alert.kind),
            state_word(alert),
            str(alert.attempt_count),
            Text(visible(alert.reason or waiting_words(alert, now))),
        )
    return table


def waiting_words(alert: Alert, now: datetime) -> str:
    """Return when an alert that waits is due, or with which other it was told; empty where there is neither."""
    if alert.HasField("settle_time") or moment_of(alert.due_time) <= now:
        return f"told with alert {alert.told_with_id}" if alert.told_with_id else ""
    return f"due in {length_words((moment_of(alert.due_time) - now).total_seconds())}"


def alert_card(alert: Alert, monitor: str, contact: str, now: datetime) -> RenderableType:
    """Return all there is to know of an alert, with each attempt."""
    card = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    card.add_column(style="bold")
    card.add_column(overflow="fold")
    card.add_row("Alert", str(alert.id))
    card.add_row("Tells of", Text(f"{kind_word(alert.kind)}, {visible(monitor)}"))
    card.add_row("To", Text(visible(f"{contact} by {alert.channel}" if alert.channel else contact)))
    if alert.incident_id:
        card.add_row("Incident", str(alert.incident_id))
    card.add_row("State", Text.assemble(state_word(alert), f" {visible(_why(alert, now))}"))
    card.add_row("Made", clock_words(moment_of(alert.create_time), now))
    if alert.HasField("settle_time"):
        settled = moment_of(alert.settle_time)
        after = length_words((settled - moment_of(alert.create_time)).total_seconds())
        card.add_row("Settled", f"{clock_words(settled, now)}, after {after}")
    for index, attempt in enumerate(alert.attempts):
        outcome = attempt.outcome or "has not ended"
        said = " - ".join(part for part in (attempt.code, attempt.detail) if part)
        line = f"{attempt.number}. {clock_words(moment_of(attempt.begin_time), now)} {outcome} {visible(said)}".rstrip()
        card.add_row("" if index else "Attempts", Text(line))
    return card


def _why(alert: Alert, now: datetime) -> str:
    return f"({alert.reason})" if alert.reason else waiting_words(alert, now)
