"""Looks, again and again, for alerts that follow from no change of status."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from monitord.domain.errors import UnavailableError
from monitord.domain.instant import Instant

SLOWNESS_S = 15.0
CERTIFICATES_S = 300.0
"""How often it looks; the first time after ``SLOWNESS_S``."""

_log = structlog.get_logger(__name__)


class StandingAlerts(Protocol):
    """Makes them; see ``storage.standing_alerts``."""

    async def slowness(self, now: Instant) -> int:
        """Make alerts of slowness, and of its end; return how many."""
        ...

    async def certificates(self, now: Instant) -> int:
        """Make alerts of certificates; return how many."""
        ...


class Lookout:
    """Runs for as long as the process does."""

    def __init__(self, alerts: StandingAlerts, *, now: Callable[[], Instant], found: Callable[[], None]) -> None:
        """``found`` is told when there is something to send."""
        self._alerts = alerts
        self._now = now
        self._found = found

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._again(self._alerts.slowness, SLOWNESS_S))
            tasks.create_task(self._again(self._alerts.certificates, CERTIFICATES_S))

    async def _again(self, look: Callable[[Instant], Awaitable[int]], every_s: float) -> None:
        await asyncio.sleep(SLOWNESS_S)
        while True:
            try:
                if await look(self._now()):
                    self._found()
            except UnavailableError as error:  # nothing is lost: the next look finds the same
                _log.debug("lookout_waits", reason=error.message)
            await asyncio.sleep(every_s)
