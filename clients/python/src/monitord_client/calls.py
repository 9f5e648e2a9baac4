"""How every call is made: proof of the caller, one deadline over all attempts, typed errors, safe retries."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import grpc

from monitord_client.backoff import Backoff
from monitord_client.credentials import Credentials
from monitord_client.errors import (
    DeadlineExceededError,
    MonitordError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    error_of,
)
from monitord_client.v1.auth_service_pb2 import RefreshRequest, TokenPair
from monitord_client.v1.auth_service_pb2_grpc import AuthServiceStub

Request = TypeVar("Request")
Response = TypeVar("Response")
Item = TypeVar("Item")

Metadata = tuple[tuple[str, str], ...]

CHECK_TIMEOUT_S = 75.0
"""For calls that wait for a check, which may take 60 s and wait for its turn."""

ORGANISATION_KEY = "x-monitord-organisation"
"""The metadata that chooses the organisation in which a call acts."""


class Calls:
    """Makes calls for one client."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        credentials: Credentials,
        *,
        timeout_s: float = 10.0,
        retries: int = 3,
        backoff: Backoff | None = None,
        organisation: int | None = None,
    ) -> None:
        self.channel = channel
        self.credentials = credentials
        self.organisation = organisation
        """In which organisation calls act; None: the caller's personal one, or the one of their key."""
        self.timeout_s = timeout_s
        self.retries = retries
        self.backoff = backoff or Backoff()
        self._auth = AuthServiceStub(channel)

    async def unary(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        *,
        safe: bool,
        timeout_s: float | None = None,
    ) -> Response:
        """Make a call and return its answer.

        ``safe`` says that sending the request twice does no harm; only then is it repeated after a failure that
        leaves open whether the server acted. A refusal with a time to come back is repeated in any case, if that time
        is within the deadline. ``timeout_s`` spans all attempts. Raises MonitordError.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self.timeout_s if timeout_s is None else timeout_s)
        failures, renewed = 0, False
        while True:
            token = await self.bearer()
            left_s = deadline - loop.time()
            if left_s <= 0:
                raise DeadlineExceededError("there was no time left", code=grpc.StatusCode.DEADLINE_EXCEEDED)
            try:
                return await method(request, timeout=left_s, metadata=self.metadata(token))
            except grpc.aio.AioRpcError as failure:
                error = error_of(failure)
            failures += 1
            error.attempts = failures
            if isinstance(error, UnauthenticatedError) and not renewed:
                renewed = True
                if await self.renew(token):
                    continue
            if failures > self.retries or not _worth_repeating(error, safe=safe):
                raise error
            wait_s = self.backoff.wait_s(failures, error.retry_after_s)
            if loop.time() + wait_s >= deadline:
                raise error
            await asyncio.sleep(wait_s)

    async def stream(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Request, Response],
        request: Request,
        *,
        timeout_s: float | None = None,
    ) -> AsyncGenerator[Response, None]:
        """Yield the answers of a call that reads and comes to an end.

        Until the first answer it is repeated as ``unary`` repeats what is safe; from then on a failure is raised: what
        was yielded can't be taken back. ``timeout_s`` is the deadline of each attempt. Raises MonitordError.
        """
        failures, renewed = 0, False
        while True:
            token = await self.bearer()
            call = method(request, timeout=timeout_s, metadata=self.metadata(token))
            begun = False
            try:
                async for answer in call:
                    begun = True
                    yield answer
                return
            except grpc.aio.AioRpcError as failure:
                error = error_of(failure)
            finally:
                call.cancel()
            failures += 1
            error.attempts = failures
            if isinstance(error, UnauthenticatedError) and not (renewed or begun):
                renewed = True
                if await self.renew(token):
                    continue
            if begun or failures > self.retries or not _worth_repeating(error, safe=True):
                raise error
            await asyncio.sleep(self.backoff.wait_s(failures, error.retry_after_s))

    async def once(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        token: str | None,
        *,
        timeout_s: float | None = None,
    ) -> Response:
        """Make a call with this proof, once, also when it is refused as proof. Raises MonitordError."""
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        try:
            return await method(request, timeout=limit_s, metadata=self.metadata(token))
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure) from None

    async def unproven(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
    ) -> Response:
        """Make a call that needs no proof of the caller, once. Raises MonitordError."""
        try:
            return await method(request, timeout=self.timeout_s)
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure) from None

    async def pages(
        self,
        fetch: Callable[[str], Awaitable[Response]],
        items: Callable[[Response], Sequence[Item]],
        next_token: Callable[[Response], str],
    ) -> AsyncIterator[Item]:
        """Yield the items of all pages, each page fetched when the one before is used up."""
        token = ""
        while True:
            page = await fetch(token)
            for item in items(page):
                yield item
            after = next_token(page)
            if not after:
                return
            if after == token:
                raise MonitordError("the server sent the same page twice: this list would never end")
            token = after

    def metadata(self, token: str | None) -> Metadata:
        """Return the metadata that proves the caller and says in which organisation they act."""
        proof = (("authorization", f"Bearer {token}"),) if token is not None else ()
        return proof if self.organisation is None else (*proof, (ORGANISATION_KEY, str(self.organisation)))

    async def bearer(self) -> str | None:
        """Return the token to prove the caller with. Raises UnauthenticatedError when a session is over."""
        return await self.credentials.bearer(self._refresh)

    async def renew(self, rejected: str | None) -> bool:
        """Return whether there is a better token than the rejected one. Raises as ``bearer``."""
        return await self.credentials.renew(rejected, self._refresh)

    async def _refresh(self, refresh_token: str) -> TokenPair:
        # Never repeated: a refresh token works once, and a second use ends the whole session.
        answer = await self.unproven(self._auth.Refresh, RefreshRequest(refresh_token=refresh_token))
        return answer.tokens


def _worth_repeating(error: MonitordError, *, safe: bool) -> bool:
    if isinstance(error, ResourceExhaustedError):
        # Refused before anything was done; without a time, coming back would not help.
        return error.retry_after_s is not None
    return safe and isinstance(error, UnavailableError)
