"""Pages for a browser to look at, and canaries that tell who came to where nobody may."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pages:
    """A site whose pages a test writes."""

    def __init__(self) -> None:
        self.pages: dict[str, str | Answer] = {}
        self.seen: list[str] = []
        self.requests: list[web.Request] = []
        self.port = 0
        self._told: dict[str, asyncio.Event] = {}

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def told(self, path: str) -> None:
        """Wait until a page has asked for a path."""
        async with asyncio.timeout(10):
            await self._told.setdefault(path, asyncio.Event()).wait()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.path)
        self.requests.append(request)
        self._told.setdefault(request.path, asyncio.Event()).set()
        page = self.pages.get(request.path)
        if page is None:
            return web.Response(status=404, text="no such page")
        if not isinstance(page, str):
            return await page(request)
        return web.Response(text=page, content_type="text/html")


@asynccontextmanager
async def serving_pages() -> AsyncIterator[Pages]:
    pages = Pages()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", pages.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pages.port = runner.addresses[0][1]
    try:
        yield pages
    finally:
        await runner.cleanup()


class Canary(asyncio.DatagramProtocol):
    """Listens on one port, on TCP and UDP, and keeps what comes."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.port = 0

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard.append(b"udp " + data[:80])

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(b"tcp")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nAccess-Control-Allow-Origin: *\r\n\r\nsecret")
        writer.close()


@asynccontextmanager
async def canary() -> AsyncIterator[Canary]:
    bird = Canary()
    server = await asyncio.start_server(bird.connected, "127.0.0.1", 0)
    bird.port = server.sockets[0].getsockname()[1]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", bird.port))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: bird, sock=sock)
    try:
        yield bird
    finally:
        transport.close()
        server.close()
        await server.wait_closed()
