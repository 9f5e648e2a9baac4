"""The calls of AuditService."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from monitord_client.calls import Calls
from monitord_client.times import timestamp
from monitord_client.v1 import audit_service_pb2 as pb
from monitord_client.v1.audit_service_pb2_grpc import AuditServiceStub


class AuditCalls:
    """Who changed what, when, from where, and what it was before."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._audit = AuditServiceStub(calls.channel)

    def list_audit_events(
        self,
        *,
        by_user: int = 0,
        kinds: Iterable[str] = (),
        thing: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[pb.AuditEvent]:
        """Iterate over the events in [start, end), newest first, fetching pages as needed.

        ``by_user`` 0: by any. ``kinds`` are such as ``monitor``, at most 20, none: of any; ``thing`` is an id, empty:
        of any. ``timeout_s`` is the deadline of each page.
        """
        request = pb.ListAuditEventsRequest(
            by_user=by_user,
            kinds=kinds,
            thing=thing,
            start_time=timestamp(start),
            end_time=timestamp(end),
            page_size=page_size,
        )

        async def fetch(token: str) -> pb.ListAuditEventsResponse:
            request.page_token = token
            return await self._calls.unary(self._audit.ListAuditEvents, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.events, lambda page: page.next_page_token)
