"""add, list, show, pause, resume, rm."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.completion import (
    complete_kind,
    complete_monitor,
    complete_status,
    complete_target,
    status_words,
)
from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.kind_options import CheckOptions, FieldOptions, GroupOptions, HeartbeatOptions
from monitord_client.monitorctl.options import (
    EveryOption,
    HttpOptions,
    LabelOption,
    Output,
    ScheduleOptions,
    YesOption,
    labels_of,
)
from monitord_client.monitorctl.running import Cli
from monitord_client.monitorctl.schemes import KINDS

if TYPE_CHECKING:
    from monitord_client import Monitor, MonitorStatus, MonitorType

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name or an id.", autocompletion=complete_monitor)]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names or ids.", autocompletion=complete_monitor)]


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    command(app, "add")(add)
    command(app, "list")(list_)
    command(app, "show")(show)
    command(app, "pause")(pause)
    command(app, "resume")(resume)
    command(app, "rm")(remove)


async def add(
    cli: Cli,
    name: Annotated[str, typer.Argument(help="What to call it; unique among your monitors.")],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="What to look at; its scheme chooses the kind of check: https://, tcp://, ping:// ..., or the word "
            "heartbeat or group.",
            autocompletion=complete_target,
        ),
    ],
    schedule: ScheduleOptions,
    fields: FieldOptions,
    http: HttpOptions,
    heartbeat: HeartbeatOptions,
    group: GroupOptions,
    label: LabelOption = None,
    parent: Annotated[
        list[str] | None,
        typer.Option(
            "--parent",
            metavar="NAME_OR_ID",
            help="A monitor that this one depends on: while it is down, nobody is told of this one. Again for each.",
            autocompletion=complete_monitor,
        ),
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Don't check it yet.")] = False,
) -> None:
    """Add a monitor and start to check it.

    \b
    monitorctl add shop https://shop.example.com -H Accept=text/html
    monitorctl add mail tcp://mail.example.com:25 --set expect=^220
    monitorctl add cert tls://example.com --set min_certificate_days=21
    monitorctl add router ping://router.example.com --set count=10
    monitorctl add mx 'dns://example.com?type=MX&server=ns1.example.com'
    monitorctl add orders grpcs://orders.example.com:443/shop.Orders
    monitorctl add feed wss://example.com/feed --set send=hi --set expect=hello
    monitorctl add db postgres://me@db.example.com/shop --secret password
    monitorctl add old mysql://me@old.example.com --secret password=env:PASSWORD
    monitorctl add cache rediss://cache.example.com --set command='LLEN jobs'
    monitorctl add backup heartbeat --period 1d --grace 10m
    monitorctl add site group --member shop --member blog --min-up 1
    """
    from monitord_client.monitorctl.finding import find_monitors
    from monitord_client.v1.monitor_pb2 import Monitor

    monitor = Monitor(name=name, labels=labels_of(label))
    CheckOptions(http, fields, heartbeat, group).fill(monitor, target, cli)
    schedule.fill(monitor)
    if paused:
        monitor.active = False
    async with cli.connect() as client:
        monitor.parent_ids.extend(each.id for each in await find_monitors(client, parent or ()))
        if group.member:
            await group.find(client, monitor.group)
        stored = await client.create_monitor(monitor)
    _tell(cli, stored)


def _tell(cli: Cli, stored: "Monitor") -> None:
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible

    if cli.output is not Output.TABLE:
        print_data(cli.output, mapping_of(stored))
        return
    cli.print(f"+ {visible(stored.name)} (id {stored.id})")
    if stored.heartbeat.ping_url:
        cli.print(f"The job tells that it ran by: curl -fsS {visible(stored.heartbeat.ping_url)}")


async def list_(
    cli: Cli,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", "-s", help="Only these: up, down, ...", autocompletion=complete_status),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only these: http, tcp, icmp, ...", autocompletion=complete_kind),
    ] = None,
    label: LabelOption = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Only those that are (not) checked.")
    ] = None,
    by_name: Annotated[bool, typer.Option("--by-name", help="Sort by name instead of by id.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again and again.")] = False,
    every: EveryOption = timedelta(seconds=2),
) -> None:
    """List monitors, how they are, and when they were last checked."""
    from monitord_client import Client, Monitor
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now
    from monitord_client.monitorctl.tables import monitors_table
    from monitord_client.v1.monitor_service_pb2 import MONITOR_ORDER_ID, MONITOR_ORDER_NAME

    conditions: dict[str, Any] = {
        "statuses": [_status(word) for word in status or ()],
        "types": [_type(word) for word in kind or ()],
        "labels": labels_of(label),
        "active": active,
        "order": MONITOR_ORDER_NAME if by_name else MONITOR_ORDER_ID,
    }

    async def fetch(client: Client) -> list[Monitor]:
        return [monitor async for monitor in client.list_monitors(page_size=500, **conditions)]

    async with cli.connect() as client:
        if watch:
            await _list_again_and_again(cli, lambda: fetch(client), every.total_seconds())
        monitors = await fetch(client)
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"monitors": [mapping_of(monitor) for monitor in monitors]})
    elif monitors:
        cli.console.print(monitors_table(monitors, utc_now()))
    elif status or kind or label or active is not None:
        cli.note("No monitor meets these conditions.")
    else:
        cli.note("There are no monitors yet. Add one: monitorctl add NAME TARGET")


def _status(word: str) -> "MonitorStatus.ValueType":
    from monitord_client.v1.monitor_pb2 import MonitorStatus

    try:
        return MonitorStatus.Value(f"MONITOR_STATUS_{word.upper()}")
    except ValueError:
        raise CommandError(f"{word!r} is not a status; there is {', '.join(status_words())}") from None


def _type(word: str) -> "MonitorType.ValueType":
    from monitord_client.v1.monitor_pb2 import MonitorType

    if word.lower() not in KINDS:
        raise CommandError(f"{word!r} is not a kind of check; there is {', '.join(KINDS)}")
    return MonitorType.Value(f"MONITOR_TYPE_{word.upper()}")


async def _list_again_and_again(cli: Cli, fetch: "Callable[[], Awaitable[list[Monitor]]]", every_s: float) -> None:
    from rich.live import Live

    from monitord_client.monitorctl.spans import utc_now
    from monitord_client.monitorctl.tables import monitors_table

    if cli.output is not Output.TABLE or every_s <= 0:
        raise CommandError("--watch shows a table: leave out --output, and let --every be longer than 0 s")
    with Live(console=cli.console, auto_refresh=False) as live:
        while True:
            live.update(monitors_table(await fetch(), utc_now()), refresh=True)
            await asyncio.sleep(every_s)


async def show(cli: Cli, name: Name) -> None:
    """Show all there is to know of a monitor."""
    from monitord_client.monitorctl.finding import find_monitor
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now
    from monitord_client.monitorctl.tables import monitor_card

    async with cli.connect() as client:
        monitor = await find_monitor(client, name)
    if cli.output is Output.TABLE:
        cli.console.print(monitor_card(monitor, utc_now()))
    else:
        print_data(cli.output, mapping_of(monitor))


async def pause(cli: Cli, names: Names) -> None:
    """Stop checking monitors, until `resume`."""
    await _switch(cli, names, active=False)


async def resume(cli: Cli, names: Names) -> None:
    """Check paused monitors again; one that is FAULTED gets a new chance."""
    await _switch(cli, names, active=True)


async def _switch(cli: Cli, names: list[str], *, active: bool) -> None:
    from monitord_client.monitorctl.finding import find_monitors
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible

    async with cli.connect() as client:
        change = client.resume_monitor if active else client.pause_monitor
        changed = [await change(monitor.id) for monitor in await find_monitors(client, names)]
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"monitors": [mapping_of(monitor) for monitor in changed]})
        return
    for monitor in changed:
        cli.print(f"{visible(monitor.name)}: {'checked again' if active else 'paused'}")


async def remove(cli: Cli, names: Names, yes: YesOption = False) -> None:
    """Delete monitors and their logs, for ever. Asks first, when a person is there to answer."""
    from monitord_client.monitorctl.finding import find_monitors
    from monitord_client.monitorctl.printing import visible

    async with cli.connect() as client:
        monitors = await find_monitors(client, names)
        listed = ", ".join(visible(monitor.name) for monitor in monitors)
        if cli.interactive and not yes and not await cli.confirm(f"Delete {listed}, for ever?"):
            raise CommandError("nothing was deleted")
        for monitor in monitors:
            await client.delete_monitor(monitor.id)
            if cli.output is Output.TABLE:
                cli.print(f"- {visible(monitor.name)}")
