"""TLS before a server that has none, begun as Postgres begins it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

from tests.support.targets import Peer, Script, Server, serve


@contextlib.asynccontextmanager
async def postgres_over_tls(context: ssl.SSLContext, script: Script) -> AsyncIterator[Server]:
    """Agree to begin TLS, and run ``script`` over it."""

    async def front(peer: Peer) -> None:
        assert await peer.reader.readexactly(8) == bytes.fromhex("0000000804d2162f")
        await peer.send(b"S")
        await peer.writer.start_tls(context)
        await script(peer)

    async with serve(front) as server:
        yield server


def to_port(port: int) -> Script:
    """Pass everything on to a server on this machine, and back."""

    async def script(peer: Peer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pump(peer.reader, writer))
                tasks.create_task(_pump(reader, peer.writer))
        finally:
            writer.close()

    return script


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
