"""The HTTP listener for those who watch monitord itself: /metrics, /livez and /readyz."""

import zlib
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web
from prometheus_client.exposition import gzip_accepted

from monitord.http_server import HttpServer
from monitord.metrics.exposition import Exposition
from monitord.metrics.readiness import Readiness

_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 1
"""A tenth of the text remains, as good as, for a third of the work of the default."""

_INDEX = """<!doctype html>
<html lang="en"><title>monitord</title>
<h1>monitord</h1>
<ul>
<li><a href="/metrics">/metrics</a>: for Prometheus</li>
<li><a href="/readyz">/readyz</a>: whether it can do its work, and if not, why</li>
<li><a href="/livez">/livez</a>: whether it runs at all</li>
</ul>
</html>
"""


class HttpListener:
    """Serves the exposition and the readiness on one address. Without TLS and without a login: keep it inside."""

    def __init__(self, host: str, port: int, exposition: Exposition, readiness: Readiness) -> None:
        self._server = HttpServer(
            host, port, purpose="serve metrics", remedy="Set MONITORD_METRICS_PORT or MONITORD_METRICS_HOST"
        )
        self._exposition = exposition
        self._readiness = readiness

    async def start(self) -> int:
        """Listen, and return the port. Raises OSError when the address can't be had."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics, allow_head=False)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/", self._index)
        return await self._server.start(app)

    async def stop(self) -> None:
        """Stop listening; safe twice."""
        await self._server.stop()

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        content_type, chunks = self._exposition.scrape(request.headers.get("Accept", ""))
        response = web.StreamResponse(headers={"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"})
        if gzip_accepted(request.headers.get("Accept-Encoding", "")):
            response.headers["Content-Encoding"] = "gzip"
            chunks = _compressed(chunks)
        await response.prepare(request)
        async for chunk in chunks:
            await response.write(chunk)  # waits for a reader that is slow, with one chunk in memory
        await response.write_eof()
        return response

    async def _livez(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        report = await self._readiness.report()
        return web.Response(
            body=msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n",
            status=200 if report.ready else 503,
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def _index(self, request: web.Request) -> web.Response:
        return web.Response(text=_INDEX, content_type="text/html")


async def _compressed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    async for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()
