"""The gate that bounds checks in flight, in all and per host."""

import asyncio
import heapq
from collections import OrderedDict


class Gate:
    """Admits at most ``limit`` holders in all and ``per_host`` for each host; the rest wait, first come, first served.

    Only those whose host has room compete for a free place, so hosts that are slow hold up nobody else (I11).

    Two things hold between calls, and make the fast path right: while a place is free, nobody waits whose
    host has room; and a host with free room has waiters only while no place is free.
    """

    def __init__(self, limit: int, per_host: int) -> None:
        self._limit = limit
        self._per_host = per_host
        self._held: dict[str, int] = {}
        self._queues: dict[str, OrderedDict[asyncio.Future[None], int]] = {}
        self._ready: list[tuple[int, str]] = []
        """A heap of (number of the first in its queue, host) for hosts with room; may hold outdated entries."""
        self._arrivals = 0
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return sum(map(len, self._queues.values()))

    def try_enter(self, host: str) -> bool:
        """Take a place if one is free; never waits, and overtakes nobody who could have had it."""
        held = self._held.get(host, 0)
        if self.in_flight >= self._limit or held >= self._per_host:
            return False
        self.in_flight += 1
        self._held[host] = held + 1
        return True

    async def enter(self, host: str) -> None:
        """Wait for a place and take it. If cancelled, none is taken."""
        if self.try_enter(host):
            return
        place = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        queue = self._queues.setdefault(host, OrderedDict())
        queue[place] = self._arrivals
        if len(queue) == 1:
            self._offer(host)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                self._withdraw(host, place)
            else:
                self.leave(host)  # it was granted in the turn of the loop that cancelled us
            raise

    def leave(self, host: str) -> None:
        """Give a place back."""
        held = self._held[host] - 1
        if held:
            self._held[host] = held
        else:
            del self._held[host]
        self.in_flight -= 1
        if self._queues:
            self._offer(host)
            self._grant()

    def _offer(self, host: str) -> None:
        """Let the first in a host's queue compete for a place, if the host has room."""
        queue = self._queues.get(host)
        if queue and self._held.get(host, 0) < self._per_host:
            heapq.heappush(self._ready, (next(iter(queue.values())), host))

    def _grant(self) -> None:
        while self._ready and self.in_flight < self._limit:
            number, host = heapq.heappop(self._ready)
            queue = self._queues.get(host)
            if not queue or next(iter(queue.values())) != number or self._held.get(host, 0) >= self._per_host:
                continue
            place, _ = queue.popitem(last=False)
            if not queue:
                del self._queues[host]
            if not place.cancelled():
                self.in_flight += 1
                self._held[host] = self._held.get(host, 0) + 1
                place.set_result(None)
            self._offer(host)

    def _withdraw(self, host: str, place: "asyncio.Future[None]") -> None:
        queue = self._queues.get(host)
        if queue is None or place not in queue:
            return  # _grant passed over it before its task could run
        was_first = next(iter(queue)) is place
        del queue[place]
        if not queue:
            del self._queues[host]
        elif was_first:
            self._offer(host)
