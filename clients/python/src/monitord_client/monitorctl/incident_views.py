"""Incidents, for people."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from monitord_client.monitorctl.alert_views import kind_word, state_word, waiting_words
from monitord_client.monitorctl.printing import short, visible
from monitord_client.monitorctl.spans import age_words, clock_words, length_words
from monitord_client.monitorctl.tables import badge, grid
from monitord_client.times import moment_of
from monitord_client.v1.alert_pb2 import ALERT_STATE_SENT, Alert
from monitord_client.v1.incident_pb2 import Incident, StatusChange, TimelineEntry
from monitord_client.v1.incident_service_pb2 import GetIncidentResponse
from monitord_client.v1.monitor_pb2 import MonitorStatus

_SILENCES = {
    "no_contacts": "no contact wanted to know",
    "muted": "the monitor was muted",
    "maintenance": "maintenance",
    "dependency": "what it depends on was down",
    "unremarkable": "nothing that anyone waits for",
}


def incidents_table(incidents: Iterable[Incident], now: datetime) -> Table:
    """Return one line per incident."""
    table = grid("ID", "MONITOR", "STATE", "BEGAN", "LASTED", "WHY")
    for incident in incidents:
        table.add_row(
            str(incident.id),
            Text(visible(incident.monitor_name)),
            _state(incident),
            clock_words(moment_of(incident.open_time), now),
            _lasted(incident, now),
            Text(visible(_why(incident))),
        )
    return table


def incident_line(word: str, incident: Incident, now: datetime) -> Text:
    """Return what happened to an incident on one line."""
    style = {"OPENED": "bold red", "ACKNOWLEDGED": "yellow", "RESOLVED": "green"}.get(word, "")
    at = {"ACKNOWLEDGED": incident.acknowledge_time, "RESOLVED": incident.resolve_time}.get(word, incident.open_time)
    line = Text.assemble(clock_words(moment_of(at), now), " ", (word, style), f" {incident.id} ")
    line.append(visible(incident.monitor_name), style="bold")
    if word == "ACKNOWLEDGED":
        line.append(f" by {visible(incident.acknowledged_by)}" if incident.acknowledged_by else "")
    elif word == "RESOLVED":
        line.append(f" after {_lasted(incident, now)}")
    else:
        line.append(f" {visible(_why(incident))}")
    return line


def incident_card(answer: GetIncidentResponse, contacts: Mapping[int, str], now: datetime) -> RenderableType:
    """Return an incident with its timeline; ``contacts`` are the names of those who were told, by id."""
    incident = answer.incident
    card = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    card.add_column(style="bold")
    card.add_column(overflow="fold")
    card.add_row("Incident", f"{incident.id}")
    card.add_row("Monitor", Text(visible(f"{incident.monitor_name} (id {incident.monitor_id})")))
    card.add_row("State", _state(incident))
    opened = moment_of(incident.open_time)
    card.add_row("Began", f"{clock_words(opened, now)} ({age_words(opened, now)})")
    card.add_row("Why", Text(visible(_why(incident))))
    if incident.HasField("acknowledge_time"):
        by = f" by {visible(incident.acknowledged_by)}" if incident.acknowledged_by else ""
        card.add_row("Acknowledged", f"{clock_words(moment_of(incident.acknowledge_time), now)}{by}")
    if incident.HasField("resolve_time"):
        card.add_row("Over", clock_words(moment_of(incident.resolve_time), now))
    card.add_row("Lasted" if incident.HasField("resolve_time") else "Lasts for", _lasted(incident, now))
    if incident.screenshot_url:
        card.add_row("Screenshot", Text(visible(incident.screenshot_url)))
    timeline = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    timeline.add_column(style="dim")
    timeline.add_column(overflow="fold")
    for entry in answer.timeline:
        timeline.add_row(clock_words(moment_of(entry.time), now), _entry(entry, contacts, now))
    return Group(card, Text("Timeline", style="bold"), timeline)


def _entry(entry: TimelineEntry, contacts: Mapping[int, str], now: datetime) -> Text:
    match entry.WhichOneof("event"):
        case "status_change":
            return _change(entry.status_change)
        case "acknowledgement":
            return Text(f"acknowledged by {visible(entry.acknowledgement.by) or 'somebody'}", style="yellow")
        case "alert":
            return _told(entry.alert, contacts.get(entry.alert.contact_id, f"contact {entry.alert.contact_id}"), now)
        case _:
            return Text("something that this monitorctl does not know", style="dim")


def _change(change: StatusChange) -> Text:
    before, after = (short(MonitorStatus.Name, status) for status in (change.before, change.after))
    text = Text.assemble(badge(before), " -> ", badge(after))
    said = " - ".join(part for part in (change.category, change.message) if part)
    if said:
        text.append(f"  {visible(said)}")
    if change.silence:
        text.append(f"  (nobody was told: {visible(_SILENCES.get(change.silence, change.silence))})", style="dim")
    return text


def _told(alert: Alert, contact: str, now: datetime) -> Text:
    text = Text.assemble("alert ", str(alert.id), " to ", (visible(contact), "bold"))
    text.append(f" by {visible(alert.channel)}" if alert.channel else "")
    text.append(f": {kind_word(alert.kind)}, ")
    text.append_text(state_word(alert))
    if alert.state == ALERT_STATE_SENT and alert.HasField("settle_time"):
        waited = (moment_of(alert.settle_time) - moment_of(alert.create_time)).total_seconds()
        text.append(f" after {length_words(waited)}")
    if alert.reason:
        text.append(f" ({visible(alert.reason)})")
    if waiting := waiting_words(alert, now):
        text.append(f", {waiting}")
    if alert.attempt_count > 1:
        text.append(f", {alert.attempt_count} attempts")
    if alert.attempts and alert.state != ALERT_STATE_SENT:
        last = alert.attempts[-1]
        said = " - ".join(part for part in (last.code, last.detail) if part)
        text.append(f", the last: {visible(said)}" if said else "")
    return text


def _state(incident: Incident) -> Text:
    if incident.HasField("resolve_time"):
        return Text("OVER", style="dim")
    if incident.HasField("acknowledge_time"):
        return Text("ACKNOWLEDGED", style="yellow")
    return Text("OPEN", style="bold red")


def _lasted(incident: Incident, now: datetime) -> str:
    end = moment_of(incident.resolve_time) if incident.HasField("resolve_time") else now
    return length_words(max(0.0, (end - moment_of(incident.open_time)).total_seconds()))


def _why(incident: Incident) -> str:
    return " - ".join(part for part in (incident.category, incident.message) if part)
