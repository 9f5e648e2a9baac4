"""What the handlers ask of the engine, and how long they wait for it."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog

from monitord.domain.check import Observation
from monitord.domain.instant import Instant
from monitord.domain.kinds import Check
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Monitor
from monitord.rpc.errors import DeadlineExceededError

SETTLE_S = 2.0
"""How long a write waits for the engine to act on it before it is acknowledged all the same (I13)."""
STOP_S = 8.0
"""How long a deletion waits until no further check can start; it can't be acknowledged before that."""
ANSWER_SLACK_S = 5.0
"""How long beyond its own limits a check that someone asked for may wait for the gate and for the store."""

_log = structlog.get_logger(__name__)


class Reconciler(Protocol):
    """Makes the engine act on what is stored."""

    async def settle(self, monitor_id: int, version: int | None) -> None:
        """Return once the engine acts on this version of a monitor, or a newer one; None: once the monitor is gone."""
        ...


class Supervisor(Protocol):
    """Runs the checks."""

    async def check_now(self, monitor: Monitor) -> LogEntry:
        """Check a monitor once, outside its schedule, and return the stored row. It may be paused."""
        ...


class Trial(msgspec.Struct, frozen=True):
    """What a check of an unsaved configuration gave."""

    started_at: Instant
    duration_ms: float
    observation: Observation


class Tester(Protocol):
    """Checks what is not stored."""

    async def test(self, check: Check, timeout_s: float) -> tuple[Instant, float, Observation]:
        """Check once, through the gate; return when it began, how many milliseconds it took, and what was seen."""
        ...


class Engine:
    """The engine as the handlers see it: each wait has an end."""

    def __init__(self, reconciler: Reconciler, supervisor: Supervisor, tester: Tester) -> None:
        self._reconciler = reconciler
        self._supervisor = supervisor
        self._tester = tester

    async def acts_on(self, versions: Sequence[tuple[int, int | None]]) -> None:
        """Wait for a short while until the engine acts on these versions of monitors; None: until it left them alone.

        The change is committed: should the engine be late, it acts on it all the same, and the caller need not know.
        """
        try:
            async with asyncio.timeout(SETTLE_S):
                late = await asyncio.gather(
                    *(self._reconciler.settle(monitor_id, version) for monitor_id, version in versions),
                    return_exceptions=True,
                )
        except TimeoutError:
            _log.warning("rpc.engine_late", monitors=len(versions), waited_s=SETTLE_S)
            return
        for error in late:
            if isinstance(error, BaseException):
                _log.warning("rpc.engine_late", error=str(error))

    async def let_go(self, *monitor_ids: int) -> None:
        """Wait until no further check of deleted monitors can start (I13); raise DeadlineExceededError if one can."""
        try:
            async with asyncio.timeout(STOP_S):
                await asyncio.gather(*(self._reconciler.settle(monitor_id, None) for monitor_id in monitor_ids))
        except TimeoutError:
            raise DeadlineExceededError(
                "what you asked for is deleted, but a check may still be under way", id=str(monitor_ids[0])
            ) from None

    async def check_now(self, monitor: Monitor) -> LogEntry:
        """Check a monitor and return the stored row; raise DeadlineExceededError if that takes too long."""
        # A check that is under way ends first.
        limit_s = 2 * monitor.spec.timeout_ms / 1000 + ANSWER_SLACK_S
        try:
            async with asyncio.timeout(limit_s):
                return await self._supervisor.check_now(monitor)
        except TimeoutError:
            raise DeadlineExceededError(
                f"no result was stored within {limit_s:g} s: monitord is overloaded, or its database is away"
            ) from None

    async def test(self, check: Check, timeout_ms: int) -> Trial:
        """Check what is not stored; raise DeadlineExceededError if that takes too long."""
        limit_s = timeout_ms / 1000 + ANSWER_SLACK_S
        try:
            async with asyncio.timeout(limit_s):
                return Trial(*await self._tester.test(check, timeout_ms / 1000))
        except TimeoutError:
            raise DeadlineExceededError(f"no result within {limit_s:g} s: monitord is overloaded") from None
