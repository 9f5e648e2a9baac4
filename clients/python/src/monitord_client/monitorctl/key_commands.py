"""keys: for machines."""

from enum import StrEnum
from typing import Annotated

import typer

from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.options import LabelOption, NetworkOption, Output, TtlOption, labels_of
from monitord_client.monitorctl.running import Cli


class ScopeName(StrEnum):
    """What a key may be used for."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    keys = typer.Typer(help="Keys for machines, in the organisation that commands act in.", no_args_is_help=True)
    command(keys, "create")(create)
    command(keys, "list")(list_)
    command(keys, "revoke")(revoke)
    app.add_typer(keys, name="keys")


async def create(
    cli: Cli,
    name: Annotated[str, typer.Argument(help="What to call the key.")],
    scope: Annotated[ScopeName, typer.Option(help="read: look; write: also change monitors; admin: also keys.")],
    expires: TtlOption = None,
    label: LabelOption = None,
    network: NetworkOption = None,
) -> None:
    """Make a key and print its secret, which is shown this once.

    With labels it is for the monitors that have all of them, with networks for calls from there.

    \b
    monitorctl keys create deploy --scope write --label team=shop --network 192.0.2.0/24 --expires 90d
    """
    from monitord_client import Scope
    from monitord_client.monitorctl.printing import mapping_of, print_data

    async with cli.connect() as client:
        made = await client.create_api_key(
            name,
            Scope.Value(f"SCOPE_{scope.name}"),
            time_to_live=expires,
            labels=labels_of(label),
            allowed_networks=network or (),
        )
    if cli.output is Output.TABLE:
        cli.print(made.secret)
        cli.note(f"Key {made.api_key.id} was made. The line above is its secret: it can't be shown again.")
    else:
        print_data(cli.output, mapping_of(made))


async def list_(cli: Cli) -> None:
    """List your keys, newest first."""
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now

    async with cli.connect() as client:
        keys = [key async for key in client.list_api_keys(page_size=500)]
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"api_keys": [mapping_of(key) for key in keys]})
    elif keys:
        from monitord_client.monitorctl.tables import keys_table

        cli.console.print(keys_table(keys, utc_now()))
    else:
        cli.note("There are no keys yet. Make one: monitorctl keys create NAME --scope read")


async def revoke(cli: Cli, ids: Annotated[list[str], typer.Argument(metavar="ID...")]) -> None:
    """Make keys worthless at once."""
    async with cli.connect() as client:
        for key_id in ids:
            await client.revoke_api_key(key_id)
            cli.note(f"Key {key_id} is revoked.")
