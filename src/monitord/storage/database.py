"""The pool of connections to Postgres, and the one place where its absence becomes an ``UnavailableError``."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import msgspec

from monitord.domain.errors import FailedPreconditionError, UnavailableError
from monitord.identity.actor import current_actor

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Transaction: TypeAlias = Connection
    Row: TypeAlias = asyncpg.Record
else:
    Connection = Transaction = Row = Any

OLDEST_SERVER = 14
"""The first major version of Postgres that monitord works with."""

_CONNECT_TIMEOUT_S = 10.0
_ACQUIRE_TIMEOUT_S = 10.0
_RELEASE_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 5.0

SESSION = {
    "application_name": "monitord",
    "timezone": "UTC",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    # Custom plans over forty partitions cost more to make than they save: pruning happens at execution too.
    "plan_cache_mode": "force_generic_plan",
    # Rows that row-level security would hide from us are an error: the engine must never take some for all.
    "row_security": "off",
}

_AWAY = (
    asyncpg.PostgresConnectionError,  # 08xxx
    asyncpg.OperatorInterventionError,  # 57xxx: shutting down, starting up, cancelled by a timeout
    asyncpg.InsufficientResourcesError,  # 53xxx: no disk, no memory, no connection left
    asyncpg.ReadOnlySQLTransactionError,  # a standby, or a primary that was demoted
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    OSError,  # refused, no socket, reset; TimeoutError is one
)
_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,  # 28xxx: wrong password or user
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)


SET_ACTOR = "SELECT set_config('monitord.actor', $1, true)"


class Database:
    """A pool of connections to one Postgres; heals by itself when Postgres comes back."""

    def __init__(self, dsn: str, *, pool_size: int = 8, command_timeout_s: float = 30.0) -> None:
        """Take a connection string and the most connections to hold, at least 1."""
        self.dsn = dsn
        self._pool_size = pool_size
        self._command_timeout_s = command_timeout_s
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self, *, within_s: float = 0.0) -> None:
        """Connect, and check that the server can be used.

        Raises:
            UnavailableError: it could not be reached within ``within_s`` seconds.
            FailedPreconditionError: it refuses us, or is older than Postgres 14; waiting would not help.

        """
        first = await connect(self.dsn, within_s=within_s)
        try:
            _require_version(first)
        finally:
            await disconnect(first)
        await self._make_pool()

    async def _make_pool(self) -> None:
        with unavailable_when_away():
            self._pool = await asyncpg.create_pool(
                self.dsn,
                # Connections are made when they are needed: during an outage nobody tries in the background.
                min_size=0,
                max_size=self._pool_size,
                # A connection costs a SCRAM handshake; there are few, so they stay.
                max_inactive_connection_lifetime=0,
                timeout=_CONNECT_TIMEOUT_S,
                command_timeout=self._command_timeout_s,
                init=prepare_session,
                # No session state is left behind that the next would trip over: the reset query would only cost time.
                reset=_nothing_to_reset,
                **self._sessions(),
            )

    def _sessions(self) -> dict[str, Any]:
        """Return what makes a session of this pool what it is, as arguments of ``asyncpg.create_pool``."""
        return {"server_settings": SESSION}

    async def close(self) -> None:
        """Close all connections, within a limit: a frozen backend must not hold up the end."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await pool.close()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; statements on it commit one by one.

        Raises:
            UnavailableError: Postgres is away, too slow, or no connection came free in time.

        """
        pool = self._pool
        if pool is None:
            raise UnavailableError("The database is closed: monitord is starting or stopping.")
        with unavailable_when_away():
            held = await pool.acquire(timeout=_ACQUIRE_TIMEOUT_S)
        try:
            with unavailable_when_away(held):
                yield held
        finally:
            # What failed here has closed the connection, and the pool makes a new one; whether the work was done is
            # known already.
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await pool.release(held, timeout=_RELEASE_TIMEOUT_S)

    @contextlib.asynccontextmanager
    async def transaction(self, within: Transaction | None = None) -> AsyncIterator[Transaction]:
        """Lend a connection in a transaction that commits when the block ends, and rolls back when it raises.

        With ``within``, the block becomes part of that transaction: whoever opened it decides.

        Raises:
            UnavailableError: as ``connection``. If it comes from the commit itself, the commit may have happened.

        """
        if within is not None:
            yield within
            return
        async with self.connection() as held, held.transaction():
            actor = current_actor.get()
            if actor is not None:  # triggers that write the audit log read it
                await held.execute(SET_ACTOR, msgspec.json.encode(actor).decode())
            yield held

    async def ping(self) -> None:
        """Return if Postgres answers and accepts writes.

        Raises:
            UnavailableError: it doesn't.

        """
        async with self.connection() as held:
            if await held.fetchval("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean"):
                raise UnavailableError("The database accepts no writes: it is a standby, or read-only.")


async def connect(
    dsn: str, *, within_s: float = 0.0, announce: Callable[[str], None] | None = None
) -> "asyncpg.Connection[asyncpg.Record]":
    """Open one connection outside any pool; keep trying for ``within_s`` seconds while the server is away.

    ``announce`` is told once, if there is something to wait for.

    Raises:
        UnavailableError: it stayed away.
        FailedPreconditionError: the server refuses us, or the connection string is no connection string.

    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            with unavailable_when_away():
                return await _connect_once(dsn)
        except UnavailableError as error:
            if time.monotonic() >= deadline:
                raise
            if announce is not None:
                announce(f"{error.message} Trying for up to {within_s:g} s.")
                announce = None
        await asyncio.sleep(0.2)


async def _connect_once(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            dsn, timeout=_CONNECT_TIMEOUT_S, server_settings=SESSION
        )
    except _REFUSED as error:
        raise FailedPreconditionError(f"The database refuses monitord: {_sentence(error)}") from error
    await prepare_session(connection)
    return connection


async def disconnect(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Close a connection of ``connect``, within a limit."""
    try:
        await connection.close(timeout=_CLOSE_TIMEOUT_S)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


@contextlib.contextmanager
def unavailable_when_away(held: Connection | None = None) -> Iterator[None]:
    """Turn every sign that Postgres is away into ``UnavailableError``; let everything else through."""
    try:
        yield
    except (*_AWAY, *_REFUSED) as error:
        raise UnavailableError(f"The database is not available: {_sentence(error)}") from error
    except asyncpg.InterfaceError as error:
        # asyncpg uses this class for a lost connection and for wrong use of it alike.
        if held is not None and not held.is_closed():
            raise
        raise UnavailableError(f"The database is not available: {_sentence(error)}") from error
    except asyncpg.InternalClientError as error:
        # A server that shuts down says so to idle connections too, before it closes them: between the two asyncpg is
        # stuck with a message that it had not asked for.
        if held is not None:
            held.terminate()
        raise UnavailableError("The database is not available: it is closing the connection.") from error


async def prepare_session(connection: Connection) -> None:
    """Teach a new connection the types that asyncpg leaves as text."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )


def _require_version(connection: Connection) -> None:
    major = connection.get_server_version().major
    if major < OLDEST_SERVER:
        raise FailedPreconditionError(
            f"The database is Postgres {major}; monitord needs {OLDEST_SERVER} or newer. Upgrade it, or give another "
            "one with MONITORD_DATABASE_URL."
        )


async def _nothing_to_reset(_: Connection) -> None:
    pass


def _sentence(error: BaseException) -> str:
    text = str(error) or "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return text.rstrip(".") + "."


def touched(status: str) -> int:
    """Return how many rows a command touched, from its tag, such as ``UPDATE 1``."""
    return int(status.rpartition(" ")[2])
