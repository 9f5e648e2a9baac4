"""Practice targets on this machine: one that works, one that is slow, one that comes and goes."""

import asyncio
import os
import time
from collections.abc import Callable

from aiohttp import web

HOST = "127.0.0.1"
PORT = 9465

SLOW_S = 1.5
FLAKY_PERIOD_S = 60.0
"""Works for the first half of this, fails for the second."""

STOP_S = 2.0
"""How long an answer under way may take when the targets stop; longer than the slowest of them takes."""


class DemoTargets:
    """Serves ``/up``, ``/slow`` and ``/flaky``. Nothing listens on the port after it: that is the one that is down."""

    def __init__(self, host: str = HOST, port: int = PORT, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._port = port
        self._monotonic = monotonic
        self._started_at = 0.0
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen, and return the port. Raises OSError when the address can't be had."""
        app = web.Application()
        app.router.add_get("/up", self._up)
        app.router.add_get("/slow", self._slow)
        app.router.add_get("/flaky", self._flaky)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S)
        self._started_at = self._monotonic()
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self.stop()
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise OSError(f"cannot serve the practice targets on {self._host} port {self._port}: {why}") from error
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Stop listening; safe twice."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

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
