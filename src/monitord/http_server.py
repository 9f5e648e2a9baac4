"""A small HTTP server on one address, for what monitord serves besides gRPC."""

import os
import ssl

from aiohttp import web

STOP_S = 2.0
"""How long a request under way may take to finish when the server stops."""


class HttpServer:
    """Serves one application. Port 0 takes any that is free."""

    def __init__(
        self, host: str, port: int, *, purpose: str, remedy: str = "", tls: ssl.SSLContext | None = None
    ) -> None:
        """``purpose`` and ``remedy`` stand in the error of an address that can't be had: what for, and what to do."""
        self._host = host
        self._port = self._bound = port
        self._purpose = purpose
        self._remedy = remedy
        self._tls = tls
        self._runner: web.AppRunner | None = None

    async def start(self, application: web.Application) -> int:
        """Listen, and return the port. Raises OSError when the address can't be had."""
        # Bodies stay as they are sent: nothing here wants a compressed one, and aiohttp would unpack even what a
        # handler has refused, to throw it away (T8).
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_S, auto_decompress=False)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls).start()
        except OSError as error:
            await self.stop()
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            remedy = f". {self._remedy}" if self._remedy else ""
            raise OSError(f"cannot {self._purpose} on {self._host} port {self._port}: {why}{remedy}") from error
        self._bound = self._runner.addresses[0][1]
        return self._bound

    @property
    def url(self) -> str:
        """Where it listens, once it has been started, as this machine reaches it."""
        host = "localhost" if self._host in ("0.0.0.0", "::") else self._host
        return f"http{'' if self._tls is None else 's'}://{f'[{host}]' if ':' in host else host}:{self._bound}"

    async def stop(self) -> None:
        """Stop listening; safe twice."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
