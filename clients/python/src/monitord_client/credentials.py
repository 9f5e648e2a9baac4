"""What a call proves its caller with: a key, or the tokens of a login that renew themselves."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from monitord_client.errors import UnauthenticatedError
from monitord_client.v1.auth_service_pb2 import TokenPair

_EARLY_S = 60.0
"""Renew when less than this is left: a call must not be under way when its token expires."""

Refresh = Callable[[str], Awaitable[TokenPair]]
"""Exchanges a refresh token for the next pair."""


class Credentials(Protocol):
    """Where the ``authorization`` of each call comes from."""

    async def bearer(self, refresh: Refresh) -> str | None:
        """Return the token to send; None to send none."""

    async def renew(self, rejected: str | None, refresh: Refresh) -> bool:
        """Get past the server's refusal of a token; return whether another attempt may help."""

    async def settle(self) -> None:
        """Finish what must not be cut off before the channel closes."""


class StaticKey:
    """An API key: it never changes, and a refusal is final."""

    def __init__(self, key: str | None) -> None:
        """Take the key as monitord showed it; None sends no proof at all.

        Raises ValueError for a text that cannot be a key.
        """
        if key is not None and (not key or not key.isascii() or not key.isprintable() or " " in key):
            raise ValueError("the API key is empty, or has characters that no key has")
        self._key = key

    async def bearer(self, refresh: Refresh) -> str | None:
        """Return the key."""
        return self._key

    async def renew(self, rejected: str | None, refresh: Refresh) -> bool:
        """Return False: there is nothing to renew."""
        return False

    async def settle(self) -> None:
        """Return: nothing is ever under way."""


class TokenStore(Protocol):
    """Where a session's tokens are kept, perhaps shared with other processes."""

    async def load(self) -> TokenPair | None:
        """Return the newest tokens; None when there is no session (any more)."""

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Keep everybody else from renewing: each refresh token works once, and a second use ends the session."""

    async def save(self, tokens: TokenPair | None) -> None:
        """Keep new tokens; None forgets the session."""


class MemoryStore:
    """A session of this process alone."""

    def __init__(self, tokens: TokenPair | None = None) -> None:
        self._tokens = tokens
        self._lock = asyncio.Lock()

    async def load(self) -> TokenPair | None:
        """Return the tokens."""
        return self._tokens

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Let one task at a time renew."""
        async with self._lock:
            yield

    async def save(self, tokens: TokenPair | None) -> None:
        """Keep the tokens for as long as the process lives."""
        self._tokens = tokens


class Session:
    """A login: sends the access token, and renews it shortly before it expires or when it is refused."""

    def __init__(self, store: TokenStore, *, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now
        self._renewals: set[asyncio.Task[bool]] = set()

    async def bearer(self, refresh: Refresh) -> str | None:
        """Return a token with some life left, renewing it first if need be.

        Raises UnauthenticatedError when the session is over: only a new login helps.
        """
        tokens = await self._store.load()
        if tokens is not None and not self._fresh(tokens):
            await self.renew(tokens.access_token, refresh)
            tokens = await self._store.load()
        return tokens.access_token if tokens is not None else None

    async def renew(self, rejected: str | None, refresh: Refresh) -> bool:
        """Exchange the refresh token, unless another task or process already did; return whether that helped.

        A caller who gives up in the middle does not stop it: the only copy of the next token would be lost.
        """
        renewal = asyncio.create_task(self._renew(rejected, refresh))
        self._renewals.add(renewal)
        renewal.add_done_callback(self._renewals.discard)
        renewal.add_done_callback(_look)
        return await asyncio.shield(renewal)

    async def settle(self) -> None:
        """Wait for renewals under way, so that their tokens are kept."""
        if self._renewals:
            await asyncio.wait(self._renewals)

    async def _renew(self, rejected: str | None, refresh: Refresh) -> bool:
        async with self._store.exclusive():
            tokens = await self._store.load()
            if tokens is None:
                return False
            if tokens.access_token != rejected and self._fresh(tokens):
                return True
            try:
                await self._store.save(await refresh(tokens.refresh_token))
            except UnauthenticatedError:
                await self._store.save(None)
                raise
            return True

    def _fresh(self, tokens: TokenPair) -> bool:
        return tokens.access_token_expire_time.ToMicroseconds() / 1e6 - self._now() > _EARLY_S


def _look(renewal: asyncio.Task[bool]) -> None:
    # Whoever waited has seen the exception; where nobody waited any more, nobody needs to.
    if not renewal.cancelled():
        renewal.exception()
