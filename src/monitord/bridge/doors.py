"""The connections to the gRPC server beside us, over its private unix socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc

Metadata: TypeAlias = tuple[tuple[str, str], ...]

CALLER_KEY = "x-monitord-caller"
"""The metadata with the caller's address: the server believes it from the private socket alone (``rpc.callers``)."""

ORGANISATION_KEY = "x-monitord-organisation"
"""The metadata, and header, that chooses the organisation a call acts in; as ``rpc.interceptors`` spells it."""

_FRESH_S = 300.0
"""How long new streams share a connection. The server ends connections after half an hour, with all that is on them:
so a stream lives 25 minutes at least, and then comes back with its cursor like any of gRPC's."""

_OPTIONS = (
    # Without it gRPC would quietly share one connection between all channels.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


class _Lane:
    """One connection, and what is on it."""

    def __init__(self, target: str, at: float) -> None:
        self.channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        self.opened_at = at
        self.users = 0


class Doors:
    """Opens connections when they are needed. Calls and streams have their own: a thousand tails delay no call."""

    def __init__(self, target: Callable[[], str | None]) -> None:
        """``target`` tells what gRPC calls the socket; None while there is no server."""
        self._target = target
        self._calls: _Lane | None = None
        self._streams: _Lane | None = None
        self._lanes: set[_Lane] = set()

    def unary(self, path: str) -> Any | None:
        """Return what calls a method with bytes; None while there is no server."""
        if self._calls is None:
            self._calls = self._open(0.0)
        return None if self._calls is None else self._calls.channel.unary_unary(path)

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[Any | None]:
        """Yield what opens a stream with bytes, for as long as it is read; None while there is no server."""
        lane = self._streams
        now = time.monotonic()
        if lane is None or now - lane.opened_at > _FRESH_S:
            before, lane = lane, self._open(now)
            self._streams = lane
            await self._spare(before)
        if lane is None:
            yield None
            return
        lane.users += 1
        try:
            yield lane.channel.unary_stream(path)
        finally:
            lane.users -= 1
            await self._spare(lane)

    async def close(self) -> None:
        """End every connection; safe twice."""
        lanes, self._lanes, self._calls, self._streams = self._lanes, set(), None, None
        await asyncio.gather(*(lane.channel.close() for lane in lanes))

    def _open(self, at: float) -> _Lane | None:
        target = self._target()
        if target is None:
            return None
        lane = _Lane(target, at)
        self._lanes.add(lane)
        return lane

    async def _spare(self, lane: _Lane | None) -> None:
        """Close a connection that new streams no longer take, once nothing is on it."""
        if lane is not None and lane is not self._streams and not lane.users and lane in self._lanes:
            self._lanes.remove(lane)
            await lane.channel.close()
