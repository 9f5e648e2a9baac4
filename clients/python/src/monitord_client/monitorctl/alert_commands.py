"""alert: who is told what. alerts: what was told, and why something was not."""

import sys
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from monitord_client.monitorctl.alert_options import CHOICES, AlertOptions, kind_of, words_of
from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.completion import complete_contact, complete_monitor
from monitord_client.monitorctl.contact_finding import Names, find_contact, number_of
from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.finding import find_monitor
from monitord_client.monitorctl.options import AtOption, FromOption, Output, ToOption
from monitord_client.monitorctl.running import Cli

if TYPE_CHECKING:
    from monitord_client import Alert, Client
    from monitord_client.v1.alert_service_pb2 import AlertFilter

MonitorArgument = Annotated[
    str, typer.Argument(metavar="MONITOR", help="Its name or id.", autocompletion=complete_monitor)
]
ContactArgument = Annotated[
    str, typer.Argument(metavar="CONTACT", help="Its name or id.", autocompletion=complete_contact)
]
AlertIds = Annotated[list[str], typer.Argument(metavar="ID...")]
MonitorOption = Annotated[
    str, typer.Option("--monitor", "-m", metavar="NAME_OR_ID", help="Only of it.", autocompletion=complete_monitor)
]
ContactOption = Annotated[
    str, typer.Option("--contact", "-c", metavar="NAME_OR_ID", help="Only to it.", autocompletion=complete_contact)
]
_STATES = ("pending", "sent", "dead", "cancelled")
_KINDS = (*CHOICES, "escalation", "reminder")


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    alert = typer.Typer(help="Who is told what of which monitor.", no_args_is_help=True)
    command(alert, "set")(set_)
    command(alert, "unset")(unset)
    command(alert, "configs")(configs)
    app.add_typer(alert, name="alert")
    alerts = typer.Typer(help="What was told, and why something was not.", no_args_is_help=True)
    command(alerts, "list")(list_)
    command(alerts, "show")(show)
    command(alerts, "export")(export)
    command(alerts, "retry")(retry)
    command(alerts, "explain")(explain)
    app.add_typer(alerts, name="alerts")


async def set_(cli: Cli, monitor: MonitorArgument, contact: ContactArgument, alerts: AlertOptions) -> None:
    """Say what a contact is told of a monitor, in place of what was said before.

    \b
    monitorctl alert set shop ann
    monitorctl alert set shop ops --on down,up --delay 2m --slow 800ms --quiet 22:00-07:00
    monitorctl alert set shop boss --escalate-after 15m --remind 1h
    monitorctl alert set shop ann --off
    """
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible

    settings = alerts.settings()
    async with cli.connect() as client:
        watched, told = await find_monitor(client, monitor), await find_contact(client, contact)
        config = await client.set_alert_config(watched.id, told.id, settings)
    if cli.output is not Output.TABLE:
        print_data(cli.output, mapping_of(config))
        return
    from monitord_client.monitorctl.alert_views import settings_words

    cli.print(f"{visible(watched.name)} -> {visible(told.name)}: {settings_words(config.settings)}")
    if told.disabled_reason:
        cli.note(f"{visible(told.name)} is told nothing at the moment: {visible(told.disabled_reason)}")
    elif not told.HasField("verify_time"):
        cli.note(f"{visible(told.name)} is told nothing before it has confirmed: monitorctl contact resend")


async def unset(cli: Cli, monitor: MonitorArgument, contact: ContactArgument) -> None:
    """Tell a contact nothing of a monitor any more."""
    from monitord_client import NotFoundError
    from monitord_client.monitorctl.exits import ExitCode
    from monitord_client.monitorctl.printing import visible

    async with cli.connect() as client:
        watched, told = await find_monitor(client, monitor), await find_contact(client, contact)
        try:
            await client.delete_alert_config(watched.id, told.id)
        except NotFoundError:
            raise CommandError(f"{told.name} was told nothing of {watched.name}", ExitCode.NOT_FOUND) from None
    if cli.output is Output.TABLE:
        cli.print(f"- {visible(watched.name)} -> {visible(told.name)}")


async def configs(cli: Cli, monitor: MonitorOption = "", contact: ContactOption = "") -> None:
    """List who is told what of which monitor."""
    from monitord_client.monitorctl.printing import mapping_of, print_data

    async with cli.connect() as client:
        ids = await _ids(client, monitor, contact)
        found = [config async for config in client.list_alert_configs(page_size=1000, **ids)]
        names = Names(client)
        rows = [
            (await names.monitor(config.monitor_id), await names.contact(config.contact_id), config.settings)
            for config in found
        ]
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"configs": [mapping_of(config) for config in found]})
    elif rows:
        from monitord_client.monitorctl.alert_views import configs_table

        cli.console.print(configs_table(rows))
    else:
        cli.note("Nobody is told anything: monitorctl alert set MONITOR CONTACT")


async def _ids(client: "Client", monitor: str, contact: str) -> dict[str, int]:
    ids = {}
    if monitor:
        ids["monitor_id"] = (await find_monitor(client, monitor)).id
    if contact:
        ids["contact_id"] = (await find_contact(client, contact)).id
    return ids


@dataclass(frozen=True, slots=True)
class AlertFilterOptions:
    """Which alerts are meant."""

    monitor: MonitorOption = ""
    contact: ContactOption = ""
    incident: Annotated[str, typer.Option(metavar="ID", help="Only of it.")] = ""
    state: Annotated[
        list[str], typer.Option("--state", "-s", metavar="STATES", help=f"Only these: {','.join(_STATES)}.")
    ] = field(default_factory=list)
    kind: Annotated[list[str], typer.Option(metavar="KINDS", help=f"Only these: {','.join(_KINDS)}.")] = field(
        default_factory=list
    )
    start: FromOption = None
    end: ToOption = None

    async def find(self, client: "Client") -> "AlertFilter":
        """Return the filter. Raises CommandError for a name that nobody has, or a word that means nothing."""
        from monitord_client import AlertState, alert_filter

        words = words_of(self.state)
        if wrong := [word for word in words if word not in _STATES]:
            raise CommandError(f"--state: {wrong[0]!r} is not one of {', '.join(_STATES)}")
        return alert_filter(
            **await _ids(client, self.monitor, self.contact),
            incident_id=number_of(self.incident, "incident") if self.incident else 0,
            states=[AlertState.Value(f"ALERT_STATE_{word.upper()}") for word in words],
            kinds=[kind_of(word, _KINDS, "--kind") for word in words_of(self.kind)],
            start=self.start,
            end=self.end,
        )


async def list_(
    cli: Cli,
    which: AlertFilterOptions,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the newest.")] = 50,
) -> None:
    """List alerts, newest first: to whom, what became of each, and after how many tries."""
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now

    found: list[Alert] = []
    async with cli.connect() as client:
        async for alert in client.list_alerts(await which.find(client), page_size=min(limit, 1000)):
            found.append(alert)
            if len(found) == limit:
                break
        names = Names(client)
        rows = [(each, await names.monitor(each.monitor_id), await names.contact(each.contact_id)) for each in found]
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"alerts": [mapping_of(alert) for alert in found]})
    elif rows:
        from monitord_client.monitorctl.alert_views import alerts_table

        cli.console.print(alerts_table(rows, utc_now()))
    else:
        cli.note("There are no alerts for these conditions.")


async def show(cli: Cli, alert: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show an alert with each attempt to deliver it."""
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now

    async with cli.connect() as client:
        found = await client.get_alert(number_of(alert, "alerts"))
        if cli.output is not Output.TABLE:
            print_data(cli.output, mapping_of(found))
            return
        from monitord_client.monitorctl.alert_views import alert_card

        names = Names(client)
        monitor, contact = await names.monitor(found.monitor_id), await names.contact(found.contact_id)
    cli.console.print(alert_card(found, monitor, contact, utc_now()))


async def export(cli: Cli, which: AlertFilterOptions) -> None:
    """Write alerts as CSV, oldest first: monitorctl alerts export > alerts.csv"""
    if cli.output is not Output.TABLE:
        raise CommandError("export writes CSV; `monitorctl alerts list -o json` writes JSON")
    async with cli.connect() as client:
        chunks = client.export_alerts(await which.find(client))
        async with aclosing(chunks):
            async for chunk in chunks:
                sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


async def retry(cli: Cli, alerts: AlertIds) -> None:
    """Try alerts again that were given up, for a day."""
    from monitord_client.monitorctl.printing import mapping_of, print_data

    async with cli.connect() as client:
        revived = [await client.retry_delivery(number) for number in [number_of(each, "alerts") for each in alerts]]
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"alerts": [mapping_of(alert) for alert in revived]})
        return
    for alert in revived:
        cli.print(f"alert {alert.id}: tried again")


async def explain(cli: Cli, monitor: MonitorArgument, contact: ContactArgument, at: AtOption = None) -> None:
    """Say why a contact was, or was not, told of the last change of a monitor before a moment."""
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible

    async with cli.connect() as client:
        watched, told = await find_monitor(client, monitor), await find_contact(client, contact)
        answer = await client.explain_alert(watched.id, told.id, at=at)
    if cli.output is not Output.TABLE:
        print_data(cli.output, mapping_of(answer))
        return
    cli.print(f"{visible(told.name)} was {'told' if answer.told else 'NOT told'} of {visible(watched.name)}:")
    for reason in answer.reasons:
        cli.print(f"  {visible(reason)}")
    for alert in answer.alerts:
        cli.note(f"More of it: monitorctl alerts show {alert.id}")
