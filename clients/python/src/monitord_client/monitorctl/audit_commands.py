"""audit: who did what in an organisation."""

from typing import TYPE_CHECKING, Annotated

import typer

from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.completion import AUDIT_KINDS, complete_audit_kind, complete_member
from monitord_client.monitorctl.options import Output, SinceOption
from monitord_client.monitorctl.organisation_finding import find_member
from monitord_client.monitorctl.running import Cli

if TYPE_CHECKING:
    from monitord_client import AuditEvent


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    command(app, "audit")(audit)


async def audit(
    cli: Cli,
    since: SinceOption = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", "-k", help=f"Of these things: {', '.join(AUDIT_KINDS)}.", autocompletion=complete_audit_kind
        ),
    ] = None,
    by: Annotated[
        str, typer.Option("--by", metavar="WHO", help="A user's id, or a member's address.",
                          autocompletion=complete_member)
    ] = "",
    thing: Annotated[str, typer.Option("--thing", metavar="ID", help="Of this one, such as a monitor's id.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the newest.")] = 50,
) -> None:  # fmt: skip
    """Tell who changed what, newest first: in the organisation that commands act in, for its administrators.

    \b
    monitorctl audit --since 2d --kind monitor --by ann@example.org
    monitorctl audit --kind monitor --thing 7 -o json      # with what it was before
    """
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now

    found: list[AuditEvent] = []
    async with cli.connect() as client:
        by_user = 0 if not by else int(by) if _is_id(by) else (await find_member(client, by)).user_id
        events = client.list_audit_events(
            by_user=by_user, kinds=kind or (), thing=thing, start=since, page_size=min(limit, 1000)
        )
        async for event in events:
            found.append(event)
            if len(found) == limit:
                break
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"events": [mapping_of(event) for event in found]})
    elif found:
        from monitord_client.monitorctl.organisation_views import audit_table

        cli.console.print(audit_table(found, utc_now()))
    else:
        narrowed = since or kind or by or thing
        unknown = ", ".join(repr(each) for each in kind or () if each not in AUDIT_KINDS)
        hint = f" Of the kind {unknown} this monitorctl knows nothing: try {', '.join(AUDIT_KINDS)}." if unknown else ""
        cli.note(f"Nothing was done{' that fits these conditions' if narrowed else ' yet'}.{hint}")


def _is_id(text: str) -> bool:
    # A user who is no member any more is found by their id alone.
    return text.isascii() and text.isdecimal() and int(text) < 2**63
