"""A sign of life that Postgres sees: a lock that goes with the connection of the process that holds it.

When a process is killed its connections end at once, and with them its lock: whoever comes next knows that what it had
claimed is free (``storage.orphans``), and needs no lease to run out.
"""

import asyncio
import contextlib
import secrets
from typing import Final

import structlog

from monitord.domain.errors import DomainError
from monitord.storage.database import connect, disconnect, unavailable_when_away

CLAIMANTS: Final = 0x6D6F_6E63
"""First key of the advisory locks: the bytes of "monc". The second is the claimant's number."""

HOLD = "SELECT pg_try_advisory_lock($1, $2)"

_RETRY_S = 1.0
_PROBE_S = 30.0

_log = structlog.get_logger(__name__)


class Claimant:
    """Holds the lock, on a connection of its own: a pool's come and go."""

    def __init__(self, dsn: str) -> None:
        self.number: Final = secrets.randbelow(2**31 - 1) + 1
        """Of this process; another one's is different, but for one chance in two thousand millions."""
        self._dsn = dsn
        self._held = asyncio.Event()

    @property
    def standing(self) -> int | None:
        """The number while the lock is held: what is to stand beside a claim. None: a lease has to do."""
        return self.number if self._held.is_set() else None

    async def held(self, within_s: float) -> None:
        """Return once the lock is held, or after so many seconds without it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._held.wait()

    async def run(self) -> None:
        """Hold the lock until cancelled; with the connection lost, take it again."""
        while True:
            with contextlib.suppress(DomainError), unavailable_when_away():
                await self._hold()
            await asyncio.sleep(_RETRY_S)

    async def _hold(self) -> None:
        connection = await connect(self._dsn)
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            if not await connection.fetchval(HOLD, CLAIMANTS, self.number):
                return  # a session of ours that Postgres has not yet seen end
            self._held.set()
            while not lost.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PROBE_S):
                        await lost.wait()
                if not lost.is_set():
                    # A server that vanished without a word closes nothing: asking is the only way to notice.
                    await connection.execute("SELECT 1", timeout=_RETRY_S)
            _log.info("sign_of_life_lost", reason="the connection ended")
        finally:
            self._held.clear()
            await disconnect(connection)
