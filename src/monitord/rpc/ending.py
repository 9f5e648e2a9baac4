"""Ending streams from outside without cutting a message in two.

A cancelled ``write`` may leave a stream in disorder, so what is interrupted is only the wait for the next message.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import structlog

from monitord.domain.errors import NotReadyError
from monitord.domain.tail import TailEndReason

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Ending:
    """The end of one stream, which others may bring about."""

    def __init__(self) -> None:
        self.reason: TailEndReason | None = None
        """Why the stream has to end; None while it may go on."""
        self._waiting: asyncio.Timeout | None = None

    def end(self, reason: TailEndReason) -> None:
        """End the stream as soon as no message is on its way. The first reason counts."""
        if self.reason is None:
            self.reason = reason
            if self._waiting is not None:
                self._waiting.reschedule(asyncio.get_running_loop().time())

    async def next_of(self, messages: AsyncIterator[T]) -> T | None:
        """Return the next message, or None after the last one and as soon as the stream has to end."""
        if self.reason is not None:
            return None
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._waiting = scope
                try:
                    return await anext(messages, None)
                finally:
                    self._waiting = None
        except TimeoutError:
            if not scope.expired():
                raise
            return None

    @contextlib.asynccontextmanager
    async def when(self, happening: Callable[[], Awaitable[None]], reason: TailEndReason) -> AsyncIterator[None]:
        """End the stream when something happens, while the block runs."""
        watch = asyncio.create_task(self._watch(happening, reason))
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.wait([watch])

    async def _watch(self, happening: Callable[[], Awaitable[None]], reason: TailEndReason) -> None:
        try:
            await happening()
        except Exception:  # the guard of this task: a stream that can't be watched must not go on either
            _log.exception("rpc.watch_failed", reason=reason.name)
        self.end(reason)


class Endings:
    """The ends of all open streams."""

    def __init__(self) -> None:
        self._open: set[Ending] = set()
        self._is_over = False

    @contextlib.contextmanager
    def one(self) -> Iterator[Ending]:
        """Register a stream for as long as the block runs.

        Raises NotReadyError once all streams are ended: one that began would end at once, and its reader come back at
        once, again and again until the server is gone.
        """
        if self._is_over:
            raise NotReadyError("monitord is shutting down: come back in a moment with the last cursor")
        ending = Ending()
        self._open.add(ending)
        try:
            yield ending
        finally:
            self._open.remove(ending)

    def end_all(self, reason: TailEndReason) -> None:
        """End every stream, and let no other begin."""
        self._is_over = True
        for ending in self._open:
            ending.end(reason)
