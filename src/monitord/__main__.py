"""The command line: turns arguments and the environment into settings, and runs one of the jobs below."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from monitord import __version__

if TYPE_CHECKING:
    from monitord.settings import Settings

cli = typer.Typer(
    name="monitord",
    help="Watches websites and services and tells people the truth about them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def main() -> None:
    """Run the command line."""
    cli()


@cli.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"monitord {__version__}")
        raise typer.Exit


@cli.command()
def run(
    apply: Annotated[
        Path | None,
        typer.Option(
            help="Monitors and contacts to create on the first start, as for `monitorctl apply`.", exists=True
        ),
    ] = None,
    demo: Annotated[bool, typer.Option(help="Also serve practice targets on this machine.")] = False,
    demo_port: Annotated[int, typer.Option(min=0, max=65535, help="Where; the examples expect them there.")] = 9465,
    console: Annotated[
        Literal["auto", "table", "lines", "none"] | None,
        typer.Option(help="What to show: a live table, one line per check, or neither. Default: MONITORD_CONSOLE."),
    ] = None,
) -> None:
    """Check monitors until told to stop (Ctrl-C or SIGTERM)."""
    configured = _settings()  # a wrong setting is told before the rest is loaded
    # What is forked here (Postgres, browsers) is replaced by another program at once: gRPC need not prepare for it, nor
    # tell of it on stderr.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    # Else each handshake that fails is a line among ours, in gRPC's own form: any scanner of ports could fill the log.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from monitord.lifecycle import Options, serve

    raise typer.Exit(
        serve(configured, Options(apply=apply, demo=demo, demo_port=demo_port, console=console or configured.console))
    )


@cli.command()
def migrate() -> None:
    """Bring the schema of MONITORD_DATABASE_URL up to date, and exit."""
    from monitord.lifecycle import migrate_only

    raise typer.Exit(migrate_only(_settings()))


@cli.command()
def settings() -> None:
    """Print every setting with its default, as a table in Markdown."""
    from monitord.settings import settings_table

    typer.echo(settings_table())


@cli.command()
def health() -> None:
    """Ask the running monitord of this machine whether it is ready; exit with 1 if it is not."""
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    configured = _settings()
    url = f"http://{configured.metrics_host}:{configured.metrics_port}/readyz"
    try:
        with urlopen(url, timeout=5) as answer:
            typer.echo(answer.read().decode().strip())
    except HTTPError as error:
        typer.echo(error.read().decode().strip(), err=True)
        raise typer.Exit(1) from None
    except URLError as error:
        typer.echo(f"no monitord answers at {url}: {error.reason}", err=True)
        raise typer.Exit(1) from None


@cli.command("set-password")
def set_password(email: Annotated[str, typer.Argument(help="Whose password to set.")]) -> None:
    """Set the password of a user; all of their sessions end. Asks for it, or reads it from standard input."""
    from monitord import lifecycle

    password = (
        typer.prompt("New password", hide_input=True, confirmation_prompt=True)
        if sys.stdin.isatty()
        else sys.stdin.readline().rstrip("\n")
    )
    raise typer.Exit(lifecycle.set_password(_settings(), email, password))


keys = typer.Typer(help="The master keys that secrets in the database are sealed with.", no_args_is_help=True)
cli.add_typer(keys, name="keys")


@keys.command("status")
def keys_status() -> None:
    """Show each key by its id, and how many values it seals; exit with 1 if a key is missing."""
    from monitord import key_rotation

    raise typer.Exit(key_rotation.status(_settings()))


@keys.command("rotate")
def keys_rotate() -> None:
    """Make a new key and seal every secret with it; the old keys stay. monitord may run. Goes on where it ended."""
    from monitord import key_rotation

    raise typer.Exit(key_rotation.rotate(_settings()))


@keys.command("retire")
def keys_retire(
    break_ping_urls: Annotated[
        bool, typer.Option("--break-ping-urls", help="Even if heartbeat URLs of before the rotation end by it.")
    ] = False,
) -> None:
    """Drop the old keys, if they seal nothing any more. What was signed with them ends: sessions, links, ping URLs."""
    from monitord import key_rotation

    raise typer.Exit(key_rotation.retire(_settings(), break_ping_urls=break_ping_urls))


mail = typer.Typer(help="What alerts by e-mail look like.", no_args_is_help=True)
cli.add_typer(mail, name="mail")


@mail.callback()
def _mail() -> None:
    """Keep `preview` a command of its own, though it is the only one."""


@mail.command("preview")
def mail_preview(
    folder: Annotated[Path, typer.Argument(help="Where to write them; made if it is not there.")],
    picture: Annotated[
        Path | None, typer.Option(help="A PNG to show as the screenshot.", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Write a mail of each kind to a folder: HTML, text, and the message itself."""
    from monitord.domain.errors import FailedPreconditionError
    from monitord.mailing import preview

    try:
        for path in preview(_settings(), folder, picture):
            typer.echo(path)
    except (FailedPreconditionError, OSError) as error:
        typer.echo(f"monitord: {error}", err=True)
        raise typer.Exit(1) from None


def _settings() -> "Settings":
    """Read the environment, and set up logging."""
    from monitord import logging
    from monitord.environment import SettingsError, load

    try:
        settings = load(os.environ)
    except SettingsError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    logging.configure(settings.log_level, as_json=_as_json(settings.log_format))
    return settings


def _as_json(log_format: str) -> bool:
    return log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())


if __name__ == "__main__":
    main()
