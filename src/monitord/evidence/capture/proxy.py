"""The only way out that a browser has: a proxy that judges every address by the policy of the checks (T1, T2, T4, T5).

One per shot. It asks for a credential that nobody else has, speaks http and tunnels alone, and carries so much and so
long. Each name is looked up once in a shot, and stays where it was (T2: an answer that changes moves nothing).

A page from outside reaches nothing inside, even where the policy on addresses allows checks of what is inside: as soon
as the browser was let out to a public address, no private one is dialled any more, save those from which parts of the
page have come before. So an internal page may use fonts from the internet, and a page of the internet may use nothing
of the internal network.
"""

import asyncio
import contextlib
import socket
from typing import Protocol

from monitord.domain.connection import AddressFamily
from monitord.evidence.capture.proxy_head import (
    MAX_HEAD_BYTES,
    BadHeadError,
    Request,
    credential,
    read_answer,
    read_request,
)

MAX_BYTES = 48 * 1024 * 1024
"""What one shot may carry, both ways together."""
MAX_CONNECTIONS = 64
"""At once, for one shot."""
MAX_DIALS = 512
"""In all, for one shot."""
CONNECT_S = 5.0
HEAD_S = 12.0
"""How long a request, or the head of an answer, may take."""

_CHUNK_BYTES = 64 * 1024
_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_ASK = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=monitord\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)
_OPEN = b"HTTP/1.1 200 OK\r\n\r\n"
_ABUSED = frozenset({22, 23, 25, 110, 143, 465, 587, 993, 995})
"""Ports of protocols that take what a browser sends for commands: mail, shells. Chromium refuses most itself."""


class Way(Protocol):
    """The guarded dialler; ``probes.outbound.Outbound``."""

    async def find(self, host: str, port: int, family: AddressFamily) -> tuple[str, ...]:
        """Return the addresses of a host, each of which the policy allows. Raises OSError."""
        ...

    async def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """Return a connected, non-blocking socket. Raises OSError."""
        ...


class Policy(Protocol):
    """Which addresses are of the public internet; ``probes.egress.EgressPolicy`` in its public mode."""

    def check(self, ip: str, port: int) -> str | None:
        """Return why an address is none, or None."""
        ...


class RefusedByProxyError(OSError):
    """The proxy doesn't dial that; the text is for people."""


class Proxy:
    """Serves one browser for one shot."""

    def __init__(self, way: Way, public: Policy, password: str, *, max_bytes: int = MAX_BYTES) -> None:
        self._way = way
        self._public = public
        self._credential = credential(password)
        self._bytes_left = max_bytes
        self._dials_left = MAX_DIALS
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._found: dict[str, asyncio.Task[tuple[str, ...]]] = {}
        self._inside: set[tuple[str, int]] = set()
        self._is_out = False
        self.last_error = ""
        """Why the last connection could not be had, for people."""

    async def start(self, listener: socket.socket | None = None) -> int:
        """Listen on a socket that already does, or on a free port of the loopback; return the port."""
        if listener is not None:
            self._server = await asyncio.start_server(self._accept, sock=listener, limit=MAX_HEAD_BYTES)
        else:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close everything; safe twice."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        tasks = [*self._open, *self._found.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if server is not None:
            await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._accepted(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError, TimeoutError):
            pass  # either side has gone, or what was said was too long: nobody is left to tell
        finally:
            writer.transport.abort() if self._bytes_left <= 0 else writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_S):
            head = await reader.readuntil(b"\r\n\r\n")
        try:
            request = read_request(head, self._credential)
        except BadHeadError as error:
            self.last_error = str(error)
            writer.write(_BAD)
            return
        if not request.authorised:
            writer.write(_ASK)
            return
        try:
            upstream = await self._dial(request.host, request.port)
        except OSError as error:
            self.last_error = str(error)
            # To a tunnel that is an error of its own; for a plain request anything would look like the page's answer.
            if not request.head:
                writer.write(_FORBIDDEN)
            return
        await self._carry(request, reader, writer, upstream)

    async def _dial(self, host: str, port: int) -> socket.socket:
        """Return a connection to one of the addresses that a host had at first."""
        self._dials_left -= 1
        if self._dials_left < 0:
            raise RefusedByProxyError("the page asks for too much")
        if port in _ABUSED:
            raise RefusedByProxyError(f"port {port} is not one of the web")
        addresses = await self._lookup(host, port)
        error: OSError = RefusedByProxyError(f"{host} has no address")
        for ip in addresses[:4]:
            self._pass(ip, port)
            try:
                return await self._way.connect(ip, port, CONNECT_S / min(len(addresses), 4))
            except OSError as failed:
                error = failed
        raise error

    async def _lookup(self, host: str, port: int) -> tuple[str, ...]:
        task = self._found.get(host)
        if task is None:
            task = self._found[host] = asyncio.create_task(self._way.find(host, port, AddressFamily.ANY))
        return await asyncio.shield(task)

    def _pass(self, ip: str, port: int) -> None:
        """Raise where a page may not reach, given where it has been."""
        if self._public.check(ip, port) is None:
            self._is_out = True
        elif self._is_out and (ip, port) not in self._inside:
            raise RefusedByProxyError("a page from outside must not reach the internal network")
        else:
            self._inside.add((ip, port))

    async def _carry(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: socket.socket
    ) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(sock=upstream, limit=MAX_HEAD_BYTES)
        except BaseException:
            upstream.close()
            raise
        try:
            if request.head:
                await self._exchange(request, reader, writer, far_reader, far_writer)
                return
            writer.write(_OPEN)
            await self._tunnel((reader, far_writer), (far_reader, writer))
        finally:
            far_writer.transport.abort()

    async def _tunnel(
        self,
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        back: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Carry bytes both ways until both sides have ended, or either has failed."""
        ways = [asyncio.create_task(self._pump(*way)) for way in (there, back)]
        try:
            for way in asyncio.as_completed(ways):
                await way
        finally:
            for each in ways:
                each.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _exchange(
        self,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        """Pass on one request and its answer, and close: what the browser sends behind it goes nowhere."""
        far_writer.write(request.head)
        await self._pump(reader, far_writer, request.body_bytes)
        status = 100
        while status < 200:  # RFC 9110, 15.2: any number of these may come before the answer
            async with asyncio.timeout(HEAD_S):
                head = await far_reader.readuntil(b"\r\n\r\n")
            self._spend(len(head))
            try:
                status, passed = read_answer(head)
            except BadHeadError as error:
                self.last_error = str(error)
                return
            if status == 101:
                return  # nobody asked for another protocol: WebSockets come as tunnels
            if status >= 200:
                writer.write(passed)
        await self._answer(reader, writer, far_reader)

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far_reader: asyncio.StreamReader
    ) -> None:
        """Pass on the body of an answer until either side closes: the browser knows where it ends."""
        body = asyncio.create_task(self._pump(far_reader, writer))
        gone = asyncio.create_task(self._drop(reader))
        try:
            await asyncio.wait((body, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (body, gone):
                each.cancel()
            await asyncio.gather(body, gone, return_exceptions=True)

    async def _drop(self, reader: asyncio.StreamReader) -> None:
        while part := await reader.read(_CHUNK_BYTES):
            self._spend(len(part))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None = None) -> None:
        while limit is None or limit > 0:
            part = await reader.read(_CHUNK_BYTES if limit is None else min(limit, _CHUNK_BYTES))
            if not part:
                break
            self._spend(len(part))
            if limit is not None:
                limit -= len(part)
            writer.write(part)
            await writer.drain()
        if limit is None:
            with contextlib.suppress(OSError):
                writer.write_eof()

    def _spend(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise RefusedByProxyError("the page is too large")
