"""Practice targets on this machine: one that works, one that is slow, one that comes and goes."""

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

from monitord.http_server import HttpServer

HOST = "127.0.0.1"
PORT = 9465

SLOW_S = 1.5
FLAKY_PERIOD_S = 60.0
"""Works for the first half of this, fails for the second."""


class DemoTargets:
    """Serves ``/up``, ``/slow`` and ``/flaky``. Nothing listens on the port after it: that is the one that is down."""

    def __init__(self, host: str = HOST, port: int = PORT, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server = HttpServer(host, port, purpose="serve the practice targets")
        self._monotonic = monotonic
        self._started_at = 0.0

    async def start(self) -> int:
        """Listen, and return the port. Raises OSError when the address can't be had."""
        app = web.Application()
        app.router.add_get("/up", self._up)
        app.router.add_get("/slow", self._slow)
        app.router.add_get("/flaky", self._flaky)
        self._started_at = self._monotonic()
        return await self._server.start(app)

    async def stop(self) -> None:
        """Stop listening; safe twice."""
        await self._server.stop()

    async def _up(self, request: web.Request) -> web.Response:
        return web.Response(text="All is well.\n")

    async def _slow(self, request: web.Request) -> web.Response:
        await asyncio.sleep(SLOW_S)
        return web.Response(text="Good things take time.\n")

    async def _flaky(self, request: web.Request) -> web.Response:
        phase = (self._monotonic() - self._started_at) % FLAKY_PERIOD_S
        if phase < FLAKY_PERIOD_S / 2:
            return web.Response(text="It works at the moment.\n")
        return web.Response(text="It does not work at the moment.\n", status=503)
