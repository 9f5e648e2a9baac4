"""The two clocks of the engine, and the watch over both.

Slots lie on the wall clock; durations come from the monotonic clock alone (I18). The two may part: someone sets the
clock, or the machine sleeps, during which the monotonic clock of Linux and macOS stands still.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from monitord.domain.instant import MINUTE, SECOND, Instant, Micros

log = structlog.get_logger(__name__)

STEP: Micros = SECOND // 2
"""The wall clock's offset from the monotonic one must change by this much before it is a step and not a slew."""


class Clock(Protocol):
    """What time it is."""

    @property
    def tick_s(self) -> float:
        """By how much the loop's timers may fire early; a wait is longer by this, so that none wakes too soon."""

    def monotonic(self) -> float:
        """Return seconds on the clock of the event loop, which only goes forward."""

    def now(self) -> Instant:
        """Return the wall clock's time, which may jump both ways."""


class SystemClock:
    """The machine's clocks.

    ``loop.time()`` of uvloop is the same clock as ``time.monotonic()``, but in whole milliseconds and as of the
    beginning of the loop's turn: too coarse for durations. Its timers round to the nearest millisecond and
    count from a truncated one, so they fire up to 1.5 ms early.
    """

    tick_s = 0.0015
    monotonic = staticmethod(time.monotonic)

    def now(self) -> Instant:
        """Return the wall clock's time."""
        return time.time_ns() // 1000


class ClockWatch:
    """Notices steps of the wall clock, sleeps of the machine, and stalls of our own event loop.

    ``on_step`` is awaited after each step; ``on_lag`` gets the longest lateness of the loop, in seconds, about
    once a second.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        on_step: Callable[[], Awaitable[None]],
        on_lag: Callable[[float], None],
        tick_s: float = 0.1,
    ) -> None:
        self._clock = clock
        self._on_step = on_step
        self._on_lag = on_lag
        self._tick_s = tick_s
        self._stalls: deque[tuple[float, float]] = deque(maxlen=256)

    async def run(self) -> None:
        """Watch until cancelled."""
        offset = self._offset()
        worst_s = 0.0
        report_at = self._clock.monotonic() + 1.0
        while True:
            expected = self._clock.monotonic() + self._tick_s
            await asyncio.sleep(self._tick_s)
            mono = self._clock.monotonic()
            lag_s = max(0.0, mono - expected)
            worst_s = max(worst_s, lag_s)
            if lag_s >= self._tick_s:
                self._stalls.append((mono, lag_s))
            if mono >= report_at:
                self._on_lag(worst_s)
                worst_s, report_at = 0.0, mono + 1.0
            shift = self._offset() - offset
            if abs(shift) > STEP:
                offset += shift
                log.warning("clock_stepped", by_s=shift / SECOND, meaning=_meaning(shift))
                await self._on_step()

    def stalled_since(self, mono: float) -> float:
        """Return the longest stall of the loop, in seconds, that ended after ``mono``; 0.0 when there was none.

        A timer that was due in a stall runs in the order of its moment, ours too: whoever is woken late by more
        than a tick finds the stall noted here.
        """
        return max((lag_s for ended, lag_s in self._stalls if ended > mono), default=0.0)

    def _offset(self) -> Micros:
        return self._clock.now() - round(self._clock.monotonic() * SECOND)


def _meaning(shift: Micros) -> str:
    if shift < 0:
        return "the clock was set back; slots already checked are not checked again"
    if shift < MINUTE:
        return "the clock was set forward, or the machine slept"
    return "the clock was set forward, or the machine slept; missed slots are recorded as gaps"
