"""apply and export: monitors as a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitord_client.monitorctl.check_commands import NamesOrAll
from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.options import LabelOption, Output, YesOption, labels_of
from monitord_client.monitorctl.running import Cli

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitord_client import AppliedMonitor, Client, InvalidArgumentError
    from monitord_client.monitorctl.manifest import Manifest

_MOST = 1_000
_MOST_BYTES = 256 * 1024


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    command(app, "apply")(apply)
    command(app, "export")(export)


async def apply(
    cli: Cli,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE...]", help="YAML, as `export` writes it; - is stdin.")
    ] = None,
    file: Annotated[list[str] | None, typer.Option("--file", "-f", metavar="FILE", help="The same.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Delete the monitors that the files do not name.")] = False,
    yes: YesOption = False,
) -> None:
    """Make the stored monitors equal to those of files, by name: all of it or nothing.

    A person is asked before anything is deleted.
    """
    from monitord_client.errors import InvalidArgumentError

    manifest = _read([*(files or ()), *(file or ())])
    if not manifest.monitors and prune and not dry_run and not yes:
        raise CommandError("the files hold no monitors: applying them with --prune deletes all. If so: --yes")
    async with cli.connect() as client:
        try:
            if prune and not dry_run and not yes and cli.interactive:
                await _ask_before_deleting(cli, client, manifest)
            results = await client.apply_monitors(manifest.monitors, prune=prune, dry_run=dry_run)
        except InvalidArgumentError as error:
            raise CommandError(_with_lines(error, manifest)) from None
    _print_results(cli, results, dry_run=dry_run)


def _read(files: list[str]) -> "Manifest":
    from monitord_client.monitorctl.manifest import ManifestError, read_manifest

    if not files:
        raise CommandError("name a file: monitorctl apply -f monitors.yaml (- is stdin)")
    sources: list[tuple[str, str]] = []
    for name in files:
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(f"cannot read {name}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise CommandError(f"cannot read {name}: it is not UTF-8 text") from None
        sources.append(("stdin" if name == "-" else name, text))
    try:
        manifest = read_manifest(sources)
    except ManifestError as error:
        raise CommandError(f"nothing was applied:\n{error}") from None
    size = sum(monitor.ByteSize() + 5 for monitor in manifest.monitors)
    if len(manifest.monitors) > _MOST or size > _MOST_BYTES - 100:
        raise CommandError(
            f"one apply takes at most {_MOST:,} monitors and {_MOST_BYTES // 1024} KiB, and this is "
            f"{len(manifest.monitors):,} in {size / 1024:,.0f} KiB: "
            "apply several files one after the other, without --prune"
        )
    return manifest


async def _ask_before_deleting(cli: Cli, client: "Client", manifest: "Manifest") -> None:
    from monitord_client.monitorctl.printing import visible
    from monitord_client.v1.monitor_service_pb2 import APPLY_ACTION_REMOVED

    plan = await client.apply_monitors(manifest.monitors, prune=True, dry_run=True)
    doomed = [visible(result.name) for result in plan if result.action == APPLY_ACTION_REMOVED]
    if doomed and not await cli.confirm(f"Delete {', '.join(doomed)}, for ever?"):
        raise CommandError("nothing was applied")


def _with_lines(error: "InvalidArgumentError", manifest: "Manifest") -> str:
    lines = []
    for violation in error.violations:
        place = manifest.place_of(violation.field)
        lines.append(f"{place or 'the set'}: {violation.field}: {violation.description}")
    return "\n".join(["nothing was applied:", *(lines or [error.message])])


def _print_results(cli: Cli, results: "Iterable[AppliedMonitor]", *, dry_run: bool) -> None:
    from collections import Counter

    from rich.text import Text

    from monitord_client import ApplyAction
    from monitord_client.monitorctl.printing import mapping_of, print_data, short, visible

    results = list(results)
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"results": [mapping_of(result) for result in results]})
        return
    marks = {"CREATED": ("+", "green"), "CHANGED": ("~", "yellow"), "UNCHANGED": ("=", "dim"), "REMOVED": ("-", "red")}
    counts: Counter[str] = Counter()
    console = cli.console
    for result in results:
        action = short(ApplyAction.Name, result.action)
        mark, style = marks.get(action, ("?", ""))
        fields = f" ({', '.join(result.changed_fields)})" if result.changed_fields else ""
        console.print(Text(visible(f"{mark} {result.name}{fields}"), style=style), soft_wrap=True)
        counts[action.lower()] += 1
    summary = ", ".join(f"{count} {action}" for action, count in counts.items()) or "nothing to do"
    cli.note(f"{summary}{' (dry run: nothing was changed)' if dry_run else ''}")


async def export(cli: Cli, names: NamesOrAll = None, label: LabelOption = None) -> None:
    """Write monitors as YAML that `apply` reads: all, or those that are named.

    Values of secret headers are never told: applying the file keeps the stored ones.
    """
    from monitord_client.monitorctl.export import manifest_text
    from monitord_client.monitorctl.finding import find_monitors
    from monitord_client.v1.monitor_service_pb2 import MONITOR_ORDER_NAME

    async with cli.connect() as client:
        if names:
            monitors = await find_monitors(client, names)
        else:
            found = client.list_monitors(labels=labels_of(label), order=MONITOR_ORDER_NAME, page_size=500)
            monitors = [monitor async for monitor in found]
    if cli.output is Output.JSON:
        raise CommandError("export writes YAML; `monitorctl list -o json` writes JSON")
    sys.stdout.write(manifest_text(monitors))
