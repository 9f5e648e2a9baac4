"""The port, the health and the end of the server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from monitord.domain.audit import AuditEvent, AuditQuery
from monitord.rpc import server as server_module
from monitord.rpc.accounts import AccountService
from monitord.rpc.alerts import AlertService
from monitord.rpc.audit import AuditService
from monitord.rpc.contacts import ContactService
from monitord.rpc.heartbeats import HeartbeatService
from monitord.rpc.incidents import IncidentService
from monitord.rpc.maintenance import MaintenanceService
from monitord.rpc.organisations import OrganisationService
from monitord.rpc.server import SERVICE_NAMES, BindError, RpcServer, Services
from monitord.v1 import auth_service_pb2_grpc, monitor_service_pb2, monitor_service_pb2_grpc
from tests.integration.rpc.test_edge import ANN, CheckLogs, Doorman, Monitors, Watched
from tests.support.rpc_server import NOWHERE, UNLIMITED, FakeMeter, FakeReadiness, refusal

SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3


class Logs(CheckLogs):
    def end_streams(self) -> None:
        self.go_on.set()


class Auth(auth_service_pb2_grpc.AuthServiceServicer):
    Login = LoginWithIdToken = Refresh = Logout = GetUser = CreateApiKey = ListApiKeys = RevokeApiKey = None  # type: ignore[assignment]


class Heartbeats(HeartbeatService):
    def __init__(self) -> None:
        pass


class AuditLog:
    async def page(self, org_id: int, query: AuditQuery) -> list[AuditEvent]:
        return []


class AnyAccounts(AccountService):
    def __init__(self) -> None:
        pass


class Organisations(OrganisationService):
    def __init__(self) -> None:
        pass


class Alerts(AlertService):
    def __init__(self) -> None:
        pass


class Incidents(IncidentService):
    def __init__(self) -> None:
        pass

    def end_streams(self) -> None:
        pass


class Contacts(ContactService):
    def __init__(self) -> None:
        pass


class Maintenance(MaintenanceService):
    def __init__(self) -> None:
        pass


def handlers() -> Monitors:
    return Monitors()  # type: ignore[abstract]  # only the published types are abstract


def logs() -> Logs:
    return Logs()  # type: ignore[abstract]


def server(readiness: FakeReadiness | None = None, monitors: Monitors | None = None, **changes: Any) -> RpcServer:
    behind: dict[str, Any] = {"monitors": monitors or handlers(), "check_logs": logs(), "auth": Auth()}
    services = Services(
        **behind,
        maintenance=Maintenance(),
        heartbeats=Heartbeats(),
        contacts=Contacts(),
        incidents=Incidents(),
        alerts=Alerts(),
        accounts=AnyAccounts(),
        organisations=Organisations(),
        audit=AuditService(AuditLog()),
    )
    wish: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "tls": None, "rates": UNLIMITED, "reach": NOWHERE} | changes
    return RpcServer(
        services, authenticator=Doorman(), meter=FakeMeter(), readiness=readiness or FakeReadiness(), **wish
    )


@contextlib.asynccontextmanager
async def running(made: RpcServer, host: str = "127.0.0.1") -> AsyncIterator[grpc.aio.Channel]:
    port = await made.start()
    try:
        async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
            yield channel
    finally:
        await made.stop(0)


async def status(channel: grpc.aio.Channel, service: str = "") -> int:
    health: Any = health_pb2_grpc.HealthStub(channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
    return int(answer.status)


async def test_a_second_server_on_the_same_port_gets_a_clear_error() -> None:
    first = server()
    port = await first.start()
    second = server(port=port)
    with pytest.raises(BindError, match=f"gRPC can't listen on 127.0.0.1:{port}: another process has the port"):
        await second.start()
    await second.stop(0)
    await first.stop(0)


async def test_an_ipv6_address_is_served() -> None:
    async with running(server(host="::1"), "[::1]") as channel:
        assert await status(channel) == SERVING


async def test_health_tells_of_the_server_and_of_each_service() -> None:
    async with running(server()) as channel:
        for service in ("", *SERVICE_NAMES):
            assert await status(channel, service) == SERVING
        health: Any = health_pb2_grpc.HealthStub(channel)
        listed = await health.List(health_pb2.HealthListRequest())  # type: ignore[attr-defined]
        assert set(listed.statuses) == {"", *SERVICE_NAMES}
        refused = await refusal(status(channel, "nope"))
        assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "NOT_FOUND")


async def test_health_follows_readiness_and_says_no_first_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_READINESS_POLL_S", 0.005)
    readiness = FakeReadiness()
    readiness.ready = False
    made = server(readiness)
    async with running(made) as channel, asyncio.timeout(5):
        health: Any = health_pb2_grpc.HealthStub(channel)
        watch = aiter(health.Watch(health_pb2.HealthCheckRequest(service=SERVICE_NAMES[0])))
        strange = aiter(health.Watch(health_pb2.HealthCheckRequest(service="nope")))
        assert (await anext(watch)).status == NOT_SERVING
        assert (await anext(strange)).status == UNKNOWN
        readiness.ready = True
        assert (await anext(watch)).status == SERVING
        made.begin_shutdown()
        assert (await anext(watch)).status == NOT_SERVING
        assert await anext(watch, None) is None
        assert await anext(strange, None) is None
        assert await status(channel) == NOT_SERVING  # and unary calls are still served
        await made.stop(60)  # at once: nothing is under way


async def test_a_stop_lets_calls_under_way_finish() -> None:
    go_on, began = asyncio.Event(), asyncio.Event()

    async def run() -> Any:
        began.set()
        await go_on.wait()
        return monitor_service_pb2.GetMonitorResponse()

    monitors = handlers()
    monitors.run = run
    made = server(monitors=monitors)
    async with running(made) as channel, asyncio.timeout(5):
        stub = monitor_service_pb2_grpc.MonitorServiceStub(channel)
        call = stub.GetMonitor(monitor_service_pb2.GetMonitorRequest(id=1), metadata=ANN)
        await began.wait()
        stopping = asyncio.create_task(made.stop(60))
        await asyncio.sleep(0)
        go_on.set()
        await stopping
        assert await call.code() is StatusCode.OK


async def test_a_stop_cancels_calls_after_the_grace() -> None:
    monitors = handlers()
    monitors.run = watched = Watched()
    made = server(monitors=monitors)
    async with running(made) as channel, asyncio.timeout(5):
        stub = monitor_service_pb2_grpc.MonitorServiceStub(channel)
        call = stub.GetMonitor(monitor_service_pb2.GetMonitorRequest(id=1), metadata=ANN)
        await watched.began.acquire()
        await made.stop(0.01)
        assert await watched.ended.get() is asyncio.CancelledError
        assert (await refusal(call)).code in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)


async def test_reflection_shows_every_service() -> None:
    async with running(server()) as channel:
        untyped: Any = channel
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(untyped)
        requests = [reflection_pb2.ServerReflectionRequest(list_services="")]
        async for answer in stub.ServerReflectionInfo(iter(requests)):
            names = {service.name for service in answer.list_services_response.service}
            assert names >= {*SERVICE_NAMES, "grpc.health.v1.Health"}
            break
