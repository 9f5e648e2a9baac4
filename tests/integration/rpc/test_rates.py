"""How often may be called, over real connections: the clock alone is the test's."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from monitord.identity import api_keys
from monitord.rpc.rates import CallRates, Rate
from monitord.storage.database import Database
from monitord.v1 import auth_service_pb2 as pb
from monitord.v1 import monitor_service_pb2
from tests.integration.identity.conftest import ADMIN, PASSWORD
from tests.support.clock import HandClock
from tests.support.connect import bridged
from tests.support.rpc_server import Api, Refusal, refusal, running_api

PROVEN, UNPROVEN = 10, 4
LIST = "/monitord.v1.MonitorService/ListMonitors"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def api(database: Database, clock: HandClock) -> AsyncIterator[Api]:
    rates = CallRates(Rate(2.0, PROVEN), Rate(1.0, UNPROVEN), clock=clock)
    async with running_api(database, rates=rates) as running:
        yield running


async def listed(api: Api, metadata: Any) -> None:
    await api.monitors.ListMonitors(monitor_service_pb2.ListMonitorsRequest(), metadata=metadata)


async def flood(api: Api, metadata: Any, times: int) -> list[Refusal]:
    """Call as often at the same time; return how the refused ones were."""
    answers = await asyncio.gather(*(refused(listed(api, metadata)) for _ in range(times)))
    return [answer for answer in answers if answer is not None]


async def refused(call: Any) -> Refusal | None:
    try:
        return await refusal(call)
    except AssertionError:
        return None


def invented() -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {api_keys.generate()[1]}"),)


async def test_a_credential_is_limited_and_no_other(api: Api, clock: HandClock) -> None:
    """(T18)"""
    over = await flood(api, api.ann.metadata, PROVEN + 5)
    assert len(over) == 5
    assert {(one.code, one.reason, one.retry_s) for one in over} == {
        (StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED", 0.5)
    }
    assert "Too many calls with this credential: 2 a second are served, and 10 at once" in over[0].message
    await listed(api, api.bob.metadata)
    clock.now_s += 0.5
    assert len(await flood(api, api.ann.metadata, 2)) == 1


async def test_a_flood_of_invented_keys_shuts_nobody_out_who_was_in(
    api: Api, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(T14, T18)"""
    looked_up: list[str | None] = []
    authenticate = api.identity.authenticator.authenticate

    async def counted(authorization: str | None, *where: Any) -> Any:
        looked_up.append(authorization)
        return await authenticate(authorization, *where)

    monkeypatch.setattr(api.identity.authenticator, "authenticate", counted)
    await listed(api, api.ann.metadata)
    looked_up.clear()
    answers = await asyncio.gather(*(refusal(listed(api, invented())) for _ in range(50)))
    codes = [answer.code for answer in answers]
    assert len(looked_up) == UNPROVEN
    assert codes.count(StatusCode.UNAUTHENTICATED) == UNPROVEN
    assert codes.count(StatusCode.RESOURCE_EXHAUSTED) == 50 - UNPROVEN
    await listed(api, api.ann.metadata)
    login = pb.LoginRequest(email=ADMIN, password=PASSWORD)
    shut = await refusal(api.auth.Login(login))
    assert (shut.code, shut.reason, shut.retry_s) == (StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED", 1.0)
    assert "without a proof of identity from your network" in shut.message
    clock.now_s += 1.0
    assert (await api.auth.Login(login)).tokens.access_token


async def test_load_balancers_are_never_refused_and_reflection_is(api: Api) -> None:
    untyped: Any = api.channel
    health: Any = health_pb2_grpc.HealthStub(untyped)
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(untyped)
    asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
    for _ in range(UNPROVEN):
        async for _answer in reflection.ServerReflectionInfo(iter(asked)):
            pass
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _answer in reflection.ServerReflectionInfo(iter(asked)):
            pass
    assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
    for _ in range(10 * UNPROVEN):
        assert (await health.Check(health_pb2.HealthCheckRequest())).status
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert (await anext(aiter(watch))).status
    watch.cancel()


async def test_a_browser_is_told_by_429_when_to_come_back(api: Api) -> None:
    async with bridged(api) as web:
        assert len(await flood(api, api.ann.metadata, PROVEN + 1)) == 1, "its credential counts, whichever door it took"
        error = await web.refused(LIST)
        assert (error.code, error.reason, error.retry_s) == ("resource_exhausted", "LIMIT_REACHED", 0.5)
        for _ in range(UNPROVEN):
            assert (await web.refused(LIST, user=None)).code == "unauthenticated"
        error = await web.refused(LIST, user=None)
        assert (error.code, error.retry_s) == ("resource_exhausted", 1.0)
