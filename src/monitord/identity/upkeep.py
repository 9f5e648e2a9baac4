"""What identity writes in the background: when keys were last used, and the end of sessions that are long over."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from monitord.domain.errors import UnavailableError
from monitord.domain.instant import DAY, MINUTE, Instant

PERIOD_S = 60.0
SESSIONS_KEPT_US = 30 * DAY

log = structlog.get_logger()


class UpkeepStore(Protocol):
    """What upkeep writes to."""

    async def record_key_use(self, last_used: Mapping[str, Instant]) -> None:
        """Store when each key was last used, unless a later use is stored."""
        ...

    async def purge_sessions(self, over_before: Instant) -> int:
        """Delete sessions that were ended, or had expired, before that moment; return how many."""
        ...


class Upkeep:
    """Writes once a minute, so that a call with an API key costs no write. Loses at most that minute to a crash."""

    def __init__(self, store: UpkeepStore, *, now: Callable[[], Instant]) -> None:
        self._store = store
        self._now = now
        self._used: dict[str, Instant] = {}
        self._purge_at: Instant = 0

    def note_use(self, key_id: str) -> None:
        """Remember that a key that exists was used now, to the minute."""
        self._used[key_id] = self._now() // MINUTE * MINUTE

    async def run(self) -> None:
        """Write every minute until cancelled; what the database can't take now is written the next time."""
        while True:
            await asyncio.sleep(PERIOD_S)
            try:
                await self.flush()
                await self._purge()
            except UnavailableError as error:
                log.info("identity upkeep is put off", reason=error.message)

    async def flush(self) -> None:
        """Write what is remembered: at shutdown too. Raises UnavailableError, and goes on remembering."""
        used, self._used = self._used, {}
        if not used:
            return
        written = False
        try:
            await self._store.record_key_use(used)
            written = True
        finally:
            if not written:
                # Uses noted meanwhile are the later ones.
                self._used = used | self._used

    async def _purge(self) -> None:
        now = self._now()
        if now < self._purge_at:
            return
        await self._store.purge_sessions(now - SESSIONS_KEPT_US)
        self._purge_at = now + DAY
