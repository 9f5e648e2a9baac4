"""The one deadline of a check."""

import asyncio
from typing import TypeVar

T = TypeVar("T")

LATE_S = 0.25
"""A deadline noticed later than this was missed by us, not by the target (I9)."""


class Deadline:
    """Ends whatever a check waits for at one moment, whichever of its phases that falls into.

    One timer for the whole check, armed once: a timer, a task and an exception for each await would cost more than a
    plain check does.
    """

    __slots__ = ("_handle", "_loop", "_waiter", "at", "expired", "late")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self.at = loop.time() + timeout_s
        """On the loop's clock, in seconds."""
        self.expired = False
        self.late = False
        """It passed unnoticed for so long that our own loop is to blame."""
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._handle = loop.call_at(self.at, self._expire)

    async def wait(self, waiter: "asyncio.Future[None]") -> bool:
        """Wait for ``waiter`` and return True, or False if the deadline came first (``waiter`` is then done too)."""
        if self.expired:
            return False
        self._waiter = waiter
        try:
            await waiter
        finally:
            self._waiter = None
        return not self.expired

    def close(self) -> None:
        """Disarm the timer. Safe to call twice."""
        self._handle.cancel()

    def _expire(self) -> None:
        self.expired = True
        self.late = self._loop.time() - self.at > LATE_S
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
