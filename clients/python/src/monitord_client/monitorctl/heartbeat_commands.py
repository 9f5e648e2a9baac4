"""ping, pings: what jobs tell of themselves."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.completion import complete_monitor
from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.finding import find_monitor
from monitord_client.monitorctl.options import Output
from monitord_client.monitorctl.running import Cli

_BODY_BYTES = 10 * 1024
"""What the server keeps: more need not travel."""

MonitorArgument = Annotated[str, typer.Argument(metavar="NAME_OR_ID", autocompletion=complete_monitor)]


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    command(app, "ping")(ping)
    command(app, "pings")(pings)


async def ping(
    cli: Cli,
    monitor: MonitorArgument,
    start: Annotated[bool, typer.Option("--start", help="The job begins.")] = False,
    fail: Annotated[bool, typer.Option("--fail", help="The job failed.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Only keep the body.")] = False,
    exit_code: Annotated[int | None, typer.Option(min=0, max=255, help="0 is a success, others a failure.")] = None,
    body: Annotated[str, typer.Option("--body", "-d", help="@FILE reads a file, @- stdin.")] = "",
) -> None:
    """Tell that the job of a heartbeat ran, as its URL does.

    \b
    monitorctl ping backup --start
    ./backup.sh >backup.log 2>&1; monitorctl ping backup --exit-code $? --body @backup.log
    """
    from monitord_client.v1 import heartbeat_service_pb2 as pb

    if start + fail + log + (exit_code is not None) > 1:
        raise CommandError("choose one of --start, --fail, --log and --exit-code")
    told = {pb.PING_KIND_START: start, pb.PING_KIND_FAIL: fail, pb.PING_KIND_LOG: log}
    kind = next((each for each, given in told.items() if given), pb.PING_KIND_UNSPECIFIED)
    async with cli.connect() as client:
        found = await find_monitor(client, monitor)
        await client.ping(found.id, kind, exit_code=exit_code, body=_content(body)[:_BODY_BYTES])


async def pings(
    cli: Cli, monitor: MonitorArgument, last: Annotated[int, typer.Option("--last", "-n", min=1, max=1000)] = 20
) -> None:
    """Show the last words of a job, newest first."""
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now

    words = []
    async with cli.connect() as client:
        found = await find_monitor(client, monitor)
        async for word in client.list_pings(found.id, page_size=min(last, 1000)):
            words.append(word)
            if len(words) == last:
                break
    if cli.output is Output.TABLE:
        from monitord_client.monitorctl.tables import pings_table

        cli.console.print(pings_table(words, utc_now()))
    else:
        print_data(cli.output, {"pings": [mapping_of(word) for word in words]})


def _content(body: str) -> bytes:
    if body == "@-":
        return sys.stdin.buffer.read(_BODY_BYTES)
    if not body.startswith("@"):
        return body.encode()
    try:
        with Path(body[1:]).open("rb") as file:
            return file.read(_BODY_BYTES)
    except OSError as error:
        raise CommandError(f"cannot read {body[1:]}: {error.strerror}") from None
