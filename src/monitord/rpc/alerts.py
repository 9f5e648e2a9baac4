"""AlertService: from messages to the history, and back. Handlers convert, call, convert."""

# ruff: noqa: N802 (the generated base class names the methods)

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol, TypeAlias

import grpc
import msgspec

from monitord.domain.alert_record import AlertQuery, AlertRecord, AlertState
from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.explanation import Case, explain
from monitord.domain.instant import Instant
from monitord.rpc import context as call
from monitord.rpc.convert_alert import alert_pb, csv_lines, read_filter
from monitord.rpc.convert_time import bound_of
from monitord.rpc.paging import KeyNumber, decode_page_token, encode_page_token, fill, fingerprint, page_size
from monitord.rpc.requests import require_id
from monitord.v1 import alert_service_pb2 as pb
from monitord.v1 import alert_service_pb2_grpc

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

_CHUNK_ROWS = 400
"""About 64 KiB."""


class _Key(msgspec.Struct, frozen=True, array_like=True):
    id: KeyNumber


class AlertHistory(Protocol):
    """Where alerts are. The organisation comes first everywhere (T9); another's alert is NotFoundError."""

    async def get(self, org_id: int, alert_id: int) -> AlertRecord:
        """Return an alert with its attempts."""
        ...

    async def page(self, org_id: int, query: AlertQuery) -> Sequence[AlertRecord]:
        """Return at most ``query.limit`` alerts."""
        ...

    async def retry(self, org_id: int, alert_id: int) -> AlertRecord:
        """Try one again that was given up; raise FailedPreconditionError for another."""
        ...


class Known(Protocol):
    """Knows whose monitors and contacts there are."""

    async def require(self, org_id: int, monitor_id: int | None, contact_id: int | None) -> None:
        """Raise NotFoundError unless what is given is there."""


class Explanations(Protocol):
    """Gathers the facts of a change and a contact."""

    async def case(self, org_id: int, monitor_id: int, contact_id: int, until: Instant | None) -> Case:
        """Return what is known of the last change of a monitor."""
        ...


class Incidents(Protocol):
    """Knows whose an incident is."""

    async def require(self, org_id: int, incident_id: int) -> None:
        """Raise NotFoundError unless it is there."""


class AlertService(alert_service_pb2_grpc.AlertServiceServicer):
    """Serves AlertService. Whose alerts are meant comes from the call's context alone (T10)."""

    def __init__(
        self,
        history: AlertHistory,
        known: Known,
        incidents: Incidents,
        explanations: Explanations,
        *,
        revived: Callable[[], None],
    ) -> None:
        """``revived`` is told when there is something to send again."""
        self._history = history
        self._known = known
        self._incidents = incidents
        self._explanations = explanations
        self._revived = revived

    async def GetAlert(self, request: pb.GetAlertRequest, context: Context) -> pb.GetAlertResponse:
        """Return an alert."""
        alert = await self._history.get(call.principal().org_id, require_id(request.id, "id", "alert"))
        return pb.GetAlertResponse(alert=alert_pb(alert))

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Context) -> pb.ListAlertsResponse:
        """Return a page of alerts."""
        org_id = call.principal().org_id
        size, query = page_size(request.page_size), fingerprint(org_id, request)
        beyond = decode_page_token(query, request.page_token, _Key).id if request.page_token else None
        wanted = await self._wanted(org_id, read_filter(request.filter, limit=size + 1, beyond_id=beyond))
        alerts = await self._history.page(org_id, wanted)
        messages = fill(alerts, size, alert_pb)
        taken = len(messages)
        token = "" if taken == len(alerts) else encode_page_token(query, _Key(alerts[taken - 1].id))
        return pb.ListAlertsResponse(alerts=messages, next_page_token=token)

    async def ExportAlerts(
        self, request: pb.ExportAlertsRequest, context: Context
    ) -> AsyncIterator[pb.ExportAlertsResponse]:
        """Send alerts as CSV, page by page: however many there are, one page is held (I16)."""
        org_id = call.principal().org_id
        query = await self._wanted(org_id, read_filter(request.filter, limit=_CHUNK_ROWS, oldest_first=True))
        is_first = True
        while is_first or query.beyond_id is not None:
            alerts = await self._history.page(org_id, query)
            if is_first or alerts:
                yield pb.ExportAlertsResponse(chunk=csv_lines(alerts, with_header=is_first))
            is_first = False
            beyond = alerts[-1].id if len(alerts) == _CHUNK_ROWS else None
            query = msgspec.structs.replace(query, beyond_id=beyond)

    async def RetryDelivery(self, request: pb.RetryDeliveryRequest, context: Context) -> pb.RetryDeliveryResponse:
        """Try one again that was given up."""
        alert = await self._history.retry(call.principal().org_id, require_id(request.id, "id", "alert"))
        self._revived()
        return pb.RetryDeliveryResponse(alert=alert_pb(alert))

    async def ExplainAlert(self, request: pb.ExplainAlertRequest, context: Context) -> pb.ExplainAlertResponse:
        """Say why a contact was, or was not, told."""
        monitor_id = require_id(request.monitor_id, "monitor_id")
        contact_id = require_id(request.contact_id, "contact_id", "contact")
        found: list[Violation] = []
        until = bound_of(request.time, "time", found) if request.HasField("time") else None
        if found:
            raise InvalidArgumentError(found)
        case = await self._explanations.case(call.principal().org_id, monitor_id, contact_id, until)
        return pb.ExplainAlertResponse(
            told=any(alert.state is AlertState.SENT for alert in case.alerts),
            reasons=explain(case),
            alerts=[alert_pb(alert) for alert in case.alerts],
        )

    async def _wanted(self, org_id: int, query: AlertQuery) -> AlertQuery:
        """Return a query of things that are there, and the caller's."""
        await self._known.require(org_id, query.monitor_id, query.contact_id)
        if query.incident_id is not None:
            await self._incidents.require(org_id, query.incident_id)
        return query
