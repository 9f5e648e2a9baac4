"""Whether monitord can do its work now, and if not, why (I19)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import msgspec
import structlog

Condition: TypeAlias = Callable[[], Awaitable[str | None]]
"""Returns None when all is well, else a sentence that says what is not."""

KEEP_S = 1.0
"""How long a good answer is good for: whoever asks more often costs the database nothing."""

KEEP_UNREADY_S = 0.1
"""How long a bad one is: whoever waits for monitord to be ready should not wait for us to look again."""

LIMIT_S = 2.0
"""How long a condition may take to be found out; slower is not well."""

_log = structlog.get_logger(__name__)


class Report(msgspec.Struct, frozen=True):
    """The answer, as `/readyz` shows it."""

    ready: bool
    conditions: dict[str, str]
    """``ok``, or what is wrong."""


class Readiness:
    """Asks every condition, all at once and not too often."""

    def __init__(self, conditions: Mapping[str, Condition]) -> None:
        self._conditions = dict(conditions)
        self._lock = asyncio.Lock()
        self._report: Report | None = None
        self._asked_at = 0.0
        self._draining = False

    def drain(self) -> None:
        """Answer from now on that monitord is stopping: the first step of a shutdown."""
        self._draining = True

    async def report(self) -> Report:
        """Return what holds now, or did at most a second ago."""
        if self._draining:
            return Report(ready=False, conditions={"process": "shutting down"})
        loop = asyncio.get_running_loop()
        async with self._lock:
            if self._report is None or loop.time() - self._asked_at >= _good_for_s(self._report):
                self._report = await self._ask()
                self._asked_at = loop.time()
            return self._report

    async def is_ready(self) -> bool:
        """Return whether all conditions hold."""
        return (await self.report()).ready

    async def _ask(self) -> Report:
        reasons = await asyncio.gather(*(self._reason(name) for name in self._conditions))
        told = dict(zip(self._conditions, reasons, strict=True))
        return Report(
            ready=not any(reasons),
            conditions={name: reason or "ok" for name, reason in told.items()},
        )

    async def _reason(self, name: str) -> str | None:
        try:
            async with asyncio.timeout(LIMIT_S):
                return await self._conditions[name]()
        except TimeoutError:
            return f"no answer within {LIMIT_S:g} s"
        except Exception:  # the guard: a condition that fails is a condition that does not hold
            _log.exception("readiness condition failed", condition=name)
            return "could not be found out"


def _good_for_s(report: Report) -> float:
    return KEEP_S if report.ready else KEEP_UNREADY_S
