"""What the database says of credentials, remembered for a few seconds so that a call costs no query."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from monitord.domain.errors import ResourceExhaustedError

TTL_S = 10.0
"""How long a revocation by another process may go unnoticed; one by this process is noticed at once."""
_SIZE = 10_000
_STRANGERS_AT_ONCE = 2
_STRANGERS_WAITING = 256

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class CredentialCache(Generic[K, V]):
    """Remembers what ``load`` returned, for ``ttl_s`` seconds, for the ``size`` keys that were used last (I16).

    None, which says that there is no such credential, is not remembered. Keys that are not known yet are looked up a
    few at a time, and too many raise ResourceExhaustedError: a flood of invented keys neither fills the database's
    connections nor holds up those who are known.
    """

    def __init__(
        self,
        load: Callable[[K], Awaitable[V | None]],
        *,
        clock: Callable[[], float],
        ttl_s: float = TTL_S,
        size: int = _SIZE,
    ) -> None:
        self._load = load
        self._clock = clock
        self._ttl_s = ttl_s
        self._size = size
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._generation = 0
        self._locks: WeakValueDictionary[K, asyncio.Lock] = WeakValueDictionary()
        self._strangers = asyncio.Semaphore(_STRANGERS_AT_ONCE)
        self._waiting = 0

    async def get(self, key: K) -> V | None:
        """Return what the database says of the key, or said at most ``ttl_s`` ago."""
        if (fresh := self._fresh(key)) is not None:
            return fresh
        # One query for all who ask for the same key; a lock goes when the last of them does.
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            if (fresh := self._fresh(key)) is not None:
                return fresh
            if key in self._entries:
                return await self._reload(key)
            return await self._look_up_stranger(key)

    def last_known(self, key: K) -> V | None:
        """Return what was known last, however old; None when nothing is."""
        entry = self._entries.get(key)
        return None if entry is None else entry[1]

    def forget(self, key: K) -> None:
        """Make the next call ask the database; what a query that is under way brings back is not remembered."""
        self._generation += 1
        self._entries.pop(key, None)

    def forget_where(self, matches: Callable[[K, V], bool]) -> None:
        """Forget each key that matches, with what is known of it, as ``forget`` does."""
        self._generation += 1
        for key in [key for key, (_, state) in self._entries.items() if matches(key, state)]:
            del self._entries[key]

    def _fresh(self, key: K) -> V | None:
        entry = self._entries.get(key)
        if entry is None or self._clock() >= entry[0]:
            return None
        self._entries.move_to_end(key)
        return entry[1]

    async def _look_up_stranger(self, key: K) -> V | None:
        if self._waiting >= _STRANGERS_WAITING:
            raise ResourceExhaustedError("Too many unknown credentials at the moment: try again.", retry_after_s=1.0)
        self._waiting += 1
        try:
            async with self._strangers:
                return await self._reload(key)
        finally:
            self._waiting -= 1

    async def _reload(self, key: K) -> V | None:
        generation, asked_at = self._generation, self._clock()
        value = await self._load(key)
        if value is None:
            self._entries.pop(key, None)
        elif generation == self._generation:
            self._entries[key] = (asked_at + self._ttl_s, value)
            self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)
        return value
