"""MaintenanceService: from messages to the store, and back. Handlers convert, call, convert."""

# ruff: noqa: N802 (the generated base class names the methods)

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import grpc
import msgspec

from monitord.domain.instant import Instant
from monitord.domain.maintenance import MaintenanceSpec, MaintenanceWindow
from monitord.rpc import context as call
from monitord.rpc.convert_maintenance import edited, paths_of, read_window, window_pb
from monitord.rpc.convert_monitor import version_of
from monitord.rpc.paging import KeyNumber, decode_page_token, encode_page_token, fill, fingerprint, page_size
from monitord.rpc.requests import RequestLedger, require_id, require_request_id
from monitord.v1 import maintenance_service_pb2 as pb
from monitord.v1 import maintenance_service_pb2_grpc

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class _Key(msgspec.Struct, frozen=True, array_like=True):
    id: KeyNumber


class MaintenanceStore(Protocol):
    """Where windows are stored. The organisation comes first everywhere (T9); another's window is NotFoundError."""

    async def create(self, org_id: int, spec: MaintenanceSpec, *, tx: Any = None) -> MaintenanceWindow:
        """Store a window."""
        ...

    async def get(self, org_id: int, window_id: int) -> MaintenanceWindow:
        """Return a window."""
        ...

    async def list(self, org_id: int, after: int, limit: int) -> Sequence[MaintenanceWindow]:
        """Return at most ``limit`` windows with ids above ``after``."""
        ...

    async def update(
        self,
        org_id: int,
        window_id: int,
        edit: Callable[[MaintenanceSpec], MaintenanceSpec],
        *,
        expected_version: int | None = None,
    ) -> MaintenanceWindow:
        """Change a window; raise EtagMismatchError when it has another version than expected."""
        ...

    async def delete(self, org_id: int, window_id: int, *, expected_version: int | None = None) -> None:
        """Delete a window; raise EtagMismatchError when it has another version than expected."""
        ...


class MaintenanceService(maintenance_service_pb2_grpc.MaintenanceServiceServicer):
    """Serves MaintenanceService. Whose windows are meant comes from the call's context alone (T10)."""

    def __init__(
        self,
        store: MaintenanceStore,
        requests: RequestLedger,
        *,
        changed: Callable[[], None],
        now: Callable[[], Instant],
    ) -> None:
        """Take where windows are stored, and whom to tell that they changed."""
        self._store = store
        self._requests = requests
        self._changed = changed
        self._now = now

    async def CreateMaintenanceWindow(
        self, request: pb.CreateMaintenanceWindowRequest, context: Context
    ) -> pb.CreateMaintenanceWindowResponse:
        """Store a window."""
        org_id = call.principal().org_id
        request_id = require_request_id(request.request_id)
        spec = read_window(request.window)

        async def create(tx: Any = None) -> pb.CreateMaintenanceWindowResponse:
            window = await self._store.create(org_id, spec, tx=tx)
            return pb.CreateMaintenanceWindowResponse(window=window_pb(window, self._now()))

        async def create_in(tx: Any) -> bytes:
            return (await create(tx)).SerializeToString()

        if request_id:
            asked = request.SerializeToString(deterministic=True)
            answer = await self._requests.once(org_id, "CreateMaintenanceWindow", request_id, asked, create_in)
            response = pb.CreateMaintenanceWindowResponse.FromString(answer)
        else:
            response = await create()
        self._changed()
        return response

    async def GetMaintenanceWindow(
        self, request: pb.GetMaintenanceWindowRequest, context: Context
    ) -> pb.GetMaintenanceWindowResponse:
        """Return a window."""
        window = await self._store.get(call.principal().org_id, _require_id(request.id))
        return pb.GetMaintenanceWindowResponse(window=window_pb(window, self._now()))

    async def ListMaintenanceWindows(
        self, request: pb.ListMaintenanceWindowsRequest, context: Context
    ) -> pb.ListMaintenanceWindowsResponse:
        """Return a page of windows."""
        org_id = call.principal().org_id
        size, query = page_size(request.page_size), fingerprint(org_id, request)
        after = decode_page_token(query, request.page_token, _Key).id if request.page_token else 0
        windows = await self._store.list(org_id, after, size + 1)
        messages = fill(windows, size, lambda window: window_pb(window, self._now()))
        taken = len(messages)
        token = "" if taken == len(windows) else encode_page_token(query, _Key(windows[taken - 1].id))
        return pb.ListMaintenanceWindowsResponse(windows=messages, next_page_token=token)

    async def UpdateMaintenanceWindow(
        self, request: pb.UpdateMaintenanceWindowRequest, context: Context
    ) -> pb.UpdateMaintenanceWindowResponse:
        """Change a window."""
        window_id = _require_id(request.window.id, "window.id")
        paths = paths_of(request.window, request.update_mask.paths)
        window = await self._store.update(
            call.principal().org_id,
            window_id,
            lambda stored: edited(stored, request.window, paths),
            expected_version=version_of(request.window.etag),
        )
        self._changed()
        return pb.UpdateMaintenanceWindowResponse(window=window_pb(window, self._now()))

    async def DeleteMaintenanceWindow(
        self, request: pb.DeleteMaintenanceWindowRequest, context: Context
    ) -> pb.DeleteMaintenanceWindowResponse:
        """Delete a window."""
        await self._store.delete(
            call.principal().org_id, _require_id(request.id), expected_version=version_of(request.etag)
        )
        self._changed()
        return pb.DeleteMaintenanceWindowResponse()


def _require_id(value: int, field: str = "id") -> int:
    return require_id(value, field, "maintenance window")
