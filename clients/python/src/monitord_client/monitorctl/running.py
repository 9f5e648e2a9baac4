"""From a command line to a client, and from an error to a sentence and an exit code."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitord_client.monitorctl.exits import CommandError, ExitCode
from monitord_client.monitorctl.options import Connection, Output

if TYPE_CHECKING:
    from rich.console import Console

    from monitord_client import Client
    from monitord_client.address import Tls
    from monitord_client.errors import MonitordError
    from monitord_client.monitorctl.chosen_organisation import ChosenOrganisation

run_coroutine: Callable[[Coroutine[Any, Any, int]], int] = asyncio.run
"""Runs a command to its end; tests run it on their own loop instead."""

_WIDE = 500


class Cli:
    """What a command works with: the server, and the terminal."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.output = connection.output or Output.TABLE
        self.key_origin = ""
        """Where the key in use comes from; empty without one."""
        self.signed_in = False
        """Whether the session of `login` is in use."""
        self.organisation_origin = ""
        """Who chose the organisation that calls act in; empty: nobody."""

    @property
    def address(self) -> str:
        """The server's address, as the user gave it."""
        from monitord_client.address import DEFAULT_ADDRESS

        return self._connection.address or os.environ.get("MONITORD_ADDRESS") or DEFAULT_ADDRESS

    @property
    def interactive(self) -> bool:
        """Whether a person sits at both ends."""
        return sys.stdin.isatty() and sys.stdout.isatty()

    @property
    def given_organisation(self) -> str:
        """The organisation that the option or the environment names; empty: none."""
        return self._connection.organisation or os.environ.get("MONITORD_ORGANISATION") or ""

    @property
    def chosen(self) -> "ChosenOrganisation":
        """What `org use` remembers of this server. Raises ValueError for an address that is none."""
        from monitord_client.address import parse_address
        from monitord_client.monitorctl.chosen_organisation import ChosenOrganisation
        from monitord_client.monitorctl.keys import state_home

        return ChosenOrganisation(state_home() / "monitorctl", str(parse_address(self.address)))

    @asynccontextmanager
    async def connect(
        self, *, anonymous: bool = False, in_organisation: bool = True, timeout_s: float = 10.0
    ) -> AsyncIterator["Client"]:
        """Open a client. ``anonymous`` sends no key that was found, only a session.

        Calls act in the organisation that the user chose; without ``in_organisation``, for what is about the user
        alone, in their personal one. Raises CommandError for an address, key or certificate that cannot be used, and
        for an organisation that cannot be found.
        """
        from monitord_client.address import parse_address
        from monitord_client.client import Client
        from monitord_client.monitorctl.keys import explicit_key, state_home, state_key
        from monitord_client.monitorctl.sessions import SessionFile

        try:
            address = parse_address(self.address)
            session = SessionFile(state_home() / "monitorctl", str(address))
            key = None if anonymous else explicit_key(self._connection.key_file)
            if key is None and not anonymous:
                if await session.load() is not None:
                    self.signed_in = True
                    self.key_origin = "the session of `monitorctl login`"
                elif address.local:
                    key = state_key()
            if key is not None:
                self.key_origin = key.origin
            client = Client(
                self.address,
                api_key=key.secret if key is not None else None,
                session=session,
                tls=self._tls() or bool(self._connection.tls),
                insecure=bool(self._connection.insecure),
                timeout_s=timeout_s,
            )
        except ValueError as error:
            message = str(error).replace("use TLS, or", "add --tls (or --ca FILE), or --insecure to")
            raise CommandError(message.replace("(insecure)", "").rstrip()) from None
        except OSError as error:
            raise CommandError(f"cannot read {error.filename}: {error.strerror}") from None
        async with client:
            if in_organisation and not anonymous:
                await self._enter(client)
            yield client

    async def _enter(self, client: "Client") -> None:
        """Choose the organisation: by the option, the environment, or what was remembered for the session."""
        from monitord_client.monitorctl.organisation_finding import organisation_id

        if self.given_organisation:
            self.organisation_origin = "--organisation" if self._connection.organisation else "MONITORD_ORGANISATION"
            client.organisation = await organisation_id(client, self.given_organisation)
        elif self.signed_in and (remembered := self.chosen.load()) is not None:  # a key acts in its own alone
            self.organisation_origin = "`monitorctl org use`; `monitorctl org use --personal` goes back to your own"
            client.organisation = remembered

    def _tls(self) -> "Tls | None":
        """Return what the options and the environment say of certificates; None: nothing."""
        from monitord_client.address import Tls

        given = self._connection
        ca = given.ca or _file("MONITORD_SERVER_CA_FILE")
        cert, key = given.cert, given.cert_key
        if cert is None:  # an option that names another certificate does not go with the environment's key
            cert, key = _file("MONITORD_CLIENT_CERT_FILE"), key or _file("MONITORD_CLIENT_CERT_KEY_FILE")
        return Tls(ca_file=ca, cert_file=cert, key_file=key) if ca or cert or key else None

    def hints_of_tls(self) -> list[str]:
        """Return what may be wrong when the server doesn't answer: of a handshake that failed gRPC tells no more."""
        tls = self._tls()
        if tls is None and not self._connection.tls and not self.address.startswith("https://"):
            return ["If it speaks TLS, add --tls, or --ca FILE with the certificates to trust."]
        if tls is None or tls.cert_file is None:
            return ["Its certificate has to be trusted (--ca FILE); if it asks for one in turn, show it with --cert."]
        return ["Its certificate has to be trusted (--ca FILE), and it has to trust the one of --cert."]

    @property
    def console(self) -> "Console":
        """The terminal; wide enough for every line where there is none, so that pipes get whole values."""
        from rich.console import Console

        return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else _WIDE)

    async def confirm(self, question: str) -> bool:
        """Ask a person; anything but yes is no."""
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        answer = await asyncio.to_thread(sys.stdin.readline)
        return answer.strip().lower() in ("y", "yes")

    def ask_secret(self, name: str) -> str:
        """Ask a person for a secret, without showing it. Raises CommandError where there is nobody to ask."""
        import typer

        if not sys.stdin.isatty():
            raise CommandError(
                f"there is no terminal to ask for {name}: write --secret {name}=@FILE (@- is stdin) or --secret "
                f"{name}=env:NAME"
            )
        answer: str = typer.prompt(name, hide_input=True, err=True)
        return answer

    def print(self, text: str) -> None:
        """Print a line of the answer."""
        sys.stdout.write(f"{text}\n")

    def note(self, text: str) -> None:
        """Tell the person something that is not the answer."""
        sys.stderr.write(f"{text}\n")


def run(command: Callable[[Cli], Awaitable[int | None]], connection: Connection) -> int:
    """Run a command and return its exit code, after saying on stderr what went wrong, if anything did."""
    cli = Cli(connection)

    async def guarded() -> int:
        from monitord_client.errors import MonitordError

        try:
            return int(await command(cli) or ExitCode.OK)
        except MonitordError as error:
            return _report(cli, error)
        except CommandError as error:
            cli.note(f"Error: {error.message}")
            return error.code

    try:
        return run_coroutine(guarded())
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output, such as `head`, has seen enough; without this Python complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK


def _file(variable: str) -> Path | None:
    name = os.environ.get(variable)
    return Path(name).expanduser() if name else None


def _report(cli: Cli, error: "MonitordError") -> int:
    from monitord_client import errors

    code = next((code for kind, code in _exit_codes().items() if isinstance(error, kind)), ExitCode.INTERNAL)
    lines = [f"Error: {_first_line(error)}"]
    lines += [f"  {violation.field}: {violation.description}" for violation in error.violations]
    match error:
        case errors.UnauthenticatedError() if cli.key_origin:
            lines.append(f"The server refused the key from {cli.key_origin}.")
        case errors.UnauthenticatedError():
            lines.append("No key was found: set MONITORD_API_KEY, give --key-file, or run `monitorctl login`.")
        case errors.NotFoundError() if "organisation_id" in error.metadata and cli.organisation_origin:
            lines.append(f"It was chosen by {cli.organisation_origin}.")
            if not cli.signed_in:
                lines.append("An API key acts in the one that it was made in; `monitorctl login` opens all of yours.")
        case errors.UnavailableError() if not error.reason:
            lines.append(f"Is monitord running at {cli.address}? --address or MONITORD_ADDRESS names another place.")
            lines += cli.hints_of_tls()
        case errors.ResourceExhaustedError() if error.retry_after_s:
            lines.append(f"Try again in {error.retry_after_s:.0f} s.")
        case errors.InternalError() if error.error_id:
            lines.append(f"This is a bug in monitord; its log has more under error_id {error.error_id}.")
        case errors.UnimplementedError():
            lines.append("The server is older than this monitorctl.")
    cli.note("\n".join(lines))
    return code


def _first_line(error: "MonitordError") -> str:
    if error.violations:
        return "the server did not accept this:"
    if not error.reason and error.code.name == "UNAVAILABLE":
        return "the server cannot be reached."  # gRPC's own text is a page of addresses and errno
    return error.message


def _exit_codes() -> "dict[type[MonitordError], ExitCode]":
    from monitord_client import errors

    return {
        errors.InvalidArgumentError: ExitCode.USAGE,
        errors.NotFoundError: ExitCode.NOT_FOUND,
        errors.UnauthenticatedError: ExitCode.DENIED,
        errors.PermissionDeniedError: ExitCode.DENIED,
        errors.UnavailableError: ExitCode.UNAVAILABLE,
        errors.DeadlineExceededError: ExitCode.UNAVAILABLE,
        errors.AlreadyExistsError: ExitCode.CONFLICT,
        errors.AbortedError: ExitCode.CONFLICT,
        errors.FailedPreconditionError: ExitCode.CONFLICT,
        errors.ResourceExhaustedError: ExitCode.LIMIT,
    }
