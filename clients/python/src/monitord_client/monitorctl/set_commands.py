"""apply and export: monitors, and whom they alert, as a file."""

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
    from monitord_client import Client, InvalidArgumentError
    from monitord_client.monitorctl.applying import Outcome
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
    prune: Annotated[bool, typer.Option("--prune", help="Delete what the files do not name.")] = False,
    yes: YesOption = False,
) -> None:
    """Make the stored monitors equal to those of files, by name: all of them or none.

    Files may have contacts too, and the alerts of a monitor: who is told of it. --prune deletes contacts only if the
    files have some, and ends alerts only of monitors whose alerts are listed. A person is asked before anything is
    deleted.
    """
    from monitord_client.errors import InvalidArgumentError, MonitordError
    from monitord_client.monitorctl.applying import Applier

    manifest = _read([*(files or ()), *(file or ())])
    only_contacts = manifest.sections == {"contacts"}
    if not manifest.monitors and not only_contacts and prune and not dry_run and not yes:
        raise CommandError("the files hold no monitors: applying them with --prune deletes all. If so: --yes")
    async with cli.connect() as client:
        applier = Applier(client, manifest, prune=prune, dry_run=dry_run)
        try:
            if prune and not dry_run and not yes and cli.interactive:
                await _ask_before_deleting(cli, client, manifest)
            outcome = await applier.run()
        except InvalidArgumentError as error:
            raise CommandError(_with_lines(error, manifest, applier.outcome)) from None
        except MonitordError:
            if done := _done_so_far(applier.outcome):
                cli.note(f"Not all of it was applied, but {done}.")
            raise
    _print_outcome(cli, outcome, manifest, dry_run=dry_run)


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
    from monitord_client.monitorctl.applying import Applier
    from monitord_client.monitorctl.printing import visible
    from monitord_client.v1.monitor_service_pb2 import APPLY_ACTION_REMOVED

    plan = await Applier(client, manifest, prune=True, dry_run=True).run()
    doomed = [visible(each.name) for each in plan.monitors if each.action == APPLY_ACTION_REMOVED]
    doomed += [f"contact {visible(each.name)}" for each in plan.contacts if each.action == APPLY_ACTION_REMOVED]
    if doomed and not await cli.confirm(f"Delete {', '.join(doomed)}, for ever?"):
        raise CommandError("nothing was applied")


def _with_lines(error: "InvalidArgumentError", manifest: "Manifest", outcome: "Outcome") -> str:
    lines = []
    for violation in error.violations:
        place = manifest.place_of(violation.field)
        lines.append(f"{place or 'the set'}: {violation.field}: {violation.description}")
    done = _done_so_far(outcome)
    begin = f"not all of it was applied, but {done}:" if done else "nothing was applied:"
    return "\n".join([begin, *(lines or [error.message])])


def _done_so_far(outcome: "Outcome") -> str:
    """Return what was changed before something went wrong; empty when nothing was."""
    from monitord_client.v1.monitor_service_pb2 import APPLY_ACTION_UNCHANGED

    parts = [f"contact {each.name}" for each in outcome.contacts if each.action != APPLY_ACTION_UNCHANGED]
    parts += ["all monitors"] if outcome.monitors else []
    parts += [
        f"alerts {each.monitor} -> {each.name}" for each in outcome.alerts if each.action != APPLY_ACTION_UNCHANGED
    ]
    return ", ".join(parts)


def _print_outcome(cli: Cli, outcome: "Outcome", manifest: "Manifest", *, dry_run: bool) -> None:
    from monitord_client.monitorctl import outcomes
    from monitord_client.monitorctl.printing import print_data

    if cli.output is not Output.TABLE:
        print_data(cli.output, outcomes.as_data(outcome, manifest.sections))
        return
    for line in outcomes.lines(outcome):
        cli.console.print(line, soft_wrap=True)
    for note in outcomes.notes(outcome, dry_run=dry_run):
        cli.note(note)
    cli.note(outcomes.summary(outcome, dry_run=dry_run))


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
