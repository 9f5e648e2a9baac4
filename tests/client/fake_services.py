"""The services of the stand-in that keep lists of their own: maintenance windows, and the words of jobs."""

# ruff: noqa: N802 - the contract names these methods

import uuid
from typing import Any

import grpc
from google.protobuf.message import Message

from monitord_client.v1 import heartbeat_service_pb2 as heartbeats
from monitord_client.v1 import maintenance_service_pb2 as maintenance
from monitord_client.v1.heartbeat_service_pb2_grpc import HeartbeatServiceServicer
from monitord_client.v1.maintenance_pb2 import MaintenanceWindow
from monitord_client.v1.maintenance_service_pb2_grpc import MaintenanceServiceServicer

WRITABLE = {"name", "once", "recurring", "monitor_ids", "labels", "active"}


class FakeMaintenance(MaintenanceServiceServicer):
    """Windows, by the letter of the contract."""

    windows: dict[int, MaintenanceWindow]

    def open_window(self, window: MaintenanceWindow) -> MaintenanceWindow:
        stored = MaintenanceWindow()
        stored.CopyFrom(window)
        stored.id, stored.etag = len(self.windows) + 1, uuid.uuid4().hex
        if not stored.HasField("active"):
            stored.active = True
        self.windows[stored.id] = stored
        return stored

    async def _window(self: Any, window_id: int, etag: str, context: Any) -> MaintenanceWindow:
        if window_id not in self.windows:
            await self.refuse(context, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", f"there is no window {window_id}")
        stored: MaintenanceWindow = self.windows[window_id]
        if etag and etag != stored.etag:
            await self.refuse(context, grpc.StatusCode.ABORTED, "ETAG_MISMATCH", "it was changed")
        return stored

    async def CreateMaintenanceWindow(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("CreateMaintenanceWindow", request, context)
        if request.window.WhichOneof("schedule") is None:
            await self.refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "no schedule")
        answer = await self._once(
            request,
            context,
            lambda: maintenance.CreateMaintenanceWindowResponse(window=self.open_window(request.window)),
        )
        await self._leave(context, fault)
        return answer

    async def GetMaintenanceWindow(self: Any, request: Any, context: Any) -> Any:
        await self._enter("GetMaintenanceWindow", request, context)
        return maintenance.GetMaintenanceWindowResponse(window=await self._window(request.id, "", context))

    async def ListMaintenanceWindows(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ListMaintenanceWindows", request, context)
        page, token = await self._page(list(self.windows.values()), request, context)
        return maintenance.ListMaintenanceWindowsResponse(windows=page, next_page_token=token)

    async def UpdateMaintenanceWindow(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("UpdateMaintenanceWindow", request, context)
        stored = await self._window(request.window.id, request.window.etag, context)
        assert set(request.update_mask.paths) <= WRITABLE
        request.update_mask.MergeMessage(request.window, stored, True, True)
        stored.etag = uuid.uuid4().hex
        await self._leave(context, fault)
        return maintenance.UpdateMaintenanceWindowResponse(window=stored)

    async def DeleteMaintenanceWindow(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("DeleteMaintenanceWindow", request, context)
        await self._window(request.id, request.etag, context)
        del self.windows[request.id]
        await self._leave(context, fault)
        return maintenance.DeleteMaintenanceWindowResponse()


class FakeHeartbeats(HeartbeatServiceServicer):
    """Words of jobs, kept in order."""

    words: dict[int, list[Message]]

    async def Ping(self: Any, request: Any, context: Any) -> Any:
        await self._enter("Ping", request, context)
        monitor = await self._monitor(request.monitor_id, context)
        if not monitor.HasField("heartbeat") or len(request.body) > 10 * 1024:
            await self.refuse(context, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "it is no heartbeat")
        failed = request.HasField("exit_code") and request.exit_code != 0
        kind = request.kind or (heartbeats.PING_KIND_FAIL if failed else heartbeats.PING_KIND_SUCCESS)
        words = self.words.setdefault(request.monitor_id, [])
        word = heartbeats.Ping(id=len(words) + 1, kind=kind, body=request.body, source="grpc")
        if request.HasField("exit_code"):
            word.exit_code = request.exit_code
        word.receive_time.GetCurrentTime()
        words.append(word)
        return heartbeats.PingResponse()

    async def ListPings(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ListPings", request, context)
        page, token = await self._page(self.words.get(request.monitor_id, [])[::-1], request, context)
        return heartbeats.ListPingsResponse(pings=page, next_page_token=token)
