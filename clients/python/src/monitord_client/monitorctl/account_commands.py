"""login, logout, keys."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.options import Output, TtlOption
from monitord_client.monitorctl.running import Cli


class ScopeName(StrEnum):
    """What a key may be used for."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    command(app, "login")(login)
    command(app, "logout")(logout)
    keys = typer.Typer(help="Keys for machines.", no_args_is_help=True)
    command(keys, "create")(create)
    command(keys, "list")(list_)
    command(keys, "revoke")(revoke)
    app.add_typer(keys, name="keys")


async def login(
    cli: Cli,
    email: Annotated[str | None, typer.Argument(help="Asked for unless given.")] = None,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")] = False,
) -> None:
    """Sign in; later commands to the same address are made in your name, until `logout`."""
    async with cli.connect(anonymous=True) as client:
        email = email or typer.prompt("E-mail", err=True)
        password = sys.stdin.readline().rstrip("\r\n") if password_stdin else _ask_password()
        user = await client.login(email, password)
    cli.note(f"Signed in to {cli.address} as {user.full_name or user.email}.")


def _ask_password() -> str:
    if not sys.stdin.isatty():
        raise CommandError("there is no terminal to ask for the password: use --password-stdin")
    answer: str = typer.prompt("Password", hide_input=True, err=True)
    return answer


async def logout(cli: Cli) -> None:
    """End the session that `login` began."""
    async with cli.connect(anonymous=True) as client:
        await client.logout()
    cli.note(f"Signed out of {cli.address}.")


async def create(
    cli: Cli,
    name: Annotated[str, typer.Argument(help="What to call the key.")],
    scope: Annotated[ScopeName, typer.Option(help="read: look; write: also change monitors; admin: also keys.")],
    expires: TtlOption = None,
) -> None:
    """Make a key and print its secret, which is shown this once."""
    from monitord_client import Scope
    from monitord_client.monitorctl.printing import mapping_of, print_data

    async with cli.connect() as client:
        made = await client.create_api_key(name, Scope.Value(f"SCOPE_{scope.name}"), time_to_live=expires)
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
    if cli.output is Output.TABLE:
        from monitord_client.monitorctl.tables import keys_table

        cli.console.print(keys_table(keys, utc_now()))
    else:
        print_data(cli.output, {"api_keys": [mapping_of(key) for key in keys]})


async def revoke(cli: Cli, ids: Annotated[list[str], typer.Argument(metavar="ID...")]) -> None:
    """Make keys worthless at once."""
    async with cli.connect() as client:
        for key_id in ids:
            await client.revoke_api_key(key_id)
            cli.note(f"Key {key_id} is revoked.")
