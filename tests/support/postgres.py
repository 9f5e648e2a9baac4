"""A real Postgres for tests, and a database for each: fresh, migrated, with its partitions, within some 30 ms."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from monitord.storage import partitions
from monitord.storage.database import connect, disconnect
from monitord.storage.migrate import migrate
from monitord.storage.private_server import PrivateServer
from tests.support.scratch import scratch

_TEMPLATE = "migrated"
_UNSAFE_BUT_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "file_copy_method": "copy",
    # What is written is in memory.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "128MB",
}


class Cluster:
    """One running server, with a migrated database to copy."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._numbers = itertools.count(1)

    @contextlib.asynccontextmanager
    async def database(self, *, template: str = _TEMPLATE) -> AsyncIterator[str]:
        """Lend a new database's connection string; the database goes afterwards, whoever is still connected."""
        name = f"test_{next(self._numbers)}"
        # FILE_COPY is quicker than the default for a small template when nothing is synced to disk.
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield self.dsn(name)
        finally:
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def dsn(self, name: str) -> str:
        return urlunsplit(urlsplit(self._dsn)._replace(path=f"/{name}"))

    async def execute(self, statement: str) -> None:
        connection = await connect(self._dsn)
        try:
            await connection.execute(statement)
        finally:
            await disconnect(connection)


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Run a server of our own. From the main thread, outside any event loop: it outlives the tests' loops."""
    # Not pytest's temporary folder: as root, Postgres runs as another user, who may not enter that.
    with scratch() as folder, asyncio.Runner() as runner:
        server = PrivateServer(Path(folder), settings=_UNSAFE_BUT_FAST)
        try:
            cluster = Cluster(runner.run(server.start()))
            runner.run(cluster.execute(f"CREATE DATABASE {_TEMPLATE}"))
            runner.run(_prepare(cluster.dsn(_TEMPLATE)))
            yield cluster
        finally:
            runner.run(server.stop())


async def _prepare(dsn: str) -> None:
    await migrate(dsn)
    connection = await connect(dsn)
    try:
        await partitions.create_ahead(connection, datetime.now(UTC))
    finally:
        await disconnect(connection)


@contextlib.contextmanager
def listening_server() -> Iterator[str]:
    """Run a server that listens on TCP, which ours do not, and yield its address. This build of it has no TLS.

    Its port is 5432, as its launcher has it, on a loopback address of its own (Linux has millions of them).
    """
    number = os.getpid()
    address = f"127.{77 + (number >> 16) % 100}.{number >> 8 & 0xFF}.{number & 0xFF}"
    with scratch() as folder, asyncio.Runner() as runner:
        server = PrivateServer(Path(folder), settings=_UNSAFE_BUT_FAST | {"listen_addresses": address})
        try:
            runner.run(server.start())
            yield address
        finally:
            runner.run(server.stop())
