"""Brings a database to the schema that this monitord was written for: forward only, plain SQL, one process at a time.

Each ``migrations/versions/NNNN_name.sql`` is one revision. Alembic keeps the book and runs what is missing; as it costs
most of a second to import, it is imported only where something is missing.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from monitord.domain.errors import FailedPreconditionError, UnavailableError
from monitord.storage.database import OLDEST_SERVER, connect, disconnect, unavailable_when_away

if TYPE_CHECKING:
    from sqlalchemy import Connection

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x6D6F6E69746F7264
"""Of ``pg_advisory_lock``: the bytes of "monitord"."""
_LOCK_LIMIT_S = 300.0
_MIGRATION_LIMIT_S = 3600.0


def revisions() -> list[str]:
    """Return the revisions that this monitord knows, oldest first."""
    return sorted(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*_*.sql"))


async def migrate(dsn: str, *, within_s: float = 0.0, announce: Callable[[str], None] | None = None) -> bool:
    """Bring the database to the newest revision, and return whether anything had to be done.

    Waits up to ``within_s`` seconds for the server, which ``announce`` is told, and for another process that is
    migrating the same database.

    Raises:
        FailedPreconditionError: the database is of a newer monitord, or the server is too old or refuses us.
        UnavailableError: the server is away, or the other process does not finish.

    """
    connection = await connect(dsn, within_s=within_s, announce=announce)
    try:
        major = connection.get_server_version().major
        if major < OLDEST_SERVER:
            raise FailedPreconditionError(f"The database is Postgres {major}; monitord needs {OLDEST_SERVER} or newer.")
        if await _is_current(connection):
            return False
        with unavailable_when_away(connection):
            await _lock(connection)
        if await _is_current(connection):
            return False
        await _upgrade(dsn)
        return True
    finally:
        # The end of the session releases the lock.
        await disconnect(connection)


async def _is_current(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    known = revisions()
    with unavailable_when_away(connection):
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return False
        stored = await connection.fetchval("SELECT version_num FROM alembic_version")
    if stored is not None and stored not in known:
        raise FailedPreconditionError(
            f"The database has schema {stored}, which this monitord does not know (it knows up to {known[-1]}): it was "
            "used by a newer one. Install that version or a later one; going back is not possible."
        )
    return bool(stored == known[-1])


async def _lock(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.execute(f"SET statement_timeout = 0; SET lock_timeout = '{_LOCK_LIMIT_S:.0f}s'")
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK, timeout=_LOCK_LIMIT_S + 5)
    except asyncpg.LockNotAvailableError:
        raise UnavailableError(
            f"Another monitord has been changing this database's schema for {_LOCK_LIMIT_S / 60:.0f} minutes. Wait for "
            "it to finish, or stop it, and start again."
        ) from None


async def _upgrade(dsn: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: _connect_to_migrate(dsn))
    try:
        async with asyncio.timeout(_MIGRATION_LIMIT_S), engine.connect() as connection:
            with unavailable_when_away():
                await connection.run_sync(_run_alembic)
    finally:
        await engine.dispose()


async def _connect_to_migrate(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
        dsn, timeout=10, server_settings={"application_name": "monitord migrate", "lock_timeout": "30s"}
    )
    return connection


def _run_alembic(connection: "Connection") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    # Alembic reads this through an interpolating parser.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
