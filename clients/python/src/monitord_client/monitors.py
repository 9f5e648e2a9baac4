"""The calls of MonitorService."""

import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime

from google.protobuf.field_mask_pb2 import FieldMask

from monitord_client.calls import CHECK_TIMEOUT_S, Calls
from monitord_client.errors import NotFoundError
from monitord_client.times import timestamp
from monitord_client.v1 import monitor_service_pb2 as pb
from monitord_client.v1.check_log_pb2 import CheckLog
from monitord_client.v1.monitor_pb2 import Monitor, MonitorStatus, MonitorType
from monitord_client.v1.monitor_service_pb2_grpc import MonitorServiceStub

_APPLY_TIMEOUT_S = 30.0


class MonitorCalls:
    """What is checked, and how it does. ``timeout_s`` is each call's deadline, over all its attempts."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._monitors = MonitorServiceStub(calls.channel)

    async def create_monitor(
        self, monitor: Monitor, *, request_id: str | None = None, timeout_s: float | None = None
    ) -> Monitor:
        """Store a monitor and start to check it; return it as stored.

        ``request_id`` is made up when not given, so that a retry creates nothing twice.
        """
        request = pb.CreateMonitorRequest(monitor=monitor, request_id=request_id or str(uuid.uuid4()))
        answer = await self._calls.unary(self._monitors.CreateMonitor, request, safe=True, timeout_s=timeout_s)
        return answer.monitor

    async def get_monitor(self, monitor_id: int, *, timeout_s: float | None = None) -> Monitor:
        """Return one monitor."""
        request = pb.GetMonitorRequest(id=monitor_id)
        answer = await self._calls.unary(self._monitors.GetMonitor, request, safe=True, timeout_s=timeout_s)
        return answer.monitor

    def list_monitors(
        self,
        *,
        statuses: Iterable[MonitorStatus.ValueType] = (),
        types: Iterable[MonitorType.ValueType] = (),
        active: bool | None = None,
        labels: Mapping[str, str] | None = None,
        names: Iterable[str] = (),
        order: pb.MonitorOrder.ValueType = pb.MONITOR_ORDER_UNSPECIFIED,
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Monitor]:
        """Iterate over the monitors that meet all conditions, fetching pages as needed.

        ``timeout_s`` is the deadline of each page.
        """
        request = pb.ListMonitorsRequest(
            statuses=statuses, types=types, active=active, labels=labels, names=names, order=order, page_size=page_size
        )

        async def fetch(token: str) -> pb.ListMonitorsResponse:
            request.page_token = token
            return await self._calls.unary(self._monitors.ListMonitors, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.monitors, lambda page: page.next_page_token)

    async def update_monitor(
        self, monitor: Monitor, *, fields: Sequence[str] = (), timeout_s: float | None = None
    ) -> Monitor:
        """Change the fields that ``fields`` names (such as ``http.url``); none: every field that is set.

        With an etag in ``monitor``, raises EtagMismatchError when someone changed it since; such a call is never
        repeated, because its own first attempt would look like someone else's change.
        """
        mask = FieldMask(paths=fields) if fields else None
        request = pb.UpdateMonitorRequest(monitor=monitor, update_mask=mask)
        answer = await self._calls.unary(
            self._monitors.UpdateMonitor, request, safe=not monitor.etag, timeout_s=timeout_s
        )
        return answer.monitor

    async def delete_monitor(self, monitor_id: int, *, etag: str = "", timeout_s: float | None = None) -> None:
        """Delete a monitor, for ever."""
        request = pb.DeleteMonitorRequest(id=monitor_id, etag=etag)
        try:
            await self._calls.unary(self._monitors.DeleteMonitor, request, safe=True, timeout_s=timeout_s)
        except NotFoundError as error:
            if error.attempts == 1:
                raise
            # An attempt before, whose answer was lost, did it.

    async def pause_monitor(self, monitor_id: int, *, timeout_s: float | None = None) -> Monitor:
        """Stop checking until ``resume_monitor``; return the monitor."""
        request = pb.PauseMonitorRequest(id=monitor_id)
        answer = await self._calls.unary(self._monitors.PauseMonitor, request, safe=True, timeout_s=timeout_s)
        return answer.monitor

    async def resume_monitor(self, monitor_id: int, *, timeout_s: float | None = None) -> Monitor:
        """Check again; return the monitor."""
        request = pb.ResumeMonitorRequest(id=monitor_id)
        answer = await self._calls.unary(self._monitors.ResumeMonitor, request, safe=True, timeout_s=timeout_s)
        return answer.monitor

    async def check_now(self, monitor_id: int, *, timeout_s: float = CHECK_TIMEOUT_S) -> CheckLog:
        """Run one check, wait for it, and return it with its evidence. Never repeated: each attempt is a check."""
        request = pb.CheckNowRequest(id=monitor_id)
        answer = await self._calls.unary(self._monitors.CheckNow, request, safe=False, timeout_s=timeout_s)
        return answer.check_log

    async def test_monitor(self, monitor: Monitor, *, timeout_s: float = CHECK_TIMEOUT_S) -> CheckLog:
        """Check a configuration once, store nothing, and return the verdict with its evidence. Never repeated."""
        request = pb.TestMonitorRequest(monitor=monitor)
        answer = await self._calls.unary(self._monitors.TestMonitor, request, safe=False, timeout_s=timeout_s)
        return answer.check_log

    async def get_monitor_metrics(
        self,
        monitor_id: int,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        timeout_s: float | None = None,
    ) -> pb.GetMonitorMetricsResponse:
        """Return uptime and response times in [start, end); by default the last 24 hours."""
        request = pb.GetMonitorMetricsRequest(id=monitor_id, start_time=timestamp(start), end_time=timestamp(end))
        return await self._calls.unary(self._monitors.GetMonitorMetrics, request, safe=True, timeout_s=timeout_s)

    async def apply_monitors(
        self,
        monitors: Iterable[Monitor],
        *,
        prune: bool = False,
        dry_run: bool = False,
        request_id: str | None = None,
        timeout_s: float = _APPLY_TIMEOUT_S,
    ) -> list[pb.AppliedMonitor]:
        """Make the stored set equal to ``monitors``, by name, all of it or nothing; return what was done with each.

        ``prune`` also deletes those that the set does not name. ``dry_run`` only says what would be done.
        """
        request = pb.ApplyMonitorsRequest(
            monitors=monitors, prune=prune, dry_run=dry_run, request_id=request_id or str(uuid.uuid4())
        )
        answer = await self._calls.unary(self._monitors.ApplyMonitors, request, safe=True, timeout_s=timeout_s)
        return list(answer.results)
