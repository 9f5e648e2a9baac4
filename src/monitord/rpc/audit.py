"""AuditService: from messages to the audit log, and back."""

# ruff: noqa: N802 (the generated base class names the methods)

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import grpc
import msgspec
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from monitord.domain.audit import AuditEvent, AuditQuery
from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.rpc import context as call
from monitord.rpc.convert_alert import read_span
from monitord.rpc.convert_time import timestamp_pb
from monitord.rpc.paging import KeyNumber, decode_page_token, encode_page_token, fill, fingerprint, page_size
from monitord.rpc.requests import refuse_nul
from monitord.v1 import audit_service_pb2 as pb
from monitord.v1 import audit_service_pb2_grpc

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

MAX_KINDS = 20


class _Key(msgspec.Struct, frozen=True, array_like=True):
    id: KeyNumber


class AuditLog(Protocol):
    """Where events are. The organisation comes first (T9)."""

    async def page(self, org_id: int, query: AuditQuery) -> Sequence[AuditEvent]:
        """Return at most ``query.limit`` events, newest first."""
        ...


class AuditService(audit_service_pb2_grpc.AuditServiceServicer):
    """Serves AuditService. Whose events are meant comes from the call's context alone (T10)."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def ListAuditEvents(self, request: pb.ListAuditEventsRequest, context: Context) -> pb.ListAuditEventsResponse:
        """Return a page of events."""
        org_id = call.principal().org_id
        size, query = page_size(request.page_size), fingerprint(org_id, request)
        before = decode_page_token(query, request.page_token, _Key).id if request.page_token else None
        events = await self._log.page(org_id, _read_query(request, size + 1, before))
        messages = fill(events, size, _event_pb)
        taken = len(messages)
        token = "" if taken == len(events) else encode_page_token(query, _Key(events[taken - 1].id))
        return pb.ListAuditEventsResponse(events=messages, next_page_token=token)


def _read_query(request: pb.ListAuditEventsRequest, limit: int, before: int | None) -> AuditQuery:
    found: list[Violation] = []
    if len(request.kinds) > MAX_KINDS:
        found.append(Violation("kinds", f"must be at most {MAX_KINDS}, not {len(request.kinds)}"))
    if request.by_user < 0:
        found.append(Violation("by_user", "must be the id of a user, or 0 for any"))
    for text in (*request.kinds[:MAX_KINDS], request.thing):
        refuse_nul(text, "kinds" if text != request.thing else "thing", found)
    start, end = read_span(request, "", found)
    if found:
        raise InvalidArgumentError(found)
    return AuditQuery(
        limit=limit,
        before_id=before,
        user_id=request.by_user or None,
        kinds=tuple(request.kinds),
        thing_id=request.thing,
        start=start,
        end=end,
    )


def _event_pb(event: AuditEvent) -> pb.AuditEvent:
    message = pb.AuditEvent(
        id=event.id,
        time=timestamp_pb(event.at),
        user_id=event.user_id or 0,
        user_email=event.user_email,
        credential=event.credential,
        address=event.address,
        method=event.method,
        action=event.action,
        kind=event.kind,
        thing=event.thing_id,
    )
    if event.before is not None:
        message.before.CopyFrom(ParseDict(event.before, Struct()))
    if event.after is not None:
        message.after.CopyFrom(ParseDict(event.after, Struct()))
    return message
