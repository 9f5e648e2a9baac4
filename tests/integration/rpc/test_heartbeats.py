"""HeartbeatService, and the URL that a heartbeat shows."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from monitord.domain.heartbeat import PingKind
from monitord.v1 import (
    auth_pb2,
    auth_service_pb2,
    heartbeat_check_pb2,
    heartbeat_service_pb2,
    monitor_pb2,
    monitor_service_pb2,
)
from tests.support.rpc_server import Api, refusal

pb: Any = heartbeat_service_pb2


async def job(api: Api, **fields: Any) -> monitor_pb2.Monitor:
    check = heartbeat_check_pb2.HeartbeatCheck(period=Duration(seconds=60))
    return await api.create(**({"name": "job", "http": None, "heartbeat": check} | fields))


async def tell(api: Api, monitor_id: int, **fields: Any) -> None:
    await api.heartbeats.Ping(pb.PingRequest(monitor_id=monitor_id, **fields), metadata=api.ann.metadata)


def test_the_kinds_are_the_domains() -> None:
    assert {name.removeprefix("PING_KIND_"): number for name, number in pb.PingKind.items() if number} == {
        kind.name: kind.value for kind in PingKind
    }


async def test_words_are_listed_newest_first_page_by_page(api: Api) -> None:
    made = await job(api)
    await tell(api, made.id, kind=pb.PING_KIND_START)
    await tell(api, made.id, exit_code=0)
    await tell(api, made.id, exit_code=7, body=b"\xff")
    first = await api.heartbeats.ListPings(
        pb.ListPingsRequest(monitor_id=made.id, page_size=2), metadata=api.ann.metadata
    )
    assert [(one.kind, one.exit_code, one.body, one.source) for one in first.pings] == [
        (pb.PING_KIND_FAIL, 7, b"\xff", "grpc"),
        (pb.PING_KIND_SUCCESS, 0, b"", "grpc"),
    ]
    rest = await api.heartbeats.ListPings(
        pb.ListPingsRequest(monitor_id=made.id, page_size=2, page_token=first.next_page_token),
        metadata=api.ann.metadata,
    )
    assert [(one.kind, one.HasField("exit_code")) for one in rest.pings] == [(pb.PING_KIND_START, False)]
    assert not rest.next_page_token


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"exit_code": 256}, "exit_code"),
        ({"exit_code": -1}, "exit_code"),
        ({"kind": 99}, "kind"),
        ({"kind": 1, "exit_code": 1}, "kind"),
        ({"kind": 2, "exit_code": 0}, "kind"),
        ({"body": b"x" * 10_241}, "body"),
    ],
)
async def test_wrong_words_are_refused(api: Api, fields: dict[str, Any], field: str) -> None:
    made = await job(api)
    refused = await refusal(tell(api, made.id, **fields))
    assert refused.code is StatusCode.INVALID_ARGUMENT
    assert field in refused.message


async def test_only_heartbeats_are_told_of(api: Api) -> None:
    web = await api.create()
    assert (await refusal(tell(api, web.id))).code is StatusCode.NOT_FOUND


async def test_the_url_is_shown_to_those_who_may_write(api: Api) -> None:
    made = await job(api)
    assert made.heartbeat.ping_url == f"http://ping.test/{made.id}/0"
    get = monitor_service_pb2.GetMonitorRequest(id=made.id)
    assert (
        await api.monitors.GetMonitor(get, metadata=api.ann.metadata)
    ).monitor.heartbeat.ping_url == made.heartbeat.ping_url
    wish = auth_service_pb2.CreateApiKeyRequest(display_name="reader", scope=auth_pb2.SCOPE_READ)
    reader = (await api.auth.CreateApiKey(wish, metadata=api.ann.metadata)).secret
    shown = (await api.monitors.GetMonitor(get, metadata=(("authorization", f"Bearer {reader}"),))).monitor
    assert shown.heartbeat.period.seconds == 60
    assert not shown.heartbeat.ping_url


async def test_a_repeated_request_gets_the_url_too(api: Api) -> None:
    wish = monitor_pb2.Monitor(name="job", heartbeat=heartbeat_check_pb2.HeartbeatCheck(period=Duration(seconds=60)))
    request = monitor_service_pb2.CreateMonitorRequest(monitor=wish, request_id="6f1d3a5e-8a1c-4a53-9d5b-0c1a2b3c4d5e")
    answers = [(await api.monitors.CreateMonitor(request, metadata=api.ann.metadata)).monitor for _ in range(2)]
    assert answers[0].heartbeat.ping_url == answers[1].heartbeat.ping_url == f"http://ping.test/{answers[0].id}/0"


async def test_another_version_makes_another_url(api: Api) -> None:
    made = await job(api)
    made.heartbeat.ping_url_version = 1
    request = monitor_service_pb2.UpdateMonitorRequest(monitor=made)
    changed = (await api.monitors.UpdateMonitor(request, metadata=api.ann.metadata)).monitor
    assert changed.heartbeat.ping_url == f"http://ping.test/{made.id}/1"
