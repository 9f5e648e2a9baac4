"""Following a stream across broken connections: it goes on behind the last message, as often as it has to."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import grpc

from monitord_client.calls import Calls
from monitord_client.errors import (
    InternalError,
    InvalidArgumentError,
    MonitordError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    error_of,
)
from monitord_client.v1 import check_log_service_pb2 as pb

SILENCE_S = 45.0
"""The server says something every 15 s; after three times that long without a word, the connection counts as dead."""

Request = TypeVar("Request")
Message = TypeVar("Message", bound="StreamMessage")
Event = TypeVar("Event", covariant=True)
Taken = TypeVar("Taken", bound="StreamMessage", contravariant=True)
Asked = TypeVar("Asked", covariant=True)


@dataclass(frozen=True, slots=True)
class Gap:
    """Something between the event before and the next one will not come."""

    message: str
    cursor: str
    """Where to go on after this event; so in every kind of event."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is lost; the stream is trying to get it back."""

    cause: str
    cursor: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection is back, and the stream goes on where it stood."""

    away_s: float
    attempts: int
    cursor: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing is new: the reader has seen all there is."""

    server_time: datetime
    cursor: str


class StreamMessage(Protocol):
    """What the messages of all streams have in common."""

    cursor: str

    @property
    def end(self) -> pb.TailEnd:
        """Why this was the last message."""
        ...

    def HasField(self, field_name: Any) -> bool:  # noqa: N802 - protobuf names it
        """Return whether a field is set."""
        ...


class Place(Protocol[Asked, Taken, Event]):
    """Where a reader stands."""

    cursor: str
    """The last cursor that was received; empty before the first."""
    begun: bool
    """Whether the server has said anything yet."""

    def request(self) -> Asked:
        """Return what to ask for on the next connection."""
        ...

    def take(self, message: Taken) -> Iterator[Event]:
        """Move past a message and yield what it tells."""
        ...

    def forget(self) -> None:
        """Begin anew: the server does not know the cursor any more."""


async def resume(
    calls: Calls,
    method: grpc.aio.UnaryStreamMultiCallable[Request, Message],
    place: Place[Request, Message, Event],
    *,
    heartbeats: bool = False,
    patience_s: float = 10.0,
    give_up_after_s: float | None = None,
) -> AsyncGenerator[Event | Gap | Disconnected | Reconnected, None]:
    """Yield what a stream tells, from a place on; see ``Client.tail`` for the arguments and the errors."""
    loop = asyncio.get_running_loop()
    lost_at, failures = loop.time(), 0
    while True:
        heard = False
        error: MonitordError = UnavailableError("the stream ended")
        stream = _Stream(calls, method, place.request())
        try:
            async with aclosing(stream.messages()) as messages:
                async for message in messages:
                    if failures and place.begun and not heard:
                        yield Reconnected(loop.time() - lost_at, failures, message.cursor)
                    heard, failures = True, 0
                    for event in place.take(message):
                        if heartbeats or not isinstance(event, Heartbeat):
                            yield event
        except MonitordError as failure:
            error = failure
        lost_at = loop.time() if heard else lost_at
        failures += 1
        if _is_lost(place.cursor, error):
            place.forget()
            yield Gap(f"the server does not know any more where this stream stood ({error.message})", "")
        elif isinstance(error, UnauthenticatedError) and failures == 1 and await calls.renew(stream.token):
            continue
        else:
            limit_s = give_up_after_s if place.begun else patience_s
            if not _passing(error) or (limit_s is not None and loop.time() - lost_at >= limit_s):
                raise error
        if heard:
            yield Disconnected(error.message, place.cursor)
        await asyncio.sleep(calls.backoff.wait_s(failures, error.retry_after_s))


def _is_lost(cursor: str, error: MonitordError) -> bool:
    """Return whether the server refused a cursor of its own, as one that was restored from a backup would.

    Then nothing is known any more of what it will send.
    """
    return isinstance(error, InvalidArgumentError) and error.reason == "INVALID_CURSOR" and bool(cursor)


def _passing(error: MonitordError) -> bool:
    """Return whether coming back may help: the way there broke, or the server says when."""
    if isinstance(error, ResourceExhaustedError):
        return error.retry_after_s is not None
    if isinstance(error, InternalError) or error.code in _BROKEN:
        return not error.reason  # with a reason monitord itself has spoken; without one the connection broke
    return isinstance(error, UnavailableError)


_BROKEN = frozenset({grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})

_ENDS: dict[int, tuple[type[MonitordError], str]] = {
    pb.TAIL_END_REASON_SHUTDOWN: (UnavailableError, "the server is shutting down"),
    pb.TAIL_END_REASON_STORAGE_UNAVAILABLE: (UnavailableError, "the server's database is away"),
    pb.TAIL_END_REASON_UNAUTHENTICATED: (UnauthenticatedError, "the key or session is no longer valid"),
}


class _Stream(Generic[Request, Message]):
    """One connection of a stream."""

    def __init__(
        self, calls: Calls, method: grpc.aio.UnaryStreamMultiCallable[Request, Message], request: Request
    ) -> None:
        self._calls = calls
        self._method = method
        self._request = request
        self.token: str | None = None
        """What the caller was proved with."""

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Yield messages until the stream is over, however it ends: that is raised, as a MonitordError."""
        self.token = await self._calls.bearer()
        call = self._method(self._request, metadata=self._calls.metadata(self.token))
        try:
            while True:
                async with asyncio.timeout(SILENCE_S):
                    message: Any = await call.read()
                if message is grpc.aio.EOF:
                    raise UnavailableError("the server closed the stream without a word")
                yield message
                if message.HasField("end"):
                    kind, text = _ENDS.get(message.end.reason, (UnavailableError, "the server ended the stream"))
                    raise kind(text)
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure) from None
        except TimeoutError:
            raise UnavailableError(f"nothing was heard from the server for {SILENCE_S:.0f} s") from None
        finally:
            call.cancel()
