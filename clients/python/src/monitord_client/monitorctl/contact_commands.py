"""contact: who is told when a monitor changes."""

from typing import TYPE_CHECKING, Annotated

import typer

from monitord_client.monitorctl.alert_options import AlertOptions
from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.completion import complete_contact, complete_contact_target
from monitord_client.monitorctl.contact_finding import Names, find_contact, find_contacts
from monitord_client.monitorctl.contact_options import ChannelOptions
from monitord_client.monitorctl.exits import CommandError, ExitCode
from monitord_client.monitorctl.options import Output, YesOption
from monitord_client.monitorctl.running import Cli

if TYPE_CHECKING:
    from monitord_client import Contact, DeliveryReport

ContactName = Annotated[str, typer.Argument(metavar="NAME", help="A name or an id.", autocompletion=complete_contact)]
ContactNames = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Names or ids.", autocompletion=complete_contact)
]


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    contacts = typer.Typer(help="Who is told when a monitor changes.", no_args_is_help=True)
    command(contacts, "add")(add)
    command(contacts, "list")(list_)
    command(contacts, "show")(show)
    command(contacts, "rename")(rename)
    command(contacts, "rm")(remove)
    command(contacts, "confirm")(confirm)
    command(contacts, "resend")(resend)
    command(contacts, "unsubscribe")(unsubscribe)
    command(contacts, "test")(test)
    app.add_typer(contacts, name="contact")


async def add(
    cli: Cli,
    name: Annotated[str, typer.Argument(help="What to call it; unique among your contacts.")],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="Where it is; its scheme chooses the channel: an address, https://..., slack, teams, discord, "
            "telegram:CHAT_ID/TOPIC, pagerduty:eu, apprise.",
            autocompletion=complete_contact_target,
        ),
    ],
    channel: ChannelOptions,
    alerts: AlertOptions,
    time_zone: Annotated[
        str, typer.Option(metavar="NAME", help="Of its quiet hours and messages.", show_default="UTC")
    ] = "",
    default: Annotated[
        bool, typer.Option("--default", help="Tell it of each monitor that is added from now on.")
    ] = False,
) -> None:
    """Add a contact. A mailbox is sent a mail, and is told nothing until it has confirmed.

    \b
    monitorctl contact add ann ann@example.org --time-zone Europe/Berlin --default --quiet 22:00-07:00
    monitorctl contact add hook https://example.com/alerts --secret signing_key=env:SIGNING_KEY
    monitorctl contact add ops slack                       # asks for the URL of the webhook
    monitorctl contact add web teams:@teams-url.txt
    monitorctl contact add team discord:env:DISCORD_URL
    monitorctl contact add chat telegram:-1001234567890/7 --secret bot_token=@token.txt
    monitorctl contact add duty pagerduty:eu --default --escalate-after 10m
    monitorctl contact add phone apprise                   # asks for the URL, such as pover://user@token
    """
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible
    from monitord_client.v1.contact_pb2 import Contact

    contact = Contact(name=name, time_zone=time_zone)
    if default:
        contact.default_settings.CopyFrom(alerts.settings())
        contact.default_settings.SetInParent()
    elif option := alerts.given():
        raise CommandError(
            f"{option} is for --default, which is about monitors that are added from now on; what it is told of one "
            f"that is there is said by `monitorctl alert set MONITOR {name} {option} ...`"
        )
    channel.fill(contact, target, cli.ask_secret)
    async with cli.connect() as client:
        stored = await client.create_contact(contact)
    if cli.output is not Output.TABLE:
        print_data(cli.output, mapping_of(stored))
        return
    cli.print(f"+ {visible(stored.name)} (id {stored.id})")
    _tell_of_confirmation(cli, stored)
    if not default:
        cli.note(f"It is told nothing yet: monitorctl alert set MONITOR {visible(stored.name)}")


def _tell_of_confirmation(cli: Cli, contact: "Contact") -> None:
    from monitord_client.monitorctl.printing import visible

    if contact.HasField("email") and not contact.HasField("verify_time"):
        cli.note(
            f"{visible(contact.email.address)} gets a mail, and is told nothing before it has confirmed: by the mail's "
            f"link, or by its code: monitorctl contact confirm {visible(contact.name)} CODE"
        )


async def list_(cli: Cli) -> None:
    """List contacts, and whether they can be told anything."""
    from monitord_client.monitorctl.printing import mapping_of, print_data

    async with cli.connect() as client:
        contacts = [contact async for contact in client.list_contacts(page_size=500)]
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"contacts": [mapping_of(contact) for contact in contacts]})
    elif contacts:
        from monitord_client.monitorctl.alert_views import contacts_table

        cli.console.print(contacts_table(contacts))
    else:
        cli.note("There are no contacts yet. Add one: monitorctl contact add NAME ann@example.org --default")


async def show(cli: Cli, name: ContactName) -> None:
    """Show all there is to know of a contact, and what it is told."""
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now

    async with cli.connect() as client:
        contact = await find_contact(client, name)
        if cli.output is not Output.TABLE:
            print_data(cli.output, mapping_of(contact))
            return
        from monitord_client.monitorctl.alert_views import contact_card

        names = Names(client)
        configs = [
            (await names.monitor(config.monitor_id), config.settings)
            async for config in client.list_alert_configs(contact_id=contact.id, page_size=1000)
        ]
    cli.console.print(contact_card(contact, configs, utc_now()))


async def rename(
    cli: Cli, name: ContactName, new: Annotated[str, typer.Argument(metavar="NEW_NAME", help="What to call it.")]
) -> None:
    """Call a contact something else."""
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible
    from monitord_client.v1.contact_pb2 import Contact

    async with cli.connect() as client:
        found = await find_contact(client, name)
        stored = await client.update_contact(Contact(id=found.id, name=new, etag=found.etag), fields=["name"])
    if cli.output is Output.TABLE:
        cli.print(f"{visible(found.name)} is now {visible(stored.name)}")
    else:
        print_data(cli.output, mapping_of(stored))


async def remove(cli: Cli, names: ContactNames, yes: YesOption = False) -> None:
    """Delete contacts: they are told nothing more. Asks first, when a person is there to answer."""
    from monitord_client.monitorctl.printing import visible

    async with cli.connect() as client:
        contacts = await find_contacts(client, names)
        listed = ", ".join(visible(contact.name) for contact in contacts)
        if cli.interactive and not yes and not await cli.confirm(f"Delete {listed}, for ever?"):
            raise CommandError("nothing was deleted")
        for contact in contacts:
            await client.delete_contact(contact.id)
            if cli.output is Output.TABLE:
                cli.print(f"- {visible(contact.name)}")


async def confirm(
    cli: Cli, name: ContactName, code: Annotated[str, typer.Argument(help="The 8 digits of the mail.")]
) -> None:
    """Confirm an address by the code of its mail."""
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible

    async with cli.connect() as client:
        contact = await client.confirm_contact((await find_contact(client, name)).id, code)
    if cli.output is Output.TABLE:
        cli.print(f"{visible(contact.name)}: confirmed")
    else:
        print_data(cli.output, mapping_of(contact))


async def unsubscribe(cli: Cli, names: ContactNames) -> None:
    """End all messages to contacts, as the link in their mails does."""
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible

    async with cli.connect() as client:
        ended = [await client.unsubscribe_contact(each.id) for each in await find_contacts(client, names)]
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"contacts": [mapping_of(contact) for contact in ended]})
        return
    for contact in ended:
        cli.print(f"{visible(contact.name)}: told nothing any more")


async def resend(cli: Cli, name: ContactName) -> int:
    """Mail the link and the code again; those before become invalid. Exit code 1: the mail was not taken."""
    async with cli.connect() as client:
        contact = await find_contact(client, name)
        report = await client.send_confirmation(contact.id)
    return _report(cli, contact, report, "the mail with the code")


async def test(cli: Cli, name: ContactName) -> int:
    """Send a message that is marked as a test, now. Exit code 1: it was not taken."""
    async with cli.connect() as client:
        contact = await find_contact(client, name)
        report = await client.test_contact(contact.id)
    return _report(cli, contact, report, "the test")


def _report(cli: Cli, contact: "Contact", report: "DeliveryReport", what: str) -> int:
    from monitord_client.monitorctl.printing import mapping_of, print_data, visible

    if cli.output is Output.TABLE:
        said = " - ".join(part for part in (report.code, report.detail) if part)
        how = "was taken" if report.accepted else "was NOT taken"
        cli.print(visible(f"{contact.name}: {what} {how}: {said}" if said else f"{contact.name}: {what} {how}"))
    else:
        print_data(cli.output, mapping_of(report))
    return ExitCode.OK if report.accepted else ExitCode.DOWN
