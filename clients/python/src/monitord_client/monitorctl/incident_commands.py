"""incident: outages, who takes care of them, and following them."""

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitord_client.monitorctl.alert_commands import MonitorOption
from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.contact_finding import Names, number_of
from monitord_client.monitorctl.finding import find_monitor
from monitord_client.monitorctl.options import FromOption, Output, ToOption
from monitord_client.monitorctl.running import Cli

if TYPE_CHECKING:
    from monitord_client import Incident, IncidentEvent

_WHAT = "incident"


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    incidents = typer.Typer(help="Outages, from their beginning to their end.", no_args_is_help=True)
    command(incidents, "list")(list_)
    command(incidents, "show")(show)
    command(incidents, "ack")(acknowledge)
    command(incidents, "watch")(watch)
    app.add_typer(incidents, name=_WHAT)


async def list_(
    cli: Cli,
    is_open: Annotated[bool | None, typer.Option("--open/--over", help="Only those that go on, or are over.")] = None,
    monitor: MonitorOption = "",
    start: FromOption = None,
    end: ToOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the newest.")] = 50,
) -> None:
    """List incidents, newest first."""
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now

    found: list[Incident] = []
    async with cli.connect() as client:
        monitor_id = (await find_monitor(client, monitor)).id if monitor else 0
        incidents = client.list_incidents(
            monitor_id=monitor_id, is_open=is_open, start=start, end=end, page_size=min(limit, 1000)
        )
        async for incident in incidents:
            found.append(incident)
            if len(found) == limit:
                break
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"incidents": [mapping_of(incident) for incident in found]})
    elif found:
        from monitord_client.monitorctl.incident_views import incidents_table

        cli.console.print(incidents_table(found, utc_now()))
    else:
        narrowed = monitor or start or end or is_open is not None
        cli.note(f"There are no incidents{' for these conditions' if narrowed else ''}.")


async def show(cli: Cli, incident: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show an incident with its timeline: each change, who was told, and how that went."""
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now

    async with cli.connect() as client:
        answer = await client.get_incident(number_of(incident, _WHAT))
        if cli.output is not Output.TABLE:
            print_data(cli.output, mapping_of(answer))
            return
        from monitord_client.monitorctl.incident_views import incident_card

        names = Names(client)
        told = {entry.alert.contact_id for entry in answer.timeline if entry.HasField("alert")}
        contacts = {contact_id: await names.contact(contact_id) for contact_id in told}
    cli.console.print(incident_card(answer, contacts, utc_now()))


async def acknowledge(cli: Cli, incidents: Annotated[list[str], typer.Argument(metavar="ID...")]) -> None:
    """Say that you take care: escalations and reminders end."""
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible

    numbers = [number_of(each, _WHAT) for each in incidents]
    async with cli.connect() as client:
        done = [await client.acknowledge_incident(number) for number in numbers]
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"incidents": [mapping_of(incident) for incident in done]})
        return
    for incident in done:
        by = f" by {visible(incident.acknowledged_by)}" if incident.acknowledged_by else ""
        cli.print(f"incident {incident.id} of {visible(incident.monitor_name)}: acknowledged{by}")


async def watch(
    cli: Cli,
    cursor: Annotated[str, typer.Option(help="Go on after the event that had this cursor.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line; same as -o json.")] = False,
) -> None:
    """Follow incidents, those that go on first, across lost connections. Ctrl-C ends it."""
    output = Output.JSON if as_json else cli.output
    async with cli.connect() as client:
        events = client.watch_incidents(cursor=cursor)
        async with aclosing(events):
            async for event in events:
                if output is Output.TABLE:
                    _show_event(cli, event)
                else:
                    _print_event(output, event)


def _show_event(cli: Cli, event: "IncidentEvent") -> None:
    from monitord_client import Acknowledged, Disconnected, Gap, Opened, Reconnected, Resolved
    from monitord_client.monitorctl.incident_views import incident_line
    from monitord_client.monitorctl.printing import visible
    from monitord_client.monitorctl.spans import length_words, utc_now

    match event:
        case Opened() | Acknowledged() | Resolved():
            line = incident_line(type(event).__name__.upper(), event.incident, utc_now())
            cli.console.print(line, soft_wrap=True)
        case Gap(message):
            cli.note(f"--- not everything can be shown: {visible(message)}")
        case Disconnected(cause):
            cli.note(f"--- connection lost ({visible(cause)}); trying again ...")
        case Reconnected(away_s):
            cli.note(f"--- connected again after {length_words(away_s)}; nothing was missed unless said below")


def _print_event(output: Output, event: "IncidentEvent") -> None:
    from monitord_client import Acknowledged, Disconnected, Gap, Opened, Reconnected, Resolved
    from monitord_client.monitorctl.printing import mapping_of, print_line

    data: dict[str, Any] = {"cursor": event.cursor}
    match event:
        case Opened() | Acknowledged() | Resolved():
            data[type(event).__name__.lower()] = mapping_of(event.incident)
        case Gap(message):
            data["gap"] = {"message": message}
        case Disconnected(cause):
            data["disconnected"] = {"cause": cause}
        case Reconnected(away_s, attempts):
            data["reconnected"] = {"away_s": round(away_s, 3), "attempts": attempts}
    print_line(output, data)
