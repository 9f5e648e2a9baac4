"""HeartbeatService: words of jobs that have an API key, and the list of the newest ones."""

# ruff: noqa: N802 (the generated base class names the methods)

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import grpc
import msgspec

from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.heartbeat import MAX_BODY_BYTES, Ping, PingKind
from monitord.domain.instant import Instant
from monitord.rpc import context as call
from monitord.rpc.convert_time import timestamp_pb
from monitord.rpc.paging import KeyNumber, decode_page_token, encode_page_token, fill, fingerprint, page_size
from monitord.rpc.requests import require_id
from monitord.v1 import heartbeat_service_pb2 as pb
from monitord.v1 import heartbeat_service_pb2_grpc

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

_NEWEST = (1 << 63) - 1


class _Key(msgspec.Struct, frozen=True, array_like=True):
    id: KeyNumber


class PingStore(Protocol):
    """Where words are kept. The organisation comes first everywhere (T9); another's heartbeat is NotFoundError."""

    async def require(self, org_id: int, monitor_id: int) -> None:
        """Raise NotFoundError unless this is a heartbeat of this organisation."""
        ...

    async def record(self, monitor_id: int, url_version: int | None, ping: Ping) -> Any:
        """Keep a word of a heartbeat that ``require`` has let pass."""
        ...

    async def list(self, org_id: int, monitor_id: int, before: int, limit: int) -> Sequence[tuple[int, Ping]]:
        """Return at most ``limit`` words with ids below ``before``, the newest first, with their ids."""
        ...


class Hearing(Protocol):
    """Whoever takes words in."""

    async def hear(
        self, monitor_id: int, url_version: int | None, ping: Ping, *, record: Callable[[int, int | None, Ping], Any]
    ) -> None:
        """Take a word in, and have it kept by ``record``; see ``engine.heartbeats``."""
        ...


class HeartbeatService(heartbeat_service_pb2_grpc.HeartbeatServiceServicer):
    """Serves HeartbeatService. Whose heartbeats are meant comes from the call's context alone (T10)."""

    def __init__(self, store: PingStore, hearing: Hearing, *, now: Callable[[], Instant]) -> None:
        self._store = store
        self._hearing = hearing
        self._now = now

    async def Ping(self, request: pb.PingRequest, context: Context) -> pb.PingResponse:
        """Take a word in."""
        monitor_id = require_id(request.monitor_id, "monitor_id")
        ping = _read(request, self._now())
        await self._store.require(call.principal().org_id, monitor_id)
        await self._hearing.hear(monitor_id, None, ping, record=self._store.record)
        return pb.PingResponse()

    async def ListPings(self, request: pb.ListPingsRequest, context: Context) -> pb.ListPingsResponse:
        """Return a page of words."""
        org_id = call.principal().org_id
        monitor_id = require_id(request.monitor_id, "monitor_id")
        size, query = page_size(request.page_size), fingerprint(org_id, request)
        before = decode_page_token(query, request.page_token, _Key).id if request.page_token else _NEWEST
        await self._store.require(org_id, monitor_id)
        pings = await self._store.list(org_id, monitor_id, before, size + 1)
        messages = fill(pings, size, _ping_pb)
        taken = len(messages)
        token = "" if taken == len(pings) else encode_page_token(query, _Key(pings[taken - 1][0]))
        return pb.ListPingsResponse(pings=messages, next_page_token=token)


def _read(request: pb.PingRequest, now: Instant) -> Ping:
    code = request.exit_code if request.HasField("exit_code") else None
    found: list[Violation] = []
    if code is not None and not 0 <= code <= 255:
        found.append(Violation("exit_code", f"must be 0 to 255, not {code}"))
    if len(request.body) > MAX_BODY_BYTES:
        found.append(Violation("body", f"must have at most {MAX_BODY_BYTES} bytes, not {len(request.body)}"))
    told = PingKind.FAIL if code else PingKind.SUCCESS
    if request.kind and request.kind not in pb.PingKind.values():
        found.append(Violation("kind", f"must be one of {', '.join(pb.PingKind.keys()[1:])}"))
    elif request.kind and code is not None and PingKind(request.kind) is not told:
        found.append(
            Violation("kind", f"must agree with the exit code {code}, which says {told.name}; or leave it out")
        )
    if found:
        raise InvalidArgumentError(found)
    kind = PingKind(request.kind) if request.kind else told
    return Ping(at=now, kind=kind, exit_code=code, body=request.body, source="grpc")


def _ping_pb(stored: tuple[int, Ping]) -> pb.Ping:
    ping_id, ping = stored
    return pb.Ping(
        id=ping_id,
        receive_time=timestamp_pb(ping.at),
        kind=ping.kind,  # type: ignore[arg-type]  # the same numbers; a test holds them together
        exit_code=ping.exit_code,
        body=ping.body,
        source=ping.source,
    )
