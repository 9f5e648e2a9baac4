"""member and invitation: who is in an organisation, and who may come in."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.completion import complete_member
from monitord_client.monitorctl.contact_finding import number_of
from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.options import Output, YesOption
from monitord_client.monitorctl.organisation_finding import find_member, way_in
from monitord_client.monitorctl.running import Cli

if TYPE_CHECKING:
    from monitord_client.v1.organisation_pb2 import Role as RoleNumber

_WHAT = "invitation"


class RoleName(StrEnum):
    """What a member may do."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"

    @property
    def number(self) -> "RoleNumber.ValueType":
        """The contract's value."""
        from monitord_client.v1.organisation_pb2 import Role

        return Role.Value(f"ROLE_{self.name}")


_ROLES = "viewer: look; editor: also change monitors and contacts; admin: also decide who is in it; owner: everything."
MemberName = Annotated[
    str, typer.Argument(metavar="WHO", help="An address or a user's id.", autocompletion=complete_member)
]
MemberNames = Annotated[
    list[str], typer.Argument(metavar="WHO...", help="Addresses or users' ids.", autocompletion=complete_member)
]
InvitationId = Annotated[str, typer.Argument(metavar="ID", help="As `invitation list` has it.")]


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    members = typer.Typer(help="Who is in the organisation that commands act in.", no_args_is_help=True)
    command(members, "list")(list_)
    command(members, "invite")(invite)
    command(members, "role")(role)
    command(members, "rm")(remove)
    command(members, "leave")(leave)
    app.add_typer(members, name="member")
    invitations = typer.Typer(help="Who may come into an organisation.", no_args_is_help=True)
    command(invitations, "list")(list_invitations)
    command(invitations, "revoke")(revoke)
    command(invitations, "accept")(accept)
    command(invitations, "decline")(decline)
    app.add_typer(invitations, name=_WHAT)


async def list_(cli: Cli) -> None:
    """List the members of the organisation, and what they may do."""
    from monitord_client.monitorctl.printing import mapping_of, print_data

    async with cli.connect() as client:
        members = [member async for member in client.list_members()]
        if cli.output is not Output.TABLE:
            print_data(cli.output, {"members": [mapping_of(member) for member in members]})
            return
        alone = len(members) == 1 and await client.get_organisation()
    from monitord_client.monitorctl.organisation_views import members_table

    cli.console.print(members_table(members))
    if alone and alone.personal:
        cli.note("A personal organisation is its owner's alone. Make one to share: monitorctl org create NAME")
    elif alone:
        cli.note("Nobody else is in it yet. Invite somebody: monitorctl member invite ann@example.org --role editor")


async def invite(
    cli: Cli,
    email: Annotated[str, typer.Argument(help="Whom.")],
    role: Annotated[RoleName, typer.Option("--role", help=_ROLES)] = RoleName.VIEWER,
) -> None:
    """Invite an address into the organisation, by mail. Inviting it again replaces the invitation before."""
    from monitord_client.monitorctl.organisation_views import a_role
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible
    from monitord_client.monitorctl.spans import clock_words
    from monitord_client.times import moment_of

    async with cli.connect() as client:
        sent = await client.invite_member(email, role.number)
    if cli.output is not Output.TABLE:
        print_data(cli.output, mapping_of(sent))
        return
    cli.print(
        f"+ {visible(sent.email)} may join {visible(sent.organisation_name)} as {a_role(sent.role)} (id {sent.id})"
    )
    cli.note(
        f"A mail is on its way; its link leads in until {clock_words(moment_of(sent.expire_time))}. Who has an account "
        f"may also run: monitorctl invitation accept {sent.id}"
    )


async def role(
    cli: Cli, who: MemberName, role: Annotated[RoleName, typer.Argument(metavar="ROLE", help=_ROLES)]
) -> None:
    """Change what a member may do."""
    from monitord_client.monitorctl.organisation_views import a_role
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible

    async with cli.connect() as client:
        member = await client.update_member((await find_member(client, who)).user_id, role.number)
    if cli.output is Output.TABLE:
        cli.print(f"{visible(member.email)} is {a_role(member.role)} now")
    else:
        print_data(cli.output, mapping_of(member))


async def remove(cli: Cli, who: MemberNames, yes: YesOption = False) -> None:
    """Remove members; their keys of the organisation end. Asks first, when a person is there to answer."""
    from monitord_client.monitorctl.printing import visible

    async with cli.connect() as client:
        found = {member.user_id: member for member in [await find_member(client, each) for each in who]}
        listed = ", ".join(visible(member.email) for member in found.values())
        if cli.interactive and not yes and not await cli.confirm(f"Remove {listed}, and end their keys?"):
            raise CommandError("nobody was removed")
        for member in found.values():
            await client.remove_member(member.user_id)
            if cli.output is Output.TABLE:
                cli.print(f"- {visible(member.email)}")


async def leave(cli: Cli, yes: YesOption = False) -> None:
    """Leave the organisation that commands act in. Asks first, when a person is there to answer."""
    from monitord_client.monitorctl.printing import visible

    async with cli.connect() as client:
        left = await client.get_organisation()
        name = visible(left.display_name)
        if cli.interactive and not yes and not await cli.confirm(f"Leave {name}, and end your keys of it?"):
            raise CommandError("you are still a member")
        await client.leave_organisation()
    if cli.chosen.load() == left.id:
        cli.chosen.forget()
    if cli.output is Output.TABLE:
        cli.print(f"- {name}")


async def list_invitations(
    cli: Cli, mine: Annotated[bool, typer.Option("--mine", help="Those to your own address.")] = False
) -> None:
    """List the invitations into the organisation, or those to you, that can still be accepted; newest first."""
    from monitord_client.monitorctl.printing import mapping_of, print_data

    async with cli.connect(in_organisation=not mine) as client:
        listing = client.list_own_invitations() if mine else client.list_invitations()
        found = [invitation async for invitation in listing]
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"invitations": [mapping_of(invitation) for invitation in found]})
    elif found:
        from monitord_client.monitorctl.organisation_views import invitations_table

        cli.console.print(invitations_table(found))
    elif mine:
        cli.note("Nobody invites you. An address has to be proven before its invitations are shown.")
    else:
        cli.note("There are no invitations. Send one: monitorctl member invite ann@example.org --role editor")


async def revoke(cli: Cli, ids: Annotated[list[str], typer.Argument(metavar="ID...")]) -> None:
    """Take invitations back."""
    numbers = [number_of(each, _WHAT) for each in ids]
    async with cli.connect() as client:
        for number in numbers:
            await client.revoke_invitation(number)
            cli.note(f"Invitation {number} is taken back.")


async def accept(cli: Cli, invitation: InvitationId) -> None:
    """Join the organisation that invites you."""
    from monitord_client.monitorctl.organisation_views import a_role
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible

    number = number_of(invitation, _WHAT)
    async with cli.connect(in_organisation=False) as client:
        joined = await client.accept_invitation(number)
    if cli.output is not Output.TABLE:
        print_data(cli.output, mapping_of(joined))
        return
    cli.print(f"You are {a_role(joined.role)} of {visible(joined.display_name)} (id {joined.id}) now")
    cli.note(way_in(joined.id, signed_in=cli.signed_in))


async def decline(cli: Cli, invitation: InvitationId) -> None:
    """Refuse an invitation to you."""
    number = number_of(invitation, _WHAT)
    async with cli.connect(in_organisation=False) as client:
        await client.decline_invitation(number)
    cli.note(f"Invitation {number} is declined.")
