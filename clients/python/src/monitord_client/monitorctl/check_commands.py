"""test, check, logs, tail, stats, watch."""

from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.completion import complete_monitor, complete_target_or_monitor
from monitord_client.monitorctl.exits import CommandError, ExitCode
from monitord_client.monitorctl.kind_options import CheckOptions, FieldOptions
from monitord_client.monitorctl.monitor_commands import Name
from monitord_client.monitorctl.options import (
    FromOption,
    HttpOptions,
    Output,
    SinceOption,
    SpanOption,
    ToOption,
    WindowOption,
)
from monitord_client.monitorctl.running import Cli
from monitord_client.monitorctl.schemes import is_target

if TYPE_CHECKING:
    from monitord_client import CheckLog, Client, Monitor, TailEvent, Verdict

NamesOrAll = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME...]", help="Names or ids; none: all.", autocompletion=complete_monitor),
]


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    command(app, "test")(try_target)
    command(app, "check")(check)
    command(app, "logs")(logs)
    command(app, "tail")(tail)
    command(app, "stats")(stats)
    command(app, "watch")(watch)


async def try_target(
    cli: Cli,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET|NAME",
            help="What to look at, as for `add`; or a monitor whose configuration to try.",
            autocompletion=complete_target_or_monitor,
        ),
    ],
    fields: FieldOptions,
    http: HttpOptions,
    timeout: Annotated[int | None, SpanOption] = None,
) -> int:
    """Check a target once from where monitord runs, store nothing, and explain the verdict step by step.

    \b
    monitorctl test https://shop.example.com --keyword Welcome
    monitorctl test tcp://mail.example.com:25 --set security=starttls_smtp
    monitorctl test ping://router.example.com --set count=10
    monitorctl test 'dns://example.com?type=MX'
    monitorctl test postgres://monitor@db.example.com/shop --secret password

    Exit code: 0 when it works, 1 when it is DOWN, 8 when nothing can be said.
    """
    from monitord_client.monitorctl.finding import find_monitor
    from monitord_client.v1.monitor_pb2 import Monitor

    options, monitor = CheckOptions(http, fields), Monitor()
    if is_target(target):
        options.fill(monitor, target, cli)
    elif options.given:
        raise CommandError(f"{target!r} is not a target: write https://... (a monitor is tested as it is stored)")
    async with cli.connect() as client:
        if not is_target(target):
            monitor = await find_monitor(client, target)
        if timeout is not None:
            monitor.timeout.FromNanoseconds(timeout)
        row = await client.test_monitor(monitor)
    return _explain(cli, row, target)


async def check(cli: Cli, name: Name) -> int:
    """Check a monitor now, store the result, and explain the verdict.

    Exit code: 0 when it works, 1 when it is DOWN, 8 when nothing can be said.
    """
    from monitord_client.monitorctl.finding import find_monitor

    async with cli.connect() as client:
        monitor = await find_monitor(client, name)
        row = await client.check_now(monitor.id)
    return _explain(cli, row, monitor.name)


def _explain(cli: Cli, row: "CheckLog", title: str) -> int:
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now
    from monitord_client.v1.check_log_pb2 import VERDICT_DEGRADED, VERDICT_DOWN, VERDICT_UP

    if cli.output is Output.TABLE:
        from monitord_client.monitorctl.trace import explained

        cli.console.print(explained(row, title, utc_now()))
    else:
        print_data(cli.output, mapping_of(row))
    if row.verdict == VERDICT_DOWN:
        return ExitCode.DOWN
    return ExitCode.OK if row.verdict in (VERDICT_UP, VERDICT_DEGRADED) else ExitCode.UNDECIDED


async def logs(
    cli: Cli,
    name: Name,
    start: FromOption = None,
    end: ToOption = None,
    verdict: Annotated[list[str] | None, typer.Option(help="Only these: up, down, degraded, ...")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the newest.")] = 50,
    sequence: Annotated[
        int | None, typer.Option("--sequence", min=1, help="Explain this one row, with its evidence.")
    ] = None,
) -> None:
    """Show a monitor's results, newest first; those that changed nothing and gaps included."""
    from monitord_client.monitorctl.finding import find_monitor
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now

    verdicts = [_verdict(word) for word in verdict or ()]
    async with cli.connect() as client:
        monitor = await find_monitor(client, name)
        if sequence is not None:
            _explain(cli, await client.get_check_log(monitor.id, sequence), monitor.name)
            return
        rows = client.list_check_logs(monitor.id, start=start, end=end, verdicts=verdicts, page_size=min(limit, 1000))
        found: list[CheckLog] = []
        async for row in rows:
            found.append(row)
            if len(found) == limit:
                break
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"check_logs": [mapping_of(row) for row in found]})
    elif found:
        from monitord_client.monitorctl.tables import logs_table

        cli.console.print(logs_table(found, utc_now()))
    else:
        cli.note("There are no results for these conditions.")


def _verdict(word: str) -> "Verdict.ValueType":
    from monitord_client.v1.check_log_pb2 import Verdict

    words = [name.removeprefix("VERDICT_").lower() for name, number in Verdict.items() if number]
    if word.lower() not in words:
        raise CommandError(f"{word!r} is not a verdict; there is {', '.join(words)}")
    return Verdict.Value(f"VERDICT_{word.upper()}")


async def tail(
    cli: Cli,
    names: NamesOrAll = None,
    last: Annotated[int | None, typer.Option(min=1, max=10_000, help="Begin with so many that are there.")] = None,
    since: SinceOption = None,
    cursor: Annotated[str | None, typer.Option(help="Go on after the event that had this cursor.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line; same as -o json.")] = False,
) -> None:
    """Follow results as they are stored, across lost connections; what could not be shown is said. Ctrl-C ends it."""
    from monitord_client.monitorctl.finding import find_monitors

    output = Output.JSON if as_json else cli.output
    if sum(start is not None for start in (last, since, cursor)) > 1:
        raise CommandError("choose one of --last, --since and --cursor")
    async with cli.connect() as client:
        monitors = await find_monitors(client, names or ())
        known = {monitor.id: monitor.name for monitor in monitors}
        events = client.tail(list(known), last=last, since=since, cursor=cursor)
        async with aclosing(events):
            async for event in events:
                if output is Output.TABLE:
                    await _show_event(cli, client, event, known)
                else:
                    _print_event(output, event)


async def _show_event(cli: Cli, client: "Client", event: "TailEvent", known: dict[int, str]) -> None:
    from monitord_client import Disconnected, Gap, NotFoundError, Reconnected, Row
    from monitord_client.monitorctl.printing import visible
    from monitord_client.monitorctl.spans import length_words, utc_now
    from monitord_client.monitorctl.tables import row_text

    match event:
        case Row(row):
            if row.monitor_id not in known:
                try:
                    known[row.monitor_id] = (await client.get_monitor(row.monitor_id)).name
                except NotFoundError:
                    known[row.monitor_id] = f"#{row.monitor_id}"
            text = row_text(row, utc_now())
            text.append(f"  {visible(known[row.monitor_id])}", style="bold")
            cli.console.print(text, soft_wrap=True)
        case Gap(message):
            cli.note(f"--- not everything can be shown: {visible(message)}")
        case Disconnected(cause):
            cli.note(f"--- connection lost ({visible(cause)}); trying again ...")
        case Reconnected(away_s):
            cli.note(f"--- connected again after {length_words(away_s)}; nothing was missed unless said below")


def _print_event(output: Output, event: "TailEvent") -> None:
    from monitord_client import Disconnected, Gap, Reconnected, Row
    from monitord_client.monitorctl.printing import mapping_of, print_line

    data: dict[str, Any] = {"cursor": event.cursor}
    match event:
        case Row(row):
            data["check_log"] = mapping_of(row)
        case Gap(message):
            data["gap"] = {"message": message}
        case Disconnected(cause):
            data["disconnected"] = {"cause": cause}
        case Reconnected(away_s, attempts):
            data["reconnected"] = {"away_s": round(away_s, 3), "attempts": attempts}
    print_line(output, data)


async def stats(cli: Cli, name: Name, window: WindowOption = timedelta(hours=24)) -> None:
    """Show uptime, weighted by time, and response times over a window that ends now."""
    from monitord_client.monitorctl.finding import find_monitor
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now

    async with cli.connect() as client:
        monitor = await find_monitor(client, name)
        now = utc_now()
        metrics = await client.get_monitor_metrics(monitor.id, start=now - window, end=now)
    if cli.output is Output.TABLE:
        from monitord_client.monitorctl.tables import stats_card

        cli.console.print(stats_card(monitor.name, metrics))
    else:
        print_data(cli.output, mapping_of(metrics))


async def watch(cli: Cli, names: NamesOrAll = None) -> None:
    """Show a live table: status, last response time, history and uptime of each monitor. Ctrl-C ends it."""
    from monitord_client.monitorctl.finding import find_monitors
    from monitord_client.monitorctl.watching import Watcher

    if cli.output is not Output.TABLE:
        raise CommandError("watch shows a table; for scripts there is `monitorctl tail --json`")
    async with cli.connect() as client:
        chosen: list[Monitor] = await find_monitors(client, names or ())
        await Watcher(client, [monitor.name for monitor in chosen], cli.console).run()
