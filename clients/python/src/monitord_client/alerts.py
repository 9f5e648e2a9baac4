"""The calls of AlertService."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from datetime import datetime

from monitord_client.calls import Calls
from monitord_client.times import timestamp
from monitord_client.v1 import alert_service_pb2 as pb
from monitord_client.v1.alert_pb2 import Alert, AlertState
from monitord_client.v1.alert_service_pb2_grpc import AlertServiceStub
from monitord_client.v1.contact_pb2 import AlertKind


def alert_filter(
    *,
    monitor_id: int = 0,
    contact_id: int = 0,
    incident_id: int = 0,
    states: Iterable[AlertState.ValueType] = (),
    kinds: Iterable[AlertKind.ValueType] = (),
    start: datetime | None = None,
    end: datetime | None = None,
) -> pb.AlertFilter:
    """Return which alerts are meant: those made in [start, end) that meet all conditions. 0 and empty: any."""
    return pb.AlertFilter(
        monitor_id=monitor_id,
        contact_id=contact_id,
        incident_id=incident_id,
        states=states,
        kinds=kinds,
        start_time=timestamp(start),
        end_time=timestamp(end),
    )


class AlertCalls:
    """What was sent, when, to whom, after how many tries; and why something was not."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._alerts = AlertServiceStub(calls.channel)

    async def get_alert(self, alert_id: int, *, timeout_s: float | None = None) -> Alert:
        """Return one alert, with its attempts."""
        request = pb.GetAlertRequest(id=alert_id)
        answer = await self._calls.unary(self._alerts.GetAlert, request, safe=True, timeout_s=timeout_s)
        return answer.alert

    def list_alerts(
        self, which: pb.AlertFilter | None = None, *, page_size: int = 0, timeout_s: float | None = None
    ) -> AsyncIterator[Alert]:
        """Iterate over alerts, newest first, fetching pages as needed; ``alert_filter`` makes ``which``.

        ``timeout_s`` is the deadline of each page.
        """
        request = pb.ListAlertsRequest(filter=which, page_size=page_size)

        async def fetch(token: str) -> pb.ListAlertsResponse:
            request.page_token = token
            return await self._calls.unary(self._alerts.ListAlerts, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.alerts, lambda page: page.next_page_token)

    async def export_alerts(
        self, which: pb.AlertFilter | None = None, *, timeout_s: float | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield alerts as the bytes of a CSV file (RFC 4180, UTF-8, a header line), oldest first, in whole lines.

        ``timeout_s`` is the deadline of it all; None: there is none. Leave it with ``contextlib.aclosing`` or by
        exhausting it.
        """
        request = pb.ExportAlertsRequest(filter=which)
        async with aclosing(self._calls.stream(self._alerts.ExportAlerts, request, timeout_s=timeout_s)) as answers:
            async for answer in answers:
                yield answer.chunk

    async def retry_delivery(self, alert_id: int, *, timeout_s: float | None = None) -> Alert:
        """Try one again that was given up; raises FailedPreconditionError for one in any other state.

        Never repeated: after an attempt whose answer was lost it would be in another state.
        """
        request = pb.RetryDeliveryRequest(id=alert_id)
        answer = await self._calls.unary(self._alerts.RetryDelivery, request, safe=False, timeout_s=timeout_s)
        return answer.alert

    async def explain_alert(
        self, monitor_id: int, contact_id: int, *, at: datetime | None = None, timeout_s: float | None = None
    ) -> pb.ExplainAlertResponse:
        """Say why a contact was, or was not, told of the last change of a monitor at or before a moment; None: now."""
        request = pb.ExplainAlertRequest(monitor_id=monitor_id, contact_id=contact_id, time=timestamp(at))
        return await self._calls.unary(self._alerts.ExplainAlert, request, safe=True, timeout_s=timeout_s)
