"""What has to stand before all else: the state folder, Postgres and its schema, the first administrator."""

import asyncio
import contextlib
import ipaddress
import resource
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

from monitord.domain.errors import FailedPreconditionError, UnavailableError
from monitord.engine.clock import SystemClock
from monitord.identity import private_file
from monitord.identity.accounts import Accounts
from monitord.served_certificate import CertificateFiles, ServedCertificate
from monitord.settings import Settings
from monitord.storage.database import Database
from monitord.storage.migrate import migrate
from monitord.storage.private_files import StateInUseError
from monitord.storage.private_server import PrivateServer
from monitord.storage.running_server import dsn_of_running

Announce = Callable[[str], None]

_DESCRIPTORS_PER_CHECK = 2
"""A connection, and a lookup or a second address raced against the first; more is rare."""
_DESCRIPTORS_BESIDES = 256
"""Clients of the API, Postgres, listeners, logs."""

KEY_FILE = "admin.key"
"""The first administrator's API key, in the state folder."""


def make_state_dir(path: Path) -> Path:
    """Make the state folder, for us alone, and return it. Raises FailedPreconditionError when that can't be."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FailedPreconditionError(
            f"The state folder {path} can't be made: {error.strerror}. Set MONITORD_STATE_DIR to a folder that "
            "monitord may write to."
        ) from error
    return path


def descriptors_for(checks: int) -> str | None:
    """Raise this process's limit on open files to what so many checks at once need, as far as the system lets it.

    Return a sentence that says what is missing, and what would help; None when all is well.
    """
    needed = checks * _DESCRIPTORS_PER_CHECK + _DESCRIPTORS_BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return None
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft >= needed:
        return None
    return (
        f"This process may open {soft} files, and {checks} checks at once may need {needed}: beyond that checks are "
        "INCONCLUSIVE. Raise the limit (ulimit -n, LimitNOFILE=), or lower MONITORD_MAX_CHECKS_IN_FLIGHT."
    )


def certificate_of(settings: Settings) -> ServedCertificate | None:
    """Return what TLS is served with; None without. Raises CertificateError."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    files = CertificateFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    return ServedCertificate(files, now=SystemClock().now)


@contextlib.asynccontextmanager
async def postgres(
    settings: Settings, announce: Announce, *, join: bool = False
) -> AsyncIterator[tuple[str, PrivateServer | None]]:
    """Yield the connection string of a migrated Postgres: the operator's, or a private one that ends with the block.

    With ``join`` the private one of a monitord that runs is used where there is one, and does not end with the block.

    Raises:
        UnavailableError: it does not answer.
        FailedPreconditionError: it can't be used; the message says what to change.
    """
    if settings.database_url is not None:
        dsn = settings.database_url.get_secret_value()
        try:
            if await migrate(dsn, within_s=settings.database_wait_s, announce=announce):
                announce("The database's schema is up to date now.")
        except UnavailableError as error:
            raise UnavailableError(
                f"{error.message} Start the Postgres at {_place(dsn)}, or correct MONITORD_DATABASE_URL."
            ) from error
        yield dsn, None
        return
    own = PrivateServer(settings.state_dir, announce=announce)
    server: PrivateServer | None = own
    try:
        dsn = await own.start()
    except StateInUseError:
        if not join:
            raise
        server, dsn = None, await dsn_of_running(settings.state_dir)
    try:
        await migrate(dsn)
        yield dsn, server
    finally:
        await own.stop()


@contextlib.asynccontextmanager
async def pool(dsn: str, size: int, *, within_s: float = 0.0) -> AsyncIterator[Database]:
    """Yield the pool of connections, open for the length of the block; wait up to ``within_s`` seconds for Postgres."""
    database = Database(dsn, pool_size=size)
    await database.open(within_s=within_s)
    try:
        yield database
    finally:
        await database.close()


async def first_administrator(settings: Settings, accounts: Accounts, before: Callable[[], object]) -> str | None:
    """Create the first administrator on an empty database; return the key, which is kept in the state folder.

    ``before`` is called before anything is kept: where it raises, the next start is the first one again.
    """
    password = None if settings.admin_password is None else settings.admin_password.get_secret_value()
    path = settings.state_dir / KEY_FILE

    def keep(secret: str) -> None:
        before()
        private_file.replace(path, secret + "\n")

    return await accounts.bootstrap_admin(settings.admin_email, password, keep)


async def addresses_of(dsn: str) -> list[str]:
    """Return each ``address:port`` that a connection string leads to; none for a unix socket.

    No check may dial them (invariants, egress): the database trusts whoever reaches it more than it should.
    """
    parts = urlsplit(dsn)
    if not parts.hostname:
        return []
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(parts.hostname, parts.port or 5432, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return sorted({_spelled(*address[:2]) for *_, address in found})


def _place(dsn: str) -> str:
    """Return where a connection string leads to, without its user and password."""
    parts = urlsplit(dsn)
    return f"{parts.hostname or 'its unix socket'}:{parts.port or 5432}"


def _spelled(host: str | int, port: str | int) -> str:
    ip = ipaddress.ip_address(str(host).partition("%")[0])
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
