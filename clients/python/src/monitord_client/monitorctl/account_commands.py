"""login, logout, passwd, whoami, sessions: who you are to the server."""

import sys
from typing import Annotated

import typer

from monitord_client.monitorctl.commands import command
from monitord_client.monitorctl.exits import CommandError, ExitCode
from monitord_client.monitorctl.options import Output
from monitord_client.monitorctl.running import Cli


def register(app: typer.Typer) -> None:
    """Add these commands to an app."""
    command(app, "login")(login)
    command(app, "logout")(logout)
    command(app, "passwd")(passwd)
    command(app, "whoami")(whoami)
    sessions = typer.Typer(help="Where you are signed in.", no_args_is_help=True)
    command(sessions, "list")(list_)
    command(sessions, "revoke")(revoke)
    app.add_typer(sessions, name="sessions")


async def login(
    cli: Cli,
    email: Annotated[str | None, typer.Argument(help="Asked for unless given.")] = None,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")] = False,
) -> None:
    """Sign in; later commands to the same address are made in your name, until `logout`."""
    async with cli.connect(anonymous=True) as client:
        email = email or typer.prompt("E-mail", err=True)
        password = _read_password() if password_stdin else _ask_password("Password")
        user = await client.login(email, password)
    cli.chosen.keep_for(user.id)
    cli.note(f"Signed in to {cli.address} as {user.full_name or user.email}.")


def _read_password() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _ask_password(question: str, *, twice: bool = False) -> str:
    if not sys.stdin.isatty():
        raise CommandError("there is no terminal to ask for the password: use --password-stdin")
    answer: str = typer.prompt(question, hide_input=True, confirmation_prompt=twice, err=True)
    return answer


async def logout(cli: Cli) -> None:
    """End the session that `login` began."""
    async with cli.connect(anonymous=True) as client:
        await client.logout()
    cli.chosen.forget()
    cli.note(f"Signed out of {cli.address}.")


async def passwd(
    cli: Cli,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read from stdin: the old one, and on the next line the new one.")
    ] = False,
) -> None:
    """Set a new password. All sessions end but this one; keys go on."""
    from monitord_client.errors import UnauthenticatedError
    from monitord_client.monitorctl.printing import visible

    async with cli.connect(in_organisation=False) as client:
        user = await client.get_user()
        old = _read_password() if password_stdin else _ask_password(f"Old password of {visible(user.email)}")
        new = _read_password() if password_stdin else _ask_password("New password", twice=True)
        if not old or not new:
            raise CommandError("a password is missing: --password-stdin takes the old one and the new one, a line each")
        try:
            await client.change_password(old, new)
        except UnauthenticatedError as error:  # of the password, not of the key that the call was made with
            raise CommandError(error.message, ExitCode.DENIED) from None
    cli.note(f"{visible(user.email)} has a new password. All other sessions have ended.")


async def whoami(cli: Cli) -> None:
    """Tell who you are to the server, in which organisation you act, and what you may do there."""
    from monitord_client.monitorctl.printing import mapping_of, print_data

    async with cli.connect() as client:
        user, organisation = await client.get_user(), await client.get_organisation()
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"user": mapping_of(user), "organisation": mapping_of(organisation)})
        return
    from monitord_client.monitorctl.account_views import user_card

    cli.console.print(user_card(user, organisation, address=cli.address, proof=cli.key_origin))


async def list_(cli: Cli) -> None:
    """List the sessions that you are signed in with, newest first; * marks the one in use."""
    from monitord_client.monitorctl.printing import mapping_of, print_data
    from monitord_client.monitorctl.spans import utc_now

    async with cli.connect(in_organisation=False) as client:
        sessions = [session async for session in client.list_sessions()]
    if cli.output is not Output.TABLE:
        print_data(cli.output, {"sessions": [mapping_of(session) for session in sessions]})
    elif sessions:
        from monitord_client.monitorctl.account_views import sessions_table

        cli.console.print(sessions_table(sessions, utc_now()))
    else:
        cli.note("You are signed in nowhere. Begin a session: monitorctl login")


async def revoke(cli: Cli, ids: Annotated[list[str], typer.Argument(metavar="ID...")]) -> None:
    """End sessions at once, with the streams that they opened."""
    async with cli.connect(in_organisation=False) as client:
        for session_id in ids:
            await client.revoke_session(session_id)
            cli.note(f"Session {session_id} is over.")
