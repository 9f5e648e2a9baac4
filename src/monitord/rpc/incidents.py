"""IncidentService: from messages to the store and the feed, and back. Handlers convert, call, convert."""

# ruff: noqa: N802 (the generated base class names the methods)

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

import grpc
import msgspec

from monitord.domain.errors import InvalidArgumentError, UnavailableError, Violation
from monitord.domain.incident import EventPosition, Incident, IncidentEvent, IncidentEventKind, IncidentQuery, Timeline
from monitord.domain.instant import Instant
from monitord.domain.tail import TailEndReason
from monitord.identity.principal import Principal
from monitord.rpc import context as call
from monitord.rpc.convert_alert import read_span
from monitord.rpc.convert_incident import incident_pb, timeline_pb
from monitord.rpc.convert_time import timestamp_pb
from monitord.rpc.ending import Endings
from monitord.rpc.paging import KeyNumber, decode_page_token, encode_page_token, fill, fingerprint, page_size
from monitord.rpc.requests import require_id
from monitord.v1 import check_log_service_pb2, incident_service_pb2_grpc
from monitord.v1 import incident_service_pb2 as pb

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class _Key(msgspec.Struct, frozen=True, array_like=True):
    id: KeyNumber


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    transaction: KeyNumber
    event: KeyNumber


class IncidentStore(Protocol):
    """Where incidents are. The organisation comes first everywhere (T9); another's is NotFoundError."""

    async def timeline(self, org_id: int, incident_id: int) -> Timeline:
        """Return an incident with what belongs to it."""
        ...

    async def page(self, org_id: int, query: IncidentQuery) -> Sequence[Incident]:
        """Return at most ``query.limit`` incidents."""
        ...

    async def acknowledge(self, org_id: int, incident_id: int, user_id: int) -> Incident:
        """Note that a user takes care; raise FailedPreconditionError when it is over."""
        ...


class IncidentFeed(Protocol):
    """Follows incidents."""

    def poke(self) -> None:
        """Look at once: something was committed."""

    def watch(self, org_id: int, after: EventPosition | None) -> AsyncGenerator[IncidentEvent, None]:
        """Yield what happens behind a position; None: what goes on first."""
        ...


class Known(Protocol):
    """Knows whose a monitor is."""

    async def require(self, org_id: int, monitor_id: int | None, contact_id: int | None) -> None:
        """Raise NotFoundError unless what is given is there."""


class Sessions(Protocol):
    """Knows whether whoever opened a stream may still see it (T12)."""

    async def wait_until_invalid(self, principal: Principal) -> None:
        """Return as soon as the principal's credential stops being good."""
        ...


class IncidentService(incident_service_pb2_grpc.IncidentServiceServicer):
    """Serves IncidentService. Whose incidents are meant comes from the call's context alone (T10)."""

    def __init__(
        self, store: IncidentStore, feed: IncidentFeed, known: Known, sessions: Sessions, *, now: Callable[[], Instant]
    ) -> None:
        self._store = store
        self._feed = feed
        self._known = known
        self._sessions = sessions
        self._now = now
        self._endings = Endings()

    def end_streams(self) -> None:
        """End the open streams, each with a cursor to come back with, and those that are opened from now on."""
        self._endings.end_all(TailEndReason.SHUTDOWN)

    async def GetIncident(self, request: pb.GetIncidentRequest, context: Context) -> pb.GetIncidentResponse:
        """Return an incident with its timeline."""
        return timeline_pb(await self._store.timeline(call.principal().org_id, _require_id(request.id)))

    async def ListIncidents(self, request: pb.ListIncidentsRequest, context: Context) -> pb.ListIncidentsResponse:
        """Return a page of incidents."""
        org_id = call.principal().org_id
        size, fingerprinted = page_size(request.page_size), fingerprint(org_id, request)
        found: list[Violation] = []
        start, end = read_span(request, "", found)
        if found:
            raise InvalidArgumentError(found)
        query = IncidentQuery(
            limit=size + 1,
            before_id=decode_page_token(fingerprinted, request.page_token, _Key).id if request.page_token else None,
            monitor_id=require_id(request.monitor_id, "monitor_id") if request.monitor_id else None,
            is_open=request.open if request.HasField("open") else None,
            start=start,
            end=end,
        )
        await self._known.require(org_id, query.monitor_id, None)
        incidents = await self._store.page(org_id, query)
        messages = fill(incidents, size, incident_pb)
        taken = len(messages)
        token = "" if taken == len(incidents) else encode_page_token(fingerprinted, _Key(incidents[taken - 1].id))
        return pb.ListIncidentsResponse(incidents=messages, next_page_token=token)

    async def AcknowledgeIncident(
        self, request: pb.AcknowledgeIncidentRequest, context: Context
    ) -> pb.AcknowledgeIncidentResponse:
        """Note that somebody takes care."""
        principal = call.principal()
        incident = await self._store.acknowledge(principal.org_id, _require_id(request.id), principal.user_id)
        self._feed.poke()
        return pb.AcknowledgeIncidentResponse(incident=incident_pb(incident))

    async def WatchIncidents(
        self, request: pb.WatchIncidentsRequest, context: Context
    ) -> AsyncGenerator[pb.WatchIncidentsResponse, None]:
        """Send what happens, until the caller leaves or the stream has to end."""
        principal = call.principal()
        cursor = request.cursor
        after = _read_cursor(principal.org_id, cursor) if cursor else None
        with self._endings.one() as ending:
            async with (
                ending.when(partial(self._sessions.wait_until_invalid, principal), TailEndReason.UNAUTHENTICATED),
                contextlib.aclosing(self._feed.watch(principal.org_id, after)) as events,
            ):
                try:
                    while (event := await ending.next_of(events)) is not None:
                        cursor = "" if event.position is None else _write_cursor(principal.org_id, event.position)
                        yield self._event_pb(cursor, event)
                except UnavailableError:
                    if not cursor:
                        raise
                    ending.end(TailEndReason.STORAGE_UNAVAILABLE)
        reason: Any = ending.reason or TailEndReason.SHUTDOWN
        yield pb.WatchIncidentsResponse(cursor=cursor, end=check_log_service_pb2.TailEnd(reason=reason))

    def _event_pb(self, cursor: str, event: IncidentEvent) -> pb.WatchIncidentsResponse:
        if event.incident is None:
            beat = pb.IncidentHeartbeat(time=timestamp_pb(self._now()))
            return pb.WatchIncidentsResponse(cursor=cursor, heartbeat=beat)
        incident = incident_pb(event.incident)
        match event.kind:
            case IncidentEventKind.ACKNOWLEDGED:
                return pb.WatchIncidentsResponse(cursor=cursor, acknowledged=incident)
            case IncidentEventKind.RESOLVED:
                return pb.WatchIncidentsResponse(cursor=cursor, resolved=incident)
            case _:
                return pb.WatchIncidentsResponse(cursor=cursor, opened=incident)


def _binding(org_id: int) -> bytes:
    return b"WatchIncidents:%d" % org_id


def _write_cursor(org_id: int, position: EventPosition) -> str:
    return encode_page_token(_binding(org_id), _Cursor(position.transaction, position.event))


def _read_cursor(org_id: int, cursor: str) -> EventPosition:
    try:
        read = decode_page_token(_binding(org_id), cursor, _Cursor)
    except InvalidArgumentError:
        wrong = Violation("cursor", "is not a cursor of this server: send one as it was received")
        raise InvalidArgumentError([wrong], reason="INVALID_CURSOR") from None
    return EventPosition(max(read.transaction, 0), read.event)


def _require_id(value: int) -> int:
    return require_id(value, "id", "incident")
