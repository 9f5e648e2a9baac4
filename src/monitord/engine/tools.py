"""What all actors share."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from monitord.domain.check import CheckResult, Gap
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Assignment, Monitor
from monitord.engine.checker import Checker
from monitord.engine.clock import Clock


class Recorder(Protocol):
    """Keeps what the actors find. Only ``record_and_wait`` and ``park`` may wait, or fail."""

    def adopt(self, assignment: Assignment) -> None:
        """Begin, or replace, what is known of a monitor."""

    def forget(self, monitor_id: int) -> None:
        """Drop what is known of a monitor that runs no more."""

    def record(self, result: CheckResult) -> None:
        """Take a result for the log; never blocks."""

    async def record_and_wait(self, result: CheckResult) -> LogEntry:
        """Take a result and return its row once it is committed."""

    def record_gap(self, gap: Gap) -> None:
        """Take the record of slots that went unchecked; never blocks."""

    async def park(self, monitor: Monitor, message: str) -> None:
        """Make the monitor FAULTED, durably, and alert."""


class Meter(Protocol):
    """Counts what happens, in memory."""

    def observe(self, result: CheckResult) -> None:
        """Count a check."""

    def lag(self, seconds: float) -> None:
        """Note how long after its slot a scheduled check began."""

    def restarted(self) -> None:
        """Count the restart of a crashed actor."""


class Tools:
    """One instance for all actors of a supervisor."""

    __slots__ = ("answer", "backoff", "checker", "clock", "closed", "loop", "meter", "recorder", "since")

    def __init__(
        self,
        *,
        checker: Checker,
        recorder: Recorder,
        meter: Meter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        answer: Callable[[CheckResult, Sequence[asyncio.Future[LogEntry]]], None],
        backoff: Callable[[int], float],
    ) -> None:
        self.checker = checker
        self.recorder = recorder
        self.meter = meter
        self.clock = clock
        self.loop = loop
        self.answer = answer
        """Stores a result, then gives its row to those who asked for it."""
        self.backoff = backoff
        """From the number of crashes in a row to the seconds to wait before the next start."""
        self.since = clock.now()
        """Slots before this fell into a time when monitord was not running."""
        self.closed = False
        """Set at shutdown: no check begins from then on."""
