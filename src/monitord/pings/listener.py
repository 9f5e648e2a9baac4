"""The HTTP listener for jobs: ``/ping/<token>``, with ``/start``, ``/fail``, ``/log`` or an exit code at the end."""

import asyncio
import math
import ssl
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog
from aiohttp import web

from monitord.domain.errors import NotFoundError, UnavailableError
from monitord.domain.heartbeat import MAX_BODY_BYTES, Ping, PingKind
from monitord.domain.instant import Instant
from monitord.http_server import HttpServer
from monitord.identity.allowance import Allowance

BODY_S = 5.0
"""How long a job may take to send its body; what came until then is kept."""

BURST = 20
EVERY_S = 1.0
"""One word a second in the long run, and this many at once: a job that loops must not fill the database (T16)."""

MAX_AT_ONCE = 256

_WORDS = {"": PingKind.SUCCESS, "start": PingKind.START, "fail": PingKind.FAIL, "log": PingKind.LOG}
_NO_STORE = {"Cache-Control": "no-store"}
_log = structlog.get_logger(__name__)


class Hearing(Protocol):
    """Whoever takes words in."""

    async def hear(self, monitor_id: int, url_version: int | None, ping: Ping) -> None:
        """Take a word in; see ``engine.heartbeats``."""
        ...


class Routes(Protocol):
    """Whatever else is served at the same address."""

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return what it serves."""
        ...


class PingListener:
    """Serves ping URLs on one address: with TLS, behind a proxy that has a certificate, or to this machine alone."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        hearing: Hearing,
        read_token: Callable[[str], tuple[int, int] | None],
        now: Callable[[], Instant],
        others: Iterable[Routes | None] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take who hears the words; ``others`` is what else is served at the same address."""
        remedy = "Set MONITORD_PING_PORT or MONITORD_PING_HOST"
        self._server = HttpServer(host, port, purpose="listen for heartbeats", remedy=remedy, tls=tls)
        self._hearing = hearing
        self._read_token = read_token
        self._now = now
        self._others = [route for each in others if each is not None for route in each.routes()]
        self._words = Allowance("Too many words", burst=BURST, refill_s=EVERY_S)
        self._at_once = 0

    async def start(self) -> int:
        """Listen, and return the port. Raises OSError when the address can't be had."""
        app = web.Application()
        for path in ("/ping/{token}", "/ping/{token}/", "/ping/{token}/{word}"):
            for method in ("GET", "HEAD", "POST"):
                app.router.add_route(method, path, self._ping)
        app.router.add_routes(self._others)
        return await self._server.start(app)

    @property
    def url(self) -> str:
        """Where it listens, once it does, as this machine reaches it."""
        return self._server.url

    async def stop(self) -> None:
        """Stop listening; safe twice."""
        await self._server.stop()

    async def _ping(self, request: web.Request) -> web.Response:
        found = self._read_token(request.match_info["token"])
        if found is None:
            return _answer(404, "There is no heartbeat at this URL: copy all of the monitor's ping_url.")
        word = _word(request.match_info.get("word", ""))
        if word is None:
            return _answer(400, "After the URL may come /start, /fail, /log, or an exit code from /0 to /255.")
        wait_s = self._words.wait_s(found[0])
        if wait_s or self._at_once >= MAX_AT_ONCE:
            retry = {"Retry-After": str(max(1, math.ceil(wait_s)))}
            return _answer(429, "Too many words: one a second is plenty.", retry)
        self._at_once += 1
        try:
            return await self._take(request, found, *word)
        finally:
            self._at_once -= 1

    async def _take(
        self, request: web.Request, found: tuple[int, int], kind: PingKind, exit_code: int | None
    ) -> web.Response:
        at = self._now()
        body = await _body(request)
        ping = Ping(at=at, kind=kind, exit_code=exit_code, body=body, source=request.remote or "")
        try:
            await self._hearing.hear(*found, ping)
        except NotFoundError as error:
            return _answer(404, str(error))
        except UnavailableError:
            _log.warning("ping_not_stored", monitor_id=found[0])
            return _answer(503, "Heard, but not stored: the database is away. Try again.", {"Retry-After": "5"})
        return _answer(200, "OK")


def _word(text: str) -> tuple[PingKind, int | None] | None:
    if text in _WORDS:
        return _WORDS[text], None
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255:
        code = int(text)
        return (PingKind.FAIL if code else PingKind.SUCCESS), code
    return None


async def _body(request: web.Request) -> bytes:
    """Return the beginning of a body. A job that is slow with it, or breaks off, has told of itself all the same."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while len(body) < MAX_BODY_BYTES and (part := await request.content.read(MAX_BODY_BYTES - len(body))):
                body += part
    except (TimeoutError, ConnectionError, web.RequestPayloadError, ValueError):
        pass
    return bytes(body)


def _answer(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=text + "\n", headers=_NO_STORE | (headers or {}))
