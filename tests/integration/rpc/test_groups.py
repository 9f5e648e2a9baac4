"""Groups through the API."""

import pytest
from grpc import StatusCode

from monitord.v1 import group_check_pb2 as pb
from tests.integration.rpc.test_monitors import update
from tests.support.rpc_server import Api, refusal


async def test_a_group_is_made_read_and_changed(api: Api) -> None:
    one, two = await api.create(name="one"), await api.create(name="two")
    made = await api.create(name="both", http=None, group=pb.GroupCheck(monitor_ids=[two.id, one.id, two.id], min_up=1))
    assert list(made.group.monitor_ids) == [two.id, one.id]
    made.group.labels["env"] = "prod"
    made.group.ClearField("monitor_ids")
    after = await update(api, made, "group.monitor_ids", "group.labels")
    assert (list(after.group.monitor_ids), dict(after.group.labels), after.group.min_up) == ([], {"env": "prod"}, 1)


async def test_nobody_groups_what_is_anothers(api: Api) -> None:
    """(T9)"""
    own, theirs = await api.create(), await api.create(api.bob)
    refused = await refusal(api.create(name="all", http=None, group=pb.GroupCheck(monitor_ids=[own.id, theirs.id])))
    assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "NOT_FOUND")
    made = await api.create(name="all", http=None, group=pb.GroupCheck(monitor_ids=[own.id]))
    made.group.monitor_ids.append(theirs.id)
    refused = await refusal(update(api, made, "group.monitor_ids"))
    assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "NOT_FOUND")


@pytest.mark.parametrize(
    ("group", "field"),
    [
        (pb.GroupCheck(), "monitor.group.monitor_ids"),
        (pb.GroupCheck(monitor_ids=[-1]), "monitor.group.monitor_ids[0]"),
        (pb.GroupCheck(monitor_ids=[1], min_up=2), "monitor.group.min_up"),
    ],
)
async def test_what_is_wrong_is_told_with_its_path(api: Api, group: pb.GroupCheck, field: str) -> None:
    refused = await refusal(api.create(name="all", http=None, group=group))
    assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, [field])


async def test_a_group_that_would_hold_itself_is_refused(api: Api) -> None:
    own = await api.create()
    made = await api.create(name="all", http=None, group=pb.GroupCheck(monitor_ids=[own.id]))
    made.group.monitor_ids.append(made.id)
    refused = await refusal(update(api, made, "group.monitor_ids"))
    assert refused.violations == {
        "monitor.group.monitor_ids": "must not lead back to the monitor itself: it would depend on itself"
    }
