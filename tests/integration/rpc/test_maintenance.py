"""MaintenanceService, through gRPC to Postgres and back."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from monitord.domain.instant import SECOND
from monitord.rpc.convert_time import timestamp_pb
from monitord.v1 import maintenance_pb2
from monitord.v1 import maintenance_service_pb2 as pb
from tests.support.rpc_server import NOW, Api, refusal


def nightly(name: str = "backups", **fields: object) -> maintenance_pb2.MaintenanceWindow:
    window = maintenance_pb2.MaintenanceWindow(name=name, **fields)  # type: ignore[arg-type]
    window.recurring.cron.expression = "30 2 * * *"
    window.recurring.cron.time_zone = "Europe/Berlin"
    window.recurring.duration.seconds = 3600
    return window


async def create(
    api: Api, window: maintenance_pb2.MaintenanceWindow, request_id: str = ""
) -> maintenance_pb2.MaintenanceWindow:
    request = pb.CreateMaintenanceWindowRequest(window=window, request_id=request_id)
    return (await api.maintenance.CreateMaintenanceWindow(request, metadata=api.ann.metadata)).window


async def update(api: Api, window: maintenance_pb2.MaintenanceWindow, *paths: str) -> maintenance_pb2.MaintenanceWindow:
    request = pb.UpdateMaintenanceWindowRequest(window=window, update_mask=FieldMask(paths=paths))
    return (await api.maintenance.UpdateMaintenanceWindow(request, metadata=api.ann.metadata)).window


async def test_what_is_created_is_read_back_and_the_engine_is_told(api: Api) -> None:
    made = await create(api, nightly(labels={"team": "shop"}))
    assert (made.id, made.etag, made.active) == (1, "v1", True)
    assert made.HasField("next_start_time")
    got = await api.maintenance.GetMaintenanceWindow(
        pb.GetMaintenanceWindowRequest(id=made.id), metadata=api.ann.metadata
    )
    assert got.window == made
    assert api.engine.calendar_changes == 1


async def test_once_and_open_now(api: Api) -> None:
    window = maintenance_pb2.MaintenanceWindow(name="move")
    window.once.start_time.CopyFrom(timestamp_pb(NOW - SECOND))
    window.once.end_time.CopyFrom(timestamp_pb(NOW + SECOND))
    made = await create(api, window)
    assert made.open
    assert not made.HasField("next_start_time")


async def test_the_same_request_creates_one(api: Api) -> None:
    """(I14)"""
    uuid = "6f1d3a5e-8a1c-4a53-9d5b-0c1a2b3c4d5e"
    assert (await create(api, nightly(), uuid)) == (await create(api, nightly(), uuid))
    listed = await api.maintenance.ListMaintenanceWindows(pb.ListMaintenanceWindowsRequest(), metadata=api.ann.metadata)
    assert len(listed.windows) == 1


async def test_changes(api: Api) -> None:
    made = await create(api, nightly())
    changed = await update(api, maintenance_pb2.MaintenanceWindow(id=made.id, name="new", etag=made.etag), "name")
    assert (changed.name, changed.recurring, changed.etag) == ("new", made.recurring, "v2")
    off = maintenance_pb2.MaintenanceWindow(id=made.id, active=False)
    assert not (await update(api, off)).active
    once = maintenance_pb2.MaintenanceWindow(id=made.id)
    once.once.start_time.CopyFrom(timestamp_pb(NOW))
    once.once.end_time.CopyFrom(timestamp_pb(NOW + SECOND))
    assert (await update(api, once)).WhichOneof("schedule") == "once"
    stale = await refusal(update(api, maintenance_pb2.MaintenanceWindow(id=made.id, name="x", etag="v1"), "name"))
    assert stale.code is StatusCode.ABORTED
    wrong = await refusal(update(api, maintenance_pb2.MaintenanceWindow(id=made.id), "open"))
    assert "recurring" in wrong.violations["update_mask"]


async def test_pages(api: Api) -> None:
    for number in range(3):
        await create(api, nightly(f"w{number}"))
    names, token = [], ""
    for _ in range(3):
        page = await api.maintenance.ListMaintenanceWindows(
            pb.ListMaintenanceWindowsRequest(page_size=1, page_token=token), metadata=api.ann.metadata
        )
        names += [window.name for window in page.windows]
        token = page.next_page_token
    assert (names, token) == (["w0", "w1", "w2"], "")


async def test_deletion(api: Api) -> None:
    made = await create(api, nightly())
    request = pb.DeleteMaintenanceWindowRequest(id=made.id)
    await api.maintenance.DeleteMaintenanceWindow(request, metadata=api.ann.metadata)
    gone = await refusal(api.maintenance.DeleteMaintenanceWindow(request, metadata=api.ann.metadata))
    assert gone.code is StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "window.name"),
        ({"recurring": {"cron": {"expression": "every night"}}}, "window.recurring.cron.expression"),
        ({"recurring": None}, "window.once"),
        ({"once": {}}, "window.once.start_time"),
    ],
)
async def test_bad_windows_are_told_what_would_be_right(api: Api, change: dict[str, object], field: str) -> None:
    window = nightly()
    for name, value in change.items():
        if name == "recurring":
            window.ClearField("recurring")
            if value is not None:
                window.recurring.duration.seconds = 60
                window.recurring.cron.expression = "every night"
        elif name == "once":
            window.once.SetInParent()
        else:
            setattr(window, name, value)
    refused = await refusal(create(api, window))
    assert refused.code is StatusCode.INVALID_ARGUMENT
    assert field in refused.violations


async def test_a_monitor_that_is_not_there_is_told(api: Api) -> None:
    """(T9) And another's looks the same, also in a change."""
    foreign = (await api.create(api.bob)).id
    made = await create(api, nightly())
    for monitor_id in (12345, foreign):
        for act in (
            create(api, nightly(monitor_ids=[monitor_id])),
            update(api, maintenance_pb2.MaintenanceWindow(id=made.id, monitor_ids=[monitor_id])),
        ):
            assert (await refusal(act)).code is StatusCode.NOT_FOUND
