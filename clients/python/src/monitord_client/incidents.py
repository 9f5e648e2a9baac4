"""The calls of IncidentService."""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime

from monitord_client.calls import Calls
from monitord_client.incident_stream import IncidentEvent, IncidentPlace
from monitord_client.resuming import resume
from monitord_client.times import timestamp
from monitord_client.v1 import incident_service_pb2 as pb
from monitord_client.v1.incident_pb2 import Incident
from monitord_client.v1.incident_service_pb2_grpc import IncidentServiceStub


class IncidentCalls:
    """Outages, from the change that began each to the one that ended it."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._incidents = IncidentServiceStub(calls.channel)

    async def get_incident(self, incident_id: int, *, timeout_s: float | None = None) -> pb.GetIncidentResponse:
        """Return one incident (``.incident``) with all that belongs to it (``.timeline``), oldest first."""
        request = pb.GetIncidentRequest(id=incident_id)
        return await self._calls.unary(self._incidents.GetIncident, request, safe=True, timeout_s=timeout_s)

    def list_incidents(
        self,
        *,
        monitor_id: int = 0,
        is_open: bool | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Incident]:
        """Iterate over the incidents that began in [start, end), newest first, fetching pages as needed.

        ``monitor_id`` 0: of all. ``is_open``: those that go on, or those that are over; None: both. ``timeout_s`` is
        the deadline of each page.
        """
        request = pb.ListIncidentsRequest(
            monitor_id=monitor_id,
            open=is_open,
            start_time=timestamp(start),
            end_time=timestamp(end),
            page_size=page_size,
        )

        async def fetch(token: str) -> pb.ListIncidentsResponse:
            request.page_token = token
            return await self._calls.unary(self._incidents.ListIncidents, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.incidents, lambda page: page.next_page_token)

    async def acknowledge_incident(self, incident_id: int, *, timeout_s: float | None = None) -> Incident:
        """Say that you take care: escalations and reminders end. Raises FailedPreconditionError once it is over."""
        request = pb.AcknowledgeIncidentRequest(id=incident_id)
        answer = await self._calls.unary(self._incidents.AcknowledgeIncident, request, safe=True, timeout_s=timeout_s)
        return answer.incident

    def watch_incidents(
        self,
        *,
        cursor: str = "",
        heartbeats: bool = False,
        patience_s: float = 10.0,
        give_up_after_s: float | None = None,
    ) -> AsyncGenerator[IncidentEvent, None]:
        """Follow incidents as they are opened, acknowledged and resolved, from a cursor on.

        Without one, those that go on come first, each as ``Opened``. Connections that break are made anew, and the
        stream goes on where it stood: nothing is lost or told twice without a ``Gap`` that says so. The arguments and
        errors are those of ``tail``, and so is the way to leave it: by ``contextlib.aclosing``, or by exhausting it.
        """
        return resume(
            self._calls,
            self._incidents.WatchIncidents,
            IncidentPlace(cursor),
            heartbeats=heartbeats,
            patience_s=patience_s,
            give_up_after_s=give_up_after_s,
        )
