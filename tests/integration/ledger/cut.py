"""Between a client and Postgres: cuts the connection at a COMMIT."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

from tests.support.scratch import scratch

_COMMIT = b"COMMIT;\x00"


class Cut(Enum):
    NEVER = 0
    BEFORE = 1
    """The server never sees it, and rolls back."""
    AFTER = 2
    """The server commits; its answer is lost."""


class Proxy:
    """Forwards the unix socket of a server; ``cut`` says what happens at the next COMMIT."""

    def __init__(self, dsn: str, folder: Path) -> None:
        parts = urlsplit(dsn)
        self._socket = parse_qs(parts.query)["host"][0] + "/.s.PGSQL.5432"
        self._path = folder / ".s.PGSQL.5432"
        self.dsn = urlunsplit(parts._replace(query=f"host={quote(str(folder))}&port=5432"))
        self.cut = Cut.NEVER
        self.cuts = 0
        self._clients: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_unix_server(self._serve, self._path)
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def say(self, message: bytes) -> None:
        """Say something to all clients, as if the server did."""
        for client in self._clients:
            client.write(message)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        server_reader, server_writer = await asyncio.open_unix_connection(self._socket)
        self._clients.add(writer)
        back = asyncio.create_task(self._pump(server_reader, writer))
        try:
            while data := await reader.read(65536):
                if _COMMIT in data and self.cut is not Cut.NEVER:
                    self.cut, cut = Cut.NEVER, self.cut
                    self.cuts += 1
                    back.cancel()
                    if cut is Cut.AFTER:
                        await asyncio.wait([back])
                        server_writer.write(data)
                        await server_reader.read(1)  # the answer: it has committed
                    break
                server_writer.write(data)
        finally:
            back.cancel()
            self._clients.discard(writer)
            for end in (server_writer, writer):
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


@contextlib.asynccontextmanager
async def proxy(dsn: str) -> AsyncIterator[Proxy]:
    with scratch() as folder:
        made = Proxy(dsn, Path(folder))
        async with made.serving():
            yield made
