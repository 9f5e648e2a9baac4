"""ScreenshotOne's API as far as its pages describe it, strict. It renders nothing: each picture is of one colour.

https://screenshotone.com/docs/getting-started, /docs/options, /docs/errors and /docs/signed-requests.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from tests.support import png

_KINDS: dict[str, type] = {
    "url": str,
    "format": str,
    "viewport_width": int,
    "viewport_height": int,
    "block_cookie_banners": bool,
    "ignore_host_errors": bool,
    "timeout": int,
}


class ScreenshotOneServer:
    """One account."""

    def __init__(self, key: str, secret: str, *, demands_signatures: bool) -> None:
        self.key = key
        self.secret = secret
        self.demands_signatures = demands_signatures
        self.taken: list[dict[str, Any]] = []
        self.requests = 0
        self.script: list[Callable[[], web.Response] | None] = []
        """What to answer in place of a picture, to each request in turn; None: the picture."""
        self.hangs = asyncio.Event()
        self.hung = False
        self.base = ""

    async def take(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.hung:
            await self.hangs.wait()
        options = await self._options(request)
        if isinstance(options, web.Response):
            return options
        wrong = self._judge(options)
        if wrong:
            return refuse(400, "request_not_valid", wrong)
        if self.script and (answer := self.script.pop(0)) is not None:
            return answer()
        self.taken.append(options)
        picture = png.make(options["viewport_width"], options["viewport_height"], 10, 20, 30)
        return web.Response(body=picture, content_type="image/png")

    async def _options(self, request: web.Request) -> dict[str, Any] | web.Response:
        if request.method == "GET":
            return self._signed(request.raw_path.partition("?")[2])
        if self.demands_signatures:
            return refuse(400, "signature_is_required", "Signing requests is required.")
        if request.content_type != "application/json" or request.query_string:
            return refuse(400, "request_not_valid", "options stand in a JSON body")
        return self._keyed(request.headers.get("X-Access-Key"), json.loads(await request.text()))

    def _signed(self, query: str) -> dict[str, Any] | web.Response:
        signed, mark, signature = query.rpartition("&signature=")
        if not mark and self.demands_signatures:
            return refuse(400, "signature_is_required", "Signing requests is required.")
        expected = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if mark and signature != expected:
            return refuse(400, "signature_is_not_valid", "The signature is not valid.")
        options: dict[str, Any] = dict(parse_qsl(signed if mark else query, strict_parsing=True))
        key = options.pop("access_key", None)
        for name, value in options.items():
            if _KINDS.get(name) is int:
                options[name] = int(value)
            elif _KINDS.get(name) is bool:
                options[name] = {"true": True, "false": False}[value]
        return self._keyed(key, options)

    def _keyed(self, key: str | None, options: dict[str, Any]) -> dict[str, Any] | web.Response:
        if not key:
            return refuse(400, "access_key_required", "The access_key parameter is required.")
        if key != self.key:
            return refuse(400, "access_key_invalid", f"The access key {key} is not correct.")
        return options

    def _judge(self, options: dict[str, Any]) -> str:
        for name, value in options.items():
            if name not in _KINDS or type(value) is not _KINDS[name]:
                return f"{name} is not an option, or not of its type"
        if urlsplit(options.get("url", "")).scheme not in ("http", "https"):
            return "url is required"
        if options.get("format") not in ("png", "jpeg", "jpg", "webp"):
            return "format is unknown"
        if not 1 <= options.get("timeout", 60) <= 90:
            return "timeout is out of range"
        return ""


def refuse(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"is_successful": False, "error_code": code, "error_message": message, "documentation_url": "https://x"}
    return web.json_response(body, status=status, headers=headers)


@asynccontextmanager
async def serving_screenshotone(
    key: str = "access-key", secret: str = "signing-secret", *, demands_signatures: bool = False
) -> AsyncIterator[ScreenshotOneServer]:
    server = ScreenshotOneServer(key, secret, demands_signatures=demands_signatures)
    application = web.Application()
    application.router.add_get("/take", server.take)
    application.router.add_post("/take", server.take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.hangs.set()
        await runner.cleanup()
