"""Stand-ins for the services of others, on loopback: each takes what its vendor would take, and refuses the rest.

A vendor's module has a function that says what is wrong with a document; the tests of rendering hold any notice to it,
and the stand-in answers by it, in the vendor's own words.
"""

import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import web


class RefusalError(Exception):
    """What is wrong with a document."""


def demand(holds: object, problem: str) -> None:
    """Refuse a document for which something doesn't hold."""
    if not holds:
        raise RefusalError(problem)


def only(document: dict[str, Any], *keys: str) -> None:
    """Refuse a document with keys that the vendor does not know."""
    demand(document.keys() <= set(keys), f"unknown: {sorted(document.keys() - set(keys))}")


def code_units(text: str) -> int:
    """The length of a text in UTF-16, as the strictest of them count."""
    return len(text.encode("utf-16-le")) // 2


class Seen(msgspec.Struct, frozen=True):
    """A request as it came."""

    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.body)


class Canned(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that the test wants."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}


class Vendor:
    """A stand-in; remembers what it was sent."""

    def __init__(self) -> None:
        self.base = ""
        self.seen: list[Seen] = []
        self.taken: list[Any] = []
        self.canned: deque[Canned] = deque()

    async def handle(self, request: web.Request) -> web.Response:
        path, _, query = request.raw_path.partition("?")  # as it came over the wire
        seen = Seen(path, query, dict(request.headers), await request.read())
        self.seen.append(seen)
        if self.canned:
            canned = self.canned.popleft()
            return web.Response(status=canned.status, body=canned.body, headers=canned.headers)
        if request.method != "POST":
            return web.Response(status=405)
        return self.answer(seen)

    def answer(self, seen: Seen) -> web.Response:
        """Take or refuse a request."""
        raise NotImplementedError


@contextlib.asynccontextmanager
async def serving(vendor: Vendor) -> AsyncIterator[None]:
    """Let a stand-in listen on a port of its own."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", vendor.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        vendor.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield
    finally:
        await runner.cleanup()
