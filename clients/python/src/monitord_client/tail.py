"""Following the check log across broken connections: every row once, and every hole announced (I15)."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from monitord_client.calls import Calls, authorization
from monitord_client.errors import (
    InternalError,
    InvalidArgumentError,
    MonitordError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    error_of,
)
from monitord_client.times import moment_of
from monitord_client.v1 import check_log_service_pb2 as pb
from monitord_client.v1.check_log_pb2 import CheckLog

SILENCE_S = 45.0
"""The server says something every 15 s; after three times that long without a word, the connection counts as dead."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row was stored."""

    check_log: CheckLog
    cursor: str
    """Where to go on after this event; so in every kind of event."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows between the event before and the next one will not come."""

    message: str
    cursor: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is lost; the tail is trying to get it back."""

    cause: str
    cursor: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection is back, and the tail goes on where it stood."""

    away_s: float
    attempts: int
    cursor: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing is new: the tail stands at the end of the log."""

    server_time: datetime
    cursor: str


TailEvent = Row | Gap | Disconnected | Reconnected | Heartbeat
TailMethod = grpc.aio.UnaryStreamMultiCallable[pb.TailCheckLogsRequest, pb.TailCheckLogsResponse]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a tail begins: at most one of these; none: now."""

    cursor: str | None = None
    since: Timestamp | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.cursor, self.since, self.last)) > 1:
            raise ValueError("a tail begins at a cursor, at a moment, or with the last n rows: choose one")


async def follow(
    calls: Calls,
    method: TailMethod,
    monitor_ids: tuple[int, ...],
    start: Start,
    *,
    heartbeats: bool = False,
    patience_s: float = 10.0,
    give_up_after_s: float | None = None,
) -> AsyncGenerator[TailEvent, None]:
    """Yield the events of a tail; see ``Client.tail``."""
    loop = asyncio.get_running_loop()
    place = Place(monitor_ids, start)
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
        if place.lost(error):
            yield Gap(f"the server does not know any more where this tail stood ({error.message})", "")
        elif isinstance(error, UnauthenticatedError) and failures == 1 and await calls.renew(stream.token):
            continue
        elif not _passing(error) or _too_late(loop.time() - lost_at, place, patience_s, give_up_after_s):
            raise error
        if heard:
            yield Disconnected(error.message, place.cursor)
        await asyncio.sleep(calls.backoff.wait_s(failures, error.retry_after_s))


def _too_late(away_s: float, place: "Place", patience_s: float, give_up_after_s: float | None) -> bool:
    limit_s = give_up_after_s if place.begun else patience_s
    return limit_s is not None and away_s >= limit_s


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


class _Stream:
    """One connection of a tail."""

    def __init__(self, calls: Calls, method: TailMethod, request: pb.TailCheckLogsRequest) -> None:
        self._calls = calls
        self._method = method
        self._request = request
        self.token: str | None = None
        """What the caller was proved with."""

    async def messages(self) -> AsyncGenerator[pb.TailCheckLogsResponse, None]:
        """Yield messages until the stream is over, however it ends: that is raised, as a MonitordError."""
        self.token = await self._calls.bearer()
        call = self._method(self._request, metadata=authorization(self.token))
        try:
            while True:
                async with asyncio.timeout(SILENCE_S):
                    message = await call.read()
                if not isinstance(message, pb.TailCheckLogsResponse):
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


class Place:
    """Where a tail stands, and what it has already passed on.

    The server promises to repeat nothing and to leave nothing out. Rows are numbered per monitor without holes (I7), so
    this end can see for itself, at the price of one number per monitor.
    """

    def __init__(self, monitor_ids: tuple[int, ...], start: Start) -> None:
        self._monitor_ids = monitor_ids
        self._start = start
        self.cursor = ""
        """The last cursor that was received; empty before the first."""
        self.begun = False
        """Whether the server has said anything yet."""
        self._newest: dict[int, int] = {}
        self._expected: dict[int, int] = {}

    def request(self) -> pb.TailCheckLogsRequest:
        """Return what to ask for on the next connection."""
        request = pb.TailCheckLogsRequest(monitor_ids=self._monitor_ids)
        if self.cursor:
            request.cursor = self.cursor
        elif self.begun:
            pass  # the place is lost (see `lost`): on from now
        elif self._start.cursor is not None:
            request.cursor = self._start.cursor
        elif self._start.since is not None:
            request.start_time.CopyFrom(self._start.since)
        elif self._start.last is not None:
            request.last = self._start.last
        return request

    def take(self, message: pb.TailCheckLogsResponse) -> Iterator[TailEvent]:
        """Move past a message and yield what it tells."""
        self.cursor, self.begun = message.cursor or self.cursor, True
        match message.WhichOneof("event"):
            case "check_log":
                yield from self._row(message.check_log)
            case "gap":
                self._expected.clear()
                yield Gap(message.gap.message, self.cursor)
            case "heartbeat":
                yield Heartbeat(moment_of(message.heartbeat.server_time), self.cursor)

    def lost(self, error: MonitordError) -> bool:
        """Return whether the server refused a cursor of its own, as one that was restored from a backup would.

        Then nothing is known any more of what it will send.
        """
        if not (isinstance(error, InvalidArgumentError) and error.reason == "INVALID_CURSOR" and self.cursor):
            return False
        self.cursor = ""
        self._newest.clear()
        self._expected.clear()
        return True

    def _row(self, row: CheckLog) -> Iterator[TailEvent]:
        if row.sequence <= self._newest.get(row.monitor_id, 0):
            return
        expected = self._expected.get(row.monitor_id, row.sequence)
        if expected < row.sequence:
            missing = f"row {expected}" if expected == row.sequence - 1 else f"rows {expected} to {row.sequence - 1}"
            yield Gap(f"{missing} of monitor {row.monitor_id} did not come", self.cursor)
        self._newest[row.monitor_id] = row.sequence
        self._expected[row.monitor_id] = row.sequence + 1
        yield Row(row, self.cursor)
