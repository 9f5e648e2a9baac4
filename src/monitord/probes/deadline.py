"""The one deadline of a check."""

import asyncio

LATE_S = 0.25
"""A deadline noticed later than this was missed by us, not by the target (I9)."""
TICK_S = 0.02
"""Deadlines are kept in steps of this size, rounded up."""


class Deadline:
    """Ends whatever a check waits for at one moment, whichever of its phases that falls into."""

    __slots__ = ("_bucket", "_others", "_waiter", "expired", "late")

    def __init__(self, bucket: "_Bucket") -> None:
        self.expired = False
        self.late = False
        """It passed unnoticed for so long that our own loop is to blame."""
        self._bucket = bucket
        self._waiter: asyncio.Future[None] | None = None
        self._others: list[asyncio.Future[None]] = []
        """Of those who wait at the same time as ``_waiter``: few checks do two things at once."""

    async def wait(self, waiter: "asyncio.Future[None]") -> bool:
        """Wait for ``waiter`` and return True, or False if the deadline came first (``waiter`` is then done too)."""
        if self.expired:
            return False
        if self._waiter is not None:
            return await self._wait_beside(waiter)
        self._waiter = waiter
        try:
            await waiter
        finally:
            self._waiter = None
        return not self.expired

    async def _wait_beside(self, waiter: "asyncio.Future[None]") -> bool:
        self._others.append(waiter)
        try:
            await waiter
        finally:
            self._others.remove(waiter)
        return not self.expired

    def close(self) -> None:
        """Disarm it. Safe to call twice."""
        self._bucket.discard(self)

    def expire(self, late: bool) -> None:
        """End what is being waited for."""
        self.expired = True
        self.late = late
        for waiter in (self._waiter, *self._others):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)


class _Bucket:
    """The deadlines of one tick, and the timer they share."""

    __slots__ = ("_buckets", "_loop", "_members", "_tick", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, buckets: "dict[int, _Bucket]", tick: int) -> None:
        self._loop = loop
        self._buckets = buckets
        self._tick = tick
        self._members: set[Deadline] = set()
        self._timer = loop.call_at(tick * TICK_S, self._expire)

    def add(self) -> Deadline:
        deadline = Deadline(self)
        self._members.add(deadline)
        return deadline

    def discard(self, deadline: Deadline) -> None:
        self._members.discard(deadline)
        if not self._members and self._buckets.get(self._tick) is self:
            del self._buckets[self._tick]
            self._timer.cancel()

    def _expire(self) -> None:
        self._buckets.pop(self._tick, None)
        late = self._loop.time() - self._tick * TICK_S > LATE_S
        members, self._members = self._members, set()
        for deadline in members:
            deadline.expire(late)


class Deadlines:
    """Arms deadlines. Checks that end within the same tick share a timer: one each would cost as much as a read."""

    def __init__(self) -> None:
        self._buckets: dict[int, _Bucket] = {}

    def start(self, timeout_s: float) -> Deadline:
        """Return a deadline ``timeout_s`` from now, or up to one tick later; ``close`` it after use."""
        loop = asyncio.get_running_loop()
        tick = int((loop.time() + timeout_s) / TICK_S) + 1
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = _Bucket(loop, self._buckets, tick)
        return bucket.add()
