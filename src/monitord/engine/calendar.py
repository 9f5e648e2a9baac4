"""Which maintenance windows are open, in memory: asked with every check, so it must cost next to nothing."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Protocol

import structlog

from monitord.domain.errors import UnavailableError
from monitord.domain.instant import Instant
from monitord.domain.maintenance import MaintenanceWindow, Span, covers, span_at
from monitord.domain.monitor import Monitor

log = structlog.get_logger(__name__)

_NEVER_LOOKED = Span(1, 0, False)


class WindowSource(Protocol):
    """Where the windows are stored."""

    async def all(self) -> Sequence[MaintenanceWindow]:
        """Return every active window."""


class _Known:
    """A window, and what holds of it now."""

    __slots__ = ("span", "window")

    def __init__(self, window: MaintenanceWindow) -> None:
        self.window = window
        self.span = _NEVER_LOOKED

    def is_open(self, moment: Instant) -> bool:
        span = self.span
        if not span.since <= moment < span.until:
            span = self.span = span_at(self.window.spec, moment)
        return span.is_open


class Calendar:
    """Knows the windows as last read; reads them again on each hint, and every ``period_s`` regardless.

    With the store away the last known ones hold: they are part of what was asked for.
    """

    def __init__(self, source: WindowSource, *, period_s: float = 30.0, spacing_s: float = 0.5) -> None:
        self._source = source
        self._period_s = period_s
        self._spacing_s = spacing_s
        self._by_org: dict[int, list[_Known]] = {}
        self._wake = asyncio.Event()

    def covers(self, monitor: Monitor, moment: Instant) -> bool:
        """Return whether a window of this monitor is open at a moment."""
        known = self._by_org.get(monitor.org_id)
        if known is None:
            return False
        return any(each.is_open(moment) and covers(each.window.spec, monitor) for each in known)

    def poke(self) -> None:
        """Read the windows again soon."""
        self._wake.set()

    async def run(self) -> None:
        """Keep up with what is stored, until cancelled."""
        while True:
            with contextlib.suppress(UnavailableError):
                self.know(await self._source.all())
            await asyncio.sleep(self._spacing_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._period_s):
                    await self._wake.wait()
            self._wake.clear()

    def know(self, windows: Sequence[MaintenanceWindow]) -> None:
        """Take the whole set. What has not changed keeps what was found out about it."""
        before = {(each.window.org_id, each.window.id): each for known in self._by_org.values() for each in known}
        by_org: dict[int, list[_Known]] = {}
        for window in windows:
            known = before.get((window.org_id, window.id))
            if known is None or known.window.version != window.version:
                known = _Known(window)
            by_org.setdefault(window.org_id, []).append(known)
        self._by_org = by_org
