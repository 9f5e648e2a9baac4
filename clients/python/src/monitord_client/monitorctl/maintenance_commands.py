"""maintenance: times in which nobody is told."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.exits import CommandError, ExitCode
from monitord_client.monitorctl.finding import find_monitors
from monitord_client.monitorctl.options import LabelOption, Output, labels_of
from monitord_client.monitorctl.running import Cli
from monitord_client.monitorctl.spans import parse_timedelta, utc_now

if TYPE_CHECKING:
    from monitord_client import Client
    from monitord_client.v1.maintenance_pb2 import MaintenanceWindow


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    windows = typer.Typer(help="Times in which monitors are checked, but nobody is told.", no_args_is_help=True)
    command(windows, "add")(add)
    command(windows, "list")(list_)
    command(windows, "end")(end)
    command(windows, "rm")(remove)
    app.add_typer(windows, name="maintenance")


async def add(
    cli: Cli,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    length: Annotated[
        str, typer.Option("--for", metavar="LENGTH", help="How long it is open each time: 2h, 30m.")
    ] = "",
    start: Annotated[
        str,
        typer.Option(metavar="MOMENT", help="2026-12-24T22:00, or from now: 2h.", show_default="now"),
    ] = "",
    until: Annotated[str, typer.Option("--end", metavar="MOMENT", help="In place of --for.")] = "",
    cron: Annotated[str, typer.Option(metavar="FIELDS", help="In place of --start, again and again: '0 3 * * 0'")] = "",
    time_zone: Annotated[str, typer.Option(metavar="NAME", help="Of --cron, such as Europe/Berlin.")] = "",
    monitor: Annotated[
        list[str] | None, typer.Option("--monitor", "-m", metavar="NAME_OR_ID", help="Only these; all unless given.")
    ] = None,
    label: LabelOption = None,
) -> None:
    """Announce maintenance, once or again and again.

    \b
    monitorctl maintenance add upgrade --for 2h -m shop
    monitorctl maintenance add move --start 2026-12-24T22:00 --end 2026-12-25T06:00
    monitorctl maintenance add backups --cron '0 3 * * 0' --time-zone Europe/Berlin --for 1h -l team=web
    """
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible

    window = _window(name, length, start, until, cron, time_zone)
    window.labels.update(labels_of(label))
    async with cli.connect() as client:
        window.monitor_ids.extend(each.id for each in await find_monitors(client, monitor or ()))
        stored = await client.create_maintenance_window(window)
    if cli.output is Output.TABLE:
        cli.print(f"+ {visible(stored.name)} (id {stored.id})")
    else:
        print_data(cli.output, mapping_of(stored))


def _window(name: str, length: str, start: str, until: str, cron: str, time_zone: str) -> "MaintenanceWindow":
    """Return the window that options describe. Raises CommandError for what contradicts or is missing."""
    from monitord_client.v1.maintenance_pb2 import MaintenanceWindow

    window = MaintenanceWindow(name=name)
    if time_zone and not cron:
        raise CommandError("--time-zone is for --cron: a moment names its own, as 2026-12-24T22:00+01:00")
    if cron:
        if start or until:
            raise CommandError("--cron says when it opens: leave out --start and --end, and say how long by --for")
        if not length:
            raise CommandError("say how long it is open each time: --for 2h")
        window.recurring.cron.expression, window.recurring.cron.time_zone = cron, time_zone
        window.recurring.duration.FromTimedelta(_length(length, "--for"))
        return window
    if bool(length) == bool(until):
        raise CommandError("say when it ends: --for 2h, or --end 2026-12-25T06:00" + (", not both" if length else ""))
    now = utc_now()
    begin = _moment(start, "--start", now) if start else now
    window.once.start_time.FromDatetime(begin)
    window.once.end_time.FromDatetime(_moment(until, "--end", now) if until else begin + _length(length, "--for"))
    return window


def _length(text: str, option: str) -> timedelta:
    try:
        return parse_timedelta(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from None


def _moment(text: str, option: str, now: datetime) -> datetime:
    """Return a moment to come: how long from now, or ISO 8601, local time unless it names a zone."""
    try:
        return now + parse_timedelta(text.removeprefix("+"))
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise CommandError(
            f"{option}: {text!r} is not a moment: write how long from now (30m, 2h) or a date and time "
            "(2026-12-24T22:00, 2026-12-24T22:00+01:00)"
        ) from None


async def list_(cli: Cli) -> None:
    """List maintenance windows, and which are open."""
    from monitord_client.monitorctl.printing import mapping_of, print_data

    async with cli.connect() as client:
        windows = [window async for window in client.list_maintenance_windows(page_size=500)]
    if cli.output is Output.TABLE:
        from monitord_client.monitorctl.windows import windows_table

        cli.console.print(windows_table(windows, utc_now()))
    else:
        print_data(cli.output, {"windows": [mapping_of(window) for window in windows]})


WindowsArgument = Annotated[list[str], typer.Argument(metavar="NAME_OR_ID...")]


async def end(cli: Cli, windows: WindowsArgument) -> None:
    """Close windows that are open once, now; switch off those that open again and again."""
    async with cli.connect() as client:
        for window in [await _find(client, each) for each in windows]:
            await _end(client, window)
            cli.note(f"{window.name} is over.")


async def _end(client: "Client", window: "MaintenanceWindow") -> None:
    if window.WhichOneof("schedule") == "once" and window.open:
        window.once.end_time.FromDatetime(utc_now())
        await client.update_maintenance_window(window, fields=["once"])
    else:
        window.active = False
        await client.update_maintenance_window(window, fields=["active"])


async def remove(cli: Cli, windows: WindowsArgument) -> None:
    """Delete windows."""
    async with cli.connect() as client:
        for window in [await _find(client, each) for each in windows]:
            await client.delete_maintenance_window(window.id, etag=window.etag)
            cli.note(f"- {window.name}")


async def _find(client: "Client", reference: str) -> "MaintenanceWindow":
    """Return the window with an id or, if there is none, the only one of this name. Raises CommandError."""
    windows = [window async for window in client.list_maintenance_windows(page_size=500)]
    by_id = [each for each in windows if str(each.id) == reference]
    found = by_id or [each for each in windows if each.name == reference]
    if not found:
        raise CommandError(
            f"no maintenance window has the name or id {reference!r}. `monitorctl maintenance list` shows them all.",
            ExitCode.NOT_FOUND,
        )
    if len(found) > 1:
        ids = ", ".join(str(each.id) for each in found)
        raise CommandError(f"several windows are called {reference!r}: choose by id, one of {ids}")
    return found[0]
