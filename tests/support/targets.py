"""Local servers that behave, and many that do not, on the wire."""

import asyncio
import contextlib
import fcntl
import random
import socket
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import IO

Script = Callable[["Peer"], Awaitable[None]]

_CLAIMS: list[IO[str]] = []
"""Locks on the ports that were given away."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Peer:
    """One connection, from the server's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """Read one request with its body, if it has a Content-Length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return head + await self.reader.readexactly(length)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def secure(self, context: ssl.SSLContext, *parts: bytes, goodbye: bool = False) -> None:
        """Make a TLS handshake, and say things in a record each; then say that this was all (close_notify).

        ``start_tls`` of uvloop hides that a handshake failed.
        """
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self.send(outgoing.read())
                data = await self.reader.read(65536)
                if not data:
                    raise ConnectionError("the client went away") from None
                incoming.write(data)
            except ssl.SSLError:
                await self.send(outgoing.read())  # the alert, which uvloop would keep to itself
                raise
        for part in parts:
            tls.write(part)
        if goodbye:
            with contextlib.suppress(ssl.SSLError):
                tls.unwrap()
        await self.send(outgoing.read())

    async def silence(self) -> None:
        """Say nothing until the other side goes away."""
        with contextlib.suppress(OSError):
            while await self.reader.read(65536):
                pass


class Server:
    """A listening server; knows where it is and what it was asked."""

    def __init__(self, port: int, host: str) -> None:
        self.host = host
        self.port = port
        self.requests: list[bytes] = []
        self.connections = 0

    def url(self, path: str = "/", scheme: str = "http", host: str = "") -> str:
        return f"{scheme}://{host or self.host}:{self.port}{path}"


@contextlib.asynccontextmanager
async def serve(
    script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Server]:
    """Run ``script`` for each connection to a port of its own, and close the connection after it."""
    open_connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
    server: Server

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.current_task()
        assert task is not None
        open_connections[task] = writer
        try:
            await script(Peer(reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            del open_connections[task]
            writer.close()

    listener = await asyncio.start_server(connected, host, port, ssl=tls)
    server = Server(listener.sockets[0].getsockname()[1], host)
    try:
        yield server
    finally:
        listener.close()
        for writer in open_connections.values():
            writer.transport.abort()
        if open_connections:
            await asyncio.wait(open_connections, timeout=5)


def answering(*parts: bytes, then: str = "close") -> Script:
    """Read a request, send parts, then ``close``, ``reset`` or stay in ``silence``."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for part in parts:
            await peer.send(part)
        if then == "reset":
            peer.reset()
        elif then == "silence":
            await peer.silence()

    return script


def saying(*parts: bytes, then: str = "close") -> Script:
    """Say things at once, without being asked, in a packet each; then ``close``, ``reset`` or stay in ``silence``."""

    async def script(peer: Peer) -> None:
        peer.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            await peer.send(part)
            await asyncio.sleep(0)
        if then == "reset":
            peer.reset()
        elif then == "silence":
            await peer.silence()

    return script


def endlessly(flood: bytes) -> Script:
    """Say the same thing again and again, as fast as it is taken."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.send(flood)
            await asyncio.sleep(0)  # drain() returns at once while there is room, and the prober lives on this loop

    return script


def dripping(first: bytes, drip: bytes, every_s: float = 0.05) -> Script:
    """Send ``first`` and then ``drip`` again and again, slowly."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(first)
        while True:
            await peer.send(drip)
            await asyncio.sleep(every_s)

    return script


def flooding(first: bytes, flood: bytes) -> Script:
    """Send ``first`` and then ``flood`` again and again, as fast as it is taken."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(first)
        while True:
            await peer.send(flood)
            # drain() returns at once while there is room, and the prober lives on the same loop.
            await asyncio.sleep(0)

    return script


def unused_port() -> int:
    """Return a port of the loopback interface on which nothing listens, and which no test gets again.

    From below the ports that systems give away by themselves: one of those could be somebody else's a moment later.
    """
    while True:
        port = random.SystemRandom().randint(10_000, 30_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            if _claim(port):
                return port


def _claim(port: int) -> bool:
    """Return whether no other test was given a port, in this run or another; keep it while this process lives."""
    folder = Path(tempfile.gettempdir()) / "monitord-test-ports"
    folder.mkdir(exist_ok=True)
    lock = (folder / str(port)).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    _CLAIMS.append(lock)
    return True


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port whose backlog is full: connections to it are neither accepted nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
