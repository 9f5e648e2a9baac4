"""Follows incidents: pulled from the table of their events, which is the queue; a commit only wakes the readers."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from monitord.domain.incident import EventPosition, Incident, IncidentEvent, IncidentEventKind

HEARTBEAT_S = 15.0
LOOK_S = 1.0
"""How often to look in any case: what another process committed, or what an older transaction held back."""
_PAGE = 100


class Store(Protocol):
    """Where the events are; see ``storage.incidents``."""

    async def standing(self, org_id: int) -> tuple[EventPosition, Sequence[Incident]]:
        """Return the incidents that go on, and the position from which on events are news."""
        ...

    async def events(self, org_id: int, after: EventPosition, limit: int) -> Sequence[IncidentEvent]:
        """Return at most ``limit`` events behind a position, in order."""
        ...


class IncidentFeed:
    """Yields events to readers, each at its own pace."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._news = asyncio.Event()

    def poke(self) -> None:
        """Let every reader look at once: something was committed."""
        self._news.set()
        self._news = asyncio.Event()

    async def watch(self, org_id: int, after: EventPosition | None) -> AsyncGenerator[IncidentEvent, None]:
        """Yield what happens behind a position; None: what goes on at the moment first, as if it had just begun.

        Without news an event of no kind comes every 15 s. Raises UnavailableError when the database is away.
        """
        if after is None:
            after, standing = await self._store.standing(org_id)
            for incident in standing:
                yield IncidentEvent(position=None, kind=IncidentEventKind.OPENED, incident=incident)
            yield IncidentEvent(position=after)
        loop = asyncio.get_running_loop()
        told_at = loop.time()
        while True:
            news = self._news
            events = await self._store.events(org_id, after, _PAGE)
            for event in events:
                after, told_at = event.position or after, loop.time()
                yield event
            if events:
                continue
            if loop.time() - told_at >= HEARTBEAT_S:
                told_at = loop.time()
                yield IncidentEvent(position=after)
            try:
                async with asyncio.timeout(LOOK_S):
                    await news.wait()
            except TimeoutError:
                continue
