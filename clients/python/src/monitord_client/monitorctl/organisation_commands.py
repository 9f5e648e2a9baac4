"""org: who shares monitors and contacts, and in which organisation commands act."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.completion import complete_organisation
from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.options import Output, YesOption
from monitord_client.monitorctl.organisation_finding import find_organisation, way_in
from monitord_client.monitorctl.running import Cli

if TYPE_CHECKING:
    from monitord_client import Client, Organisation

OrganisationName = Annotated[
    str, typer.Argument(metavar="NAME", help="A name or an id.", autocompletion=complete_organisation)
]
OptionalName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="A name or an id; else the one commands act in.", autocompletion=complete_organisation
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    organisations = typer.Typer(help="Who shares monitors and contacts.", no_args_is_help=True)
    command(organisations, "list")(list_)
    command(organisations, "create")(create)
    command(organisations, "use")(use)
    command(organisations, "show")(show)
    command(organisations, "rename")(rename)
    command(organisations, "networks")(networks)
    command(organisations, "delete")(delete)
    app.add_typer(organisations, name="org")


async def list_(cli: Cli) -> None:
    """List the organisations that you are a member of; * marks the one that commands act in."""
    from monitord_client.monitorctl.printing import mapping_of, print_data

    async with cli.connect(in_organisation=False) as client:
        found = [each async for each in client.list_organisations()]
        if cli.output is not Output.TABLE:
            print_data(cli.output, {"organisations": [mapping_of(each) for each in found]})
            return
        in_use = await _in_use(cli, client, found)
    from monitord_client.monitorctl.organisation_views import organisations_table

    cli.console.print(organisations_table(found, in_use))
    if all(each.personal for each in found):
        cli.note("Nothing is shared with others yet. Make an organisation for that: monitorctl org create NAME")


async def _in_use(cli: Cli, client: "Client", organisations: "list[Organisation]") -> int:
    """Return the id of the one that commands act in; 0: of one that isn't there, or not any more."""
    if given := cli.given_organisation:
        return next((each.id for each in organisations if given in (str(each.id), each.display_name)), 0)
    remembered = cli.chosen.load() if cli.signed_in else None
    return remembered or (await client.get_organisation()).id


async def create(cli: Cli, name: Annotated[str, typer.Argument(help="What to call it.")]) -> None:
    """Make an organisation that you own."""
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible

    async with cli.connect(in_organisation=False) as client:
        made = await client.create_organisation(name)
    if cli.output is not Output.TABLE:
        print_data(cli.output, mapping_of(made))
        return
    cli.print(f"+ {visible(made.display_name)} (id {made.id})")
    cli.note(way_in(made.id, signed_in=cli.signed_in))
    cli.note(f"To share it: monitorctl --organisation {made.id} member invite ann@example.org --role editor")


async def use(
    cli: Cli,
    name: OptionalName = None,
    personal: Annotated[bool, typer.Option("--personal", help="Go back to your personal one.")] = False,
) -> None:
    """Let later commands act in an organisation, for as long as you are signed in to this server as who you are."""
    from monitord_client.monitorctl.printing import visible

    if (name is None) != personal:
        raise CommandError("say which: monitorctl org use NAME, or monitorctl org use --personal")
    async with cli.connect(in_organisation=False) as client:
        if personal:
            cli.chosen.forget()
            cli.note("Commands act in your personal organisation.")
            return
        if not cli.signed_in:
            raise CommandError(
                "it is remembered for a session, and there is none in use: run `monitorctl login` first. An API key "
                "acts in the organisation that it was made in"
            )
        found = await find_organisation(client, name or "")
        cli.chosen.save(found.id, (await client.get_user()).id)
    cli.note(f"Commands act in {visible(found.display_name)} (id {found.id}).")


async def _one(client: "Client", name: str | None) -> "Organisation":
    return await client.get_organisation() if name is None else await find_organisation(client, name)


async def show(cli: Cli, name: OptionalName = None) -> None:
    """Show an organisation, and who is in it."""
    from monitord_client.monitorctl.printing import mapping_of, print_data

    async with cli.connect(in_organisation=name is None) as client:
        found = await _one(client, name)
        if cli.output is not Output.TABLE:
            print_data(cli.output, mapping_of(found))
            return
        members = [member async for member in client.list_members()]
    from monitord_client.monitorctl.organisation_views import organisation_card

    cli.console.print(organisation_card(found, members))


async def rename(
    cli: Cli, name: OrganisationName, new: Annotated[str, typer.Argument(metavar="NEW_NAME", help="What to call it.")]
) -> None:
    """Call an organisation something else."""
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible
    from monitord_client.v1.organisation_pb2 import Organisation

    async with cli.connect(in_organisation=False) as client:
        found = await find_organisation(client, name)
        wish = Organisation(id=found.id, display_name=new, etag=found.etag)
        stored = await client.update_organisation(wish, fields=["display_name"])
    if cli.output is Output.TABLE:
        cli.print(f"{visible(found.display_name)} is now {visible(stored.display_name)}")
    else:
        print_data(cli.output, mapping_of(stored))


async def networks(
    cli: Cli,
    name: OrganisationName,
    allowed: Annotated[
        list[str] | None, typer.Argument(metavar="[CIDR]...", help="All of them, such as 192.0.2.0/24.")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Allow calls from everywhere.")] = False,
) -> None:
    """Show the networks that calls in an organisation may come from, or replace them by others."""
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.v1.organisation_pb2 import Organisation

    if allowed and everywhere:
        raise CommandError("choose one: networks, or --everywhere")
    async with cli.connect(in_organisation=False) as client:
        found = await find_organisation(client, name)
        if allowed or everywhere:
            wish = Organisation(id=found.id, allowed_networks=allowed, etag=found.etag)
            found = await client.update_organisation(wish, fields=["allowed_networks"])
    if cli.output is Output.TABLE:
        _tell_networks(cli, found.display_name, found.allowed_networks)
    else:
        print_data(cli.output, mapping_of(found))


def _tell_networks(cli: Cli, name: str, allowed: Sequence[str]) -> None:
    from monitord_client.monitorctl.printing import visible

    for network in allowed:
        cli.print(visible(network))
    if not allowed:
        cli.note(f"Calls in {visible(name)} may come from everywhere.")


async def delete(
    cli: Cli,
    name: OrganisationName,
    force: Annotated[bool, typer.Option("--force", help="With the monitors and contacts that are in it.")] = False,
    yes: YesOption = False,
) -> None:
    """Delete an organisation that you own. Asks first, when a person is there to answer."""
    from monitord_client.monitorctl.printing import visible

    async with cli.connect(in_organisation=False) as client:
        found = await find_organisation(client, name)
        shown = visible(found.display_name)
        content = " with all monitors and contacts in it" if force else ""
        if cli.interactive and not yes and not await cli.confirm(f"Delete {shown}{content}, for ever?"):
            raise CommandError("nothing was deleted")
        await client.delete_organisation(found.id, force=force)
    if cli.chosen.load() == found.id:
        cli.chosen.forget()
    if cli.output is Output.TABLE:
        cli.print(f"- {shown}")
