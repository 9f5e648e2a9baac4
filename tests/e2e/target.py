"""A target that a test switches, holds and asks what it was asked."""

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from typing import NamedTuple

from tests.support.process import until
from tests.support.targets import Peer, serve


class Request(NamedTuple):
    """One request that was answered, or is held."""

    path: str
    at: float
    """``time.monotonic()`` when it was answered."""
    head: str


class Target:
    """Answers 200, or 503 where it is told to fail; holds every answer back between ``hold`` and ``release``."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Request] = []
        self.begun: Counter[str] = Counter()
        self._failing: set[str] = set()
        self._holding = False
        self._released: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def fail(self, path: str = "/") -> None:
        self._failing.add(path)

    def recover(self, path: str = "/") -> None:
        self._failing.discard(path)

    def hold(self) -> None:
        self._holding = True
        self._released.clear()

    def release(self, path: str | None = None) -> None:
        """Answer what waits and what comes: for one path, or for all."""
        if path is not None:
            self._released[path].set()
            return
        self._holding = False
        for released in self._released.values():
            released.set()

    def count(self, path: str = "/") -> int:
        """Return how many requests for a path have begun."""
        return self.begun[path]

    async def asked(self, path: str = "/", *, more_than: int = 0, within_s: float = 15.0) -> int:
        """Return the count once it is more than ``more_than``."""

        async def look() -> bool:
            return self.count(path) > more_than

        await until(look, f"more than {more_than} requests for {path}", within_s=within_s)
        return self.count(path)

    async def answer(self, peer: Peer) -> None:
        head = (await peer.request()).decode("latin-1")
        path = head.split(" ")[1]
        self.begun[path] += 1
        if self._holding:
            await self._released[path].wait()
        status = "503 Service Unavailable" if path in self._failing else "200 OK"
        await peer.send(f"HTTP/1.1 {status}\r\nContent-Length: 6\r\n\r\nhello\n".encode())
        self.requests.append(Request(path, time.monotonic(), head))


@contextlib.asynccontextmanager
async def target() -> AsyncIterator[Target]:
    """Run a target for the block."""
    served = Target()
    async with serve(served.answer) as server:
        served.port = server.port
        try:
            yield served
        finally:
            served.release()
