"""Hints from other processes that the stored monitors changed. A hint only says "look": losing one delays, no more."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from monitord.domain.errors import DomainError
from monitord.storage.database import connect, disconnect, unavailable_when_away
from monitord.storage.monitor_writes import CHANNEL

_log = structlog.get_logger(__name__)

_RETRY_S = 5.0
_PROBE_S = 30.0


class Hints:
    """Listens on a connection of its own: a pool would hand a listening connection to others."""

    def __init__(self, dsn: str, heard: Callable[[], None]) -> None:
        self._dsn = dsn
        self._heard = heard

    async def run(self) -> None:
        """Call ``heard`` for each hint, and after each reconnect, since hints may have been missed."""
        while True:
            with contextlib.suppress(DomainError), unavailable_when_away():
                await self._listen()
            await asyncio.sleep(_RETRY_S)

    async def _listen(self) -> None:
        connection = await connect(self._dsn)
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, lambda *_: self._heard())
            self._heard()
            while not lost.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PROBE_S):
                        await lost.wait()
                if not lost.is_set():
                    # A server that vanished without a word closes nothing: asking is the only way to notice.
                    await connection.execute("SELECT 1", timeout=_RETRY_S)
            _log.info("connection for hints lost")
        finally:
            await disconnect(connection)
