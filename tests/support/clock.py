"""A clock whose wall time a test can set, over the time of a virtual loop."""

import asyncio

from monitord.domain.instant import SECOND, Instant

EPOCH: Instant = 1_800_000_000 * SECOND
"""The wall clock's time when the loop's is 0."""


class VirtualClock:
    tick_s = 0.0

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._offset: int = EPOCH

    def monotonic(self) -> float:
        return self._loop.time()

    def now(self) -> Instant:
        return self._offset + round(self._loop.time() * SECOND)

    def step(self, seconds: float) -> None:
        """Set the wall clock; a sleep of the machine looks the same (its monotonic clock stands still)."""
        self._offset += round(seconds * SECOND)

    def since_epoch(self, instant: Instant) -> float:
        """Return an instant in seconds after EPOCH: for readable asserts."""
        return (instant - EPOCH) / SECOND


class HandClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s
