"""Keys for some monitors, and lists of networks: what they let through, and what not."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode

from monitord.rpc.permissions import RULES
from monitord.v1 import (
    auth_pb2,
    auth_service_pb2,
    check_log_service_pb2,
    heartbeat_check_pb2,
    heartbeat_service_pb2,
    incident_service_pb2,
    monitor_pb2,
    monitor_service_pb2,
    organisation_pb2,
    organisation_service_pb2,
)
from tests.conformance.test_contract import OURS, methods, path_of
from tests.support.rpc_server import Api, Refusal, refusal

Metadata = tuple[tuple[str, str], ...]
TEAM = {"team": "shop", "env": "prod"}


async def key(api: Api, **wish: Any) -> Metadata:
    request = auth_service_pb2.CreateApiKeyRequest(display_name="ci", scope=auth_pb2.SCOPE_ADMIN, **wish)
    made = await api.auth.CreateApiKey(request, metadata=api.ann.metadata)
    assert dict(made.api_key.labels) == wish.get("labels", {})
    assert list(made.api_key.allowed_networks) == wish.get("allowed_networks", [])
    return (("authorization", f"Bearer {made.secret}"),)


def denied(refused: Refusal) -> bool:
    return (refused.code, refused.reason) == (StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")


async def test_a_key_for_some_monitors_sees_and_changes_those_alone(api: Api) -> None:
    """T9, within an organisation."""
    mine = await api.create(labels={**TEAM, "more": "x"})
    other = await api.create(name="other", labels={"team": "shop"})
    limited = await key(api, labels=TEAM)

    listed = await api.monitors.ListMonitors(monitor_service_pb2.ListMonitorsRequest(), metadata=limited)
    assert [monitor.id for monitor in listed.monitors] == [mine.id]
    got = await api.monitors.GetMonitor(monitor_service_pb2.GetMonitorRequest(id=mine.id), metadata=limited)
    assert got.monitor.id == mine.id
    await api.monitors.PauseMonitor(monitor_service_pb2.PauseMonitorRequest(id=mine.id), metadata=limited)
    await api.check_logs.ListCheckLogs(check_log_service_pb2.ListCheckLogsRequest(monitor_id=mine.id), metadata=limited)
    await api.incidents.ListIncidents(incident_service_pb2.ListIncidentsRequest(monitor_id=mine.id), metadata=limited)
    other_labels = monitor_service_pb2.ListMonitorsRequest(labels={"team": "else"})
    assert denied(await refusal(api.monitors.ListMonitors(other_labels, metadata=limited)))
    calls: list[Callable[[int], Awaitable[Any]]] = [
        lambda id_: api.monitors.GetMonitor(monitor_service_pb2.GetMonitorRequest(id=id_), metadata=limited),
        lambda id_: api.monitors.DeleteMonitor(monitor_service_pb2.DeleteMonitorRequest(id=id_), metadata=limited),
        lambda id_: api.monitors.CheckNow(monitor_service_pb2.CheckNowRequest(id=id_), metadata=limited),
        lambda id_: api.monitors.UpdateMonitor(
            monitor_service_pb2.UpdateMonitorRequest(monitor=monitor_pb2.Monitor(id=id_, name="x")), metadata=limited
        ),
        lambda id_: api.check_logs.ListCheckLogs(
            check_log_service_pb2.ListCheckLogsRequest(monitor_id=id_), metadata=limited
        ),
    ]
    for call in calls:
        for hidden in (other.id, 999_999):
            refused = await refusal(call(hidden))
            assert (refused.code, refused.message) == (StatusCode.NOT_FOUND, f"There is no monitor {hidden}.")
    assert api.engine.checked == []


async def test_it_tails_what_it_names(api: Api) -> None:
    mine = await api.create(labels=TEAM)
    other = await api.create(name="other")
    limited = await key(api, labels=TEAM)

    def tail(*ids: int) -> Any:
        request = check_log_service_pb2.TailCheckLogsRequest(monitor_ids=ids)
        return api.check_logs.TailCheckLogs(request, metadata=limited, timeout=5).read()

    assert denied(await refusal(tail()))
    assert (await refusal(tail(mine.id, other.id))).code == StatusCode.NOT_FOUND
    assert api.feed.asked == []
    api.feed.events.put_nowait(None)
    await tail(mine.id)
    assert [asked[1] for asked in api.feed.asked] == [[mine.id]]


async def test_it_makes_only_what_it_may_see_and_gives_nothing_away(api: Api) -> None:
    limited = await key(api, labels=TEAM)

    async def create(**fields: Any) -> Any:
        wish = {"name": "new", "http": {"url": "https://example.org/"}, "labels": TEAM} | fields
        request = monitor_service_pb2.CreateMonitorRequest(monitor=monitor_pb2.Monitor(**wish))
        return await api.monitors.CreateMonitor(request, metadata=limited)

    assert denied(await refusal(create(labels={"team": "shop"})))
    assert denied(await refusal(create(http=None, group={"labels": {"a": "b"}, "min_up": 1})))
    other = await api.create(name="other")
    assert denied(await refusal(create(parent_ids=[other.id])))
    made = (await create()).monitor
    change = monitor_pb2.Monitor(id=made.id, labels={"team": "shop"})
    request = monitor_service_pb2.UpdateMonitorRequest(monitor=change)
    assert denied(await refusal(api.monitors.UpdateMonitor(request, metadata=limited)))


async def test_all_else_is_none_of_its_business(api: Api) -> None:
    """Deny by default: a method is let through where its rule says how it names monitors, and nowhere else."""
    limited = await key(api, labels=TEAM)
    for method in methods(OURS):
        rule = RULES[path_of(method)]
        if rule.scope is None or rule.monitors == "" or method.server_streaming:
            continue
        call: Any = api.channel.unary_unary(path_of(method), None, GetMessageClass(method.output_type).FromString)
        refused = await refusal(call(b"", metadata=limited))
        assert denied(refused), method.full_name
        assert "team=shop" in refused.message
    let_through = {method.name for method in methods(OURS) if RULES[path_of(method)].monitors is not None}
    assert let_through == {
        *("CreateMonitor", "GetMonitor", "ListMonitors", "UpdateMonitor", "DeleteMonitor", "PauseMonitor"),
        *("ResumeMonitor", "CheckNow", "GetMonitorMetrics", "ListCheckLogs", "GetCheckLog", "TailCheckLogs"),
        *("Ping", "ListPings", "ListIncidents"),
    }


async def test_a_job_may_have_a_key_for_itself(api: Api) -> None:
    beat = heartbeat_check_pb2.HeartbeatCheck()
    beat.period.seconds = 60
    job = await api.create(name="job", http=None, heartbeat=beat, labels={"job": "backup"})
    limited = await key(api, labels={"job": "backup"})
    await api.heartbeats.Ping(
        heartbeat_service_pb2.PingRequest(monitor_id=job.id, kind=heartbeat_service_pb2.PING_KIND_SUCCESS),
        metadata=limited,
    )


async def test_a_key_for_a_network_is_worthless_elsewhere(api: Api) -> None:
    here = await key(api, allowed_networks=["127.0.0.0/8"])
    elsewhere = await key(api, allowed_networks=["192.0.2.0/24", "2001:db8::/32"])
    request = monitor_service_pb2.ListMonitorsRequest()
    await api.monitors.ListMonitors(request, metadata=here)
    refused = await refusal(api.monitors.ListMonitors(request, metadata=elsewhere))
    assert (refused.code, refused.reason) == (StatusCode.PERMISSION_DENIED, "ADDRESS_NOT_ALLOWED")
    assert "127.0.0.1" in refused.message

    wider = auth_service_pb2.CreateApiKeyRequest(
        display_name="x", scope=auth_pb2.SCOPE_READ, allowed_networks=["0.0.0.0/0"]
    )
    assert denied(await refusal(api.auth.CreateApiKey(wider, metadata=here)))
    same = auth_service_pb2.CreateApiKeyRequest(display_name="x", scope=auth_pb2.SCOPE_READ)
    made = await api.auth.CreateApiKey(same, metadata=here)
    assert list(made.api_key.allowed_networks) == ["127.0.0.0/8"], "never more than its maker's"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"allowed_networks": ["example.org"]}, "allowed_networks[0]"),
        ({"allowed_networks": ["192.0.2.1/24"]}, "allowed_networks[0]"),
        ({"allowed_networks": ["192.0.2.1"] * 101}, "allowed_networks"),
        ({"labels": {"a b": "c"}}, "labels"),
    ],
)
async def test_wrong_wishes_are_told(api: Api, wish: dict[str, Any], field: str) -> None:
    request = auth_service_pb2.CreateApiKeyRequest(display_name="ci", scope=auth_pb2.SCOPE_READ, **wish)
    refused = await refusal(api.auth.CreateApiKey(request, metadata=api.ann.metadata))
    assert set(refused.violations) == {field}


async def test_an_organisation_may_be_closed_to_other_networks(api: Api) -> None:
    async def fence(*networks: str) -> organisation_pb2.Organisation:
        request = organisation_service_pb2.UpdateOrganisationRequest(
            organisation=organisation_pb2.Organisation(allowed_networks=networks)
        )
        request.update_mask.paths.append("allowed_networks")
        answer = await api.organisations.UpdateOrganisation(request, metadata=api.ann.metadata)
        return answer.organisation

    refused = await refusal(fence("192.0.2.0/24"))
    assert set(refused.violations) == {"organisation.allowed_networks"}
    assert "lock yourself out" in refused.message
    fenced = await fence("127.0.0.1", "192.0.2.0/24")
    assert list(fenced.allowed_networks) == ["127.0.0.1/32", "192.0.2.0/24"]
    await api.monitors.ListMonitors(monitor_service_pb2.ListMonitorsRequest(), metadata=api.ann.metadata)
    async with api.database.transaction() as tx:
        await tx.execute("UPDATE organisations SET allowed_networks = '{192.0.2.0/24}' WHERE id = $1", fenced.id)
    api.identity.authenticator.forget_organisation(fenced.id)
    refused = await refusal(
        api.monitors.ListMonitors(monitor_service_pb2.ListMonitorsRequest(), metadata=api.ann.metadata)
    )
    assert refused.reason == "ADDRESS_NOT_ALLOWED"
