"""The calls of MaintenanceService."""

import uuid
from collections.abc import AsyncIterator, Sequence

from google.protobuf.field_mask_pb2 import FieldMask

from monitord_client.calls import Calls
from monitord_client.errors import NotFoundError
from monitord_client.v1 import maintenance_service_pb2 as pb
from monitord_client.v1.maintenance_pb2 import MaintenanceWindow
from monitord_client.v1.maintenance_service_pb2_grpc import MaintenanceServiceStub


class MaintenanceCalls:
    """Times in which nobody is told of what checks find."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._windows = MaintenanceServiceStub(calls.channel)

    async def create_maintenance_window(
        self, window: MaintenanceWindow, *, request_id: str | None = None, timeout_s: float | None = None
    ) -> MaintenanceWindow:
        """Store a window; return it as stored.

        ``request_id`` is made up when not given, so that a retry creates nothing twice.
        """
        request = pb.CreateMaintenanceWindowRequest(window=window, request_id=request_id or str(uuid.uuid4()))
        answer = await self._calls.unary(self._windows.CreateMaintenanceWindow, request, safe=True, timeout_s=timeout_s)
        return answer.window

    async def get_maintenance_window(self, window_id: int, *, timeout_s: float | None = None) -> MaintenanceWindow:
        """Return one window."""
        request = pb.GetMaintenanceWindowRequest(id=window_id)
        answer = await self._calls.unary(self._windows.GetMaintenanceWindow, request, safe=True, timeout_s=timeout_s)
        return answer.window

    def list_maintenance_windows(
        self, *, page_size: int = 0, timeout_s: float | None = None
    ) -> AsyncIterator[MaintenanceWindow]:
        """Iterate over all windows, fetching pages as needed. ``timeout_s`` is the deadline of each page."""
        request = pb.ListMaintenanceWindowsRequest(page_size=page_size)

        async def fetch(token: str) -> pb.ListMaintenanceWindowsResponse:
            request.page_token = token
            return await self._calls.unary(
                self._windows.ListMaintenanceWindows, request, safe=True, timeout_s=timeout_s
            )

        return self._calls.pages(fetch, lambda page: page.windows, lambda page: page.next_page_token)

    async def update_maintenance_window(
        self, window: MaintenanceWindow, *, fields: Sequence[str] = (), timeout_s: float | None = None
    ) -> MaintenanceWindow:
        """Change the fields that ``fields`` names; none: every field that is set.

        With an etag in ``window``, raises EtagMismatchError when someone changed it since; such a call is never
        repeated, because its own first attempt would look like someone else's change.
        """
        mask = FieldMask(paths=fields) if fields else None
        request = pb.UpdateMaintenanceWindowRequest(window=window, update_mask=mask)
        answer = await self._calls.unary(
            self._windows.UpdateMaintenanceWindow, request, safe=not window.etag, timeout_s=timeout_s
        )
        return answer.window

    async def delete_maintenance_window(
        self, window_id: int, *, etag: str = "", timeout_s: float | None = None
    ) -> None:
        """Delete a window. Monitors that it covers are judged again from their next check on."""
        request = pb.DeleteMaintenanceWindowRequest(id=window_id, etag=etag)
        try:
            await self._calls.unary(self._windows.DeleteMaintenanceWindow, request, safe=True, timeout_s=timeout_s)
        except NotFoundError as error:
            if error.attempts == 1:
                raise
            # An attempt before, whose answer was lost, did it.
