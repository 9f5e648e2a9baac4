"""What every call passes before a handler sees it, shown with handlers that do as a test says."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import msgspec
import pytest
from grpc import StatusCode
from structlog.testing import capture_logs

from monitord.domain.errors import NotFoundError, UnauthenticatedError
from monitord.domain.organisation import Role
from monitord.identity.principal import ApiKeyCredential, Principal, Scope
from monitord.rpc import context as call_context
from monitord.rpc.interceptors import Edge
from monitord.rpc.limits import CallLimit
from monitord.rpc.permissions import RULES, Rule
from monitord.v1 import (
    check_log_service_pb2,
    check_log_service_pb2_grpc,
    monitor_pb2,
    monitor_service_pb2,
    monitor_service_pb2_grpc,
)
from tests.support.rpc_server import NOWHERE, UNLIMITED, FakeMeter, Refusal, refusal

GET = "/monitord.v1.MonitorService/GetMonitor"
CREATE = "/monitord.v1.MonitorService/CreateMonitor"
LIST = "/monitord.v1.MonitorService/ListMonitors"
TAIL = "/monitord.v1.CheckLogService/TailCheckLogs"
ANN = (("authorization", "ann"),)
BOB = (("authorization", "bob"),)
READER = (("authorization", "reader"),)

_USERS = {
    "ann": Principal(1, 10, Scope.WRITE, ApiKeyCredential("ann")),
    "bob": Principal(2, 20, Scope.WRITE, ApiKeyCredential("bob")),
    "reader": Principal(3, 30, Scope.READ, ApiKeyCredential("reader")),
    "viewer": Principal(4, 10, Scope.ADMIN, ApiKeyCredential("viewer"), Role.VIEWER),
}


class Doorman:
    async def authenticate(self, authorization: str | None, org_id: int | None = None, address: str = "") -> Principal:
        if authorization not in _USERS:
            raise UnauthenticatedError("who are you?")
        known = _USERS[authorization]
        return known if org_id is None else msgspec.structs.replace(known, org_id=org_id)


async def _answer() -> monitor_service_pb2.GetMonitorResponse:
    return monitor_service_pb2.GetMonitorResponse(monitor=monitor_pb2.Monitor(id=7))


class Monitors(monitor_service_pb2_grpc.MonitorServiceServicer):
    def __init__(self) -> None:
        self.run: Callable[[], Awaitable[Any]] = _answer

    async def GetMonitor(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self.run()

    CreateMonitor = GetMonitor
    ListMonitors = GetMonitor


class CheckLogs(check_log_service_pb2_grpc.CheckLogServiceServicer):
    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.go_on = asyncio.Event()

    async def TailCheckLogs(  # noqa: N802
        self, request: Any, context: Any
    ) -> AsyncGenerator[check_log_service_pb2.TailCheckLogsResponse, None]:
        try:
            yield check_log_service_pb2.TailCheckLogsResponse(cursor=str(call_context.principal().user_id))
            await self.go_on.wait()
        finally:
            self.closed.set()


class Gate:
    """A server with nothing behind its edge."""

    def __init__(self, channel: grpc.aio.Channel, monitors: Monitors, logs: CheckLogs, meter: FakeMeter) -> None:
        self.channel, self.monitors, self.logs, self.meter = channel, monitors, logs, meter

    async def raw(self, method: str, request: bytes = b"", metadata: Any = ANN, timeout: float | None = None) -> bytes:
        method_of_bytes: Any = self.channel.unary_unary(method)
        answer: bytes = await method_of_bytes(request, metadata=metadata, timeout=timeout)
        return answer

    def tail(self, metadata: Any = ANN) -> Any:
        return check_log_service_pb2_grpc.CheckLogServiceStub(self.channel).TailCheckLogs(
            check_log_service_pb2.TailCheckLogsRequest(), metadata=metadata
        )


RULES_HERE = {
    **RULES,
    GET: replace(RULES[GET], default_deadline_s=5.0, longest_deadline_s=20.0),
    CREATE: replace(RULES[CREATE], default_deadline_s=0.05, longest_deadline_s=0.1),
}
del RULES_HERE[LIST]


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    meter, monitors, logs = FakeMeter(), Monitors(), CheckLogs()  # type: ignore[abstract]
    edge = Edge(
        Doorman(),
        meter,
        RULES_HERE,
        unary=CallLimit("calls", per_caller=2, in_all=3),
        streams=CallLimit("streams", per_caller=1, in_all=2),
        rates=UNLIMITED,
        reach=NOWHERE,
    )
    server = grpc.aio.server(interceptors=[edge], options=[("grpc.max_receive_message_length", 262_144)])
    monitor_service_pb2_grpc.add_MonitorServiceServicer_to_server(monitors, server)
    check_log_service_pb2_grpc.add_CheckLogServiceServicer_to_server(logs, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Gate(channel, monitors, logs, meter)
    await server.stop(0)


def is_refused(refused: Refusal, code: StatusCode, reason: str) -> bool:
    return (refused.code, refused.reason) == (code, reason)


async def test_the_handler_learns_who_calls_from_the_edge(gate: Gate) -> None:
    """(T10)"""
    seen: list[tuple[Principal, str]] = []

    async def run() -> Any:
        seen.append((call_context.principal(), call_context.peer()))
        return await _answer()

    gate.monitors.run = run
    await asyncio.gather(gate.raw(GET), gate.raw(GET, metadata=BOB))
    assert sorted(principal.user_id for principal, _ in seen) == [1, 2]
    assert {peer for _, peer in seen} == {"127.0.0.1"}
    assert await gate.meter.told(2) == [(GET, "OK")] * 2


@pytest.mark.parametrize("metadata", [(), (("authorization", "eve"),), ANN + ANN])
async def test_without_one_good_proof_nobody_gets_in(gate: Gate, metadata: Any) -> None:
    for call in (gate.raw(GET, metadata=metadata), anext(aiter(gate.tail(metadata)))):
        assert is_refused(await refusal(call), StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


async def test_a_lesser_scope_is_refused_and_told_what_is_needed(gate: Gate) -> None:
    refused = await refusal(gate.raw(CREATE, metadata=READER))
    assert is_refused(refused, StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert refused.message == "this needs a credential of scope WRITE, and yours is READ"
    await gate.raw(GET, metadata=READER)


async def test_a_lesser_role_is_refused_and_told_what_is_needed(gate: Gate) -> None:
    refused = await refusal(gate.raw(CREATE, metadata=(("authorization", "viewer"),)))
    is_refused(refused, StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert "EDITOR" in refused.message
    assert "VIEWER" in refused.message


async def test_metadata_choose_the_organisation(gate: Gate) -> None:
    seen = []

    async def run() -> Any:
        seen.append(call_context.principal().org_id)
        return await _answer()

    gate.monitors.run = run
    await gate.raw(GET, metadata=(*ANN, ("x-monitord-organisation", "77")))
    await gate.raw(GET)
    assert seen == [77, 10]


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "9" * 19, "9" * 40, "1,2"])
async def test_an_organisation_that_can_be_none_is_a_wrong_argument(gate: Gate, text: str) -> None:
    refused = await refusal(gate.raw(GET, metadata=(*ANN, ("x-monitord-organisation", text))))
    is_refused(refused, StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert "x-monitord-organisation" in refused.message


async def test_a_method_without_a_rule_is_refused_to_everyone(gate: Gate) -> None:
    assert is_refused(await refusal(gate.raw(LIST)), StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")


async def test_a_stranger_learns_nothing_from_decoding(gate: Gate) -> None:
    refused = await refusal(gate.raw(GET, b"\xff\xff", metadata=()))
    assert is_refused(refused, StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


@pytest.mark.parametrize("method", ["/monitord.v1.MonitorService/Nope", "/nope", "/a.B/C"])
async def test_an_unknown_method_is_unimplemented(gate: Gate, method: str) -> None:
    assert is_refused(await refusal(gate.raw(method)), StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED")
    assert await gate.meter.told() == [("unknown", "UNIMPLEMENTED")]


@pytest.mark.parametrize("request_", [b"\xff\xff\xff", b"\x12\xff", b"\x0a\x04\x12\x02\xff\xfe"])
async def test_bytes_that_are_no_message_are_a_wrong_argument(gate: Gate, request_: bytes) -> None:
    refused = await refusal(gate.raw(CREATE, request_))
    assert is_refused(refused, StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


async def test_a_message_over_256_kib_is_refused(gate: Gate) -> None:
    assert (await refusal(gate.raw(GET, bytes(300 * 1024)))).code is StatusCode.RESOURCE_EXHAUSTED


async def test_an_error_of_the_domain_is_told_with_its_details(gate: Gate) -> None:
    async def run() -> Any:
        raise NotFoundError("there is no monitor 7", id="7")

    gate.monitors.run = run
    refused = await refusal(gate.raw(GET))
    assert is_refused(refused, StatusCode.NOT_FOUND, "NOT_FOUND")
    assert (refused.message, refused.metadata) == ("there is no monitor 7", {"id": "7"})
    assert await gate.meter.told() == [(GET, "NOT_FOUND")]


@pytest.mark.parametrize("error", [ZeroDivisionError("s3cret"), TimeoutError("s3cret"), KeyError("s3cret")])
async def test_a_bug_is_internal_logged_and_tells_nothing(gate: Gate, error: Exception) -> None:
    async def run() -> Any:
        raise error

    gate.monitors.run = run
    with capture_logs() as logs:
        refused = await refusal(gate.raw(GET))
    assert is_refused(refused, StatusCode.INTERNAL, "INTERNAL")
    assert "s3cret" not in refused.message + str(refused.metadata)
    assert [log["error_id"] for log in logs] == [refused.metadata["error_id"]]
    assert logs[0]["exc_info"] is error


async def test_an_answer_of_the_wrong_type_is_internal_too(gate: Gate) -> None:
    async def run() -> Any:
        return "text"

    gate.monitors.run = run
    with capture_logs():
        assert is_refused(await refusal(gate.raw(GET)), StatusCode.INTERNAL, "INTERNAL")


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_call_without_a_deadline_gets_one(gate: Gate) -> None:
    gate.monitors.run = _for_ever
    refused = await refusal(gate.raw(CREATE))
    assert is_refused(refused, StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert await gate.meter.told() == [(CREATE, "DEADLINE_EXCEEDED")]


async def test_a_very_late_deadline_is_cut(gate: Gate) -> None:
    gate.monitors.run = _for_ever
    refused = await refusal(gate.raw(CREATE, timeout=3600))
    assert is_refused(refused, StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


class Watched:
    """A handler that waits, and tells how it ended."""

    def __init__(self) -> None:
        self.began = asyncio.Semaphore(0)
        self.ended: asyncio.Queue[type[BaseException]] = asyncio.Queue()

    async def __call__(self) -> Any:
        self.began.release()
        try:
            await _for_ever()
        except BaseException as error:
            self.ended.put_nowait(type(error))
            raise


async def test_a_caller_who_leaves_cancels_the_handler(gate: Gate) -> None:
    gate.monitors.run = watched = Watched()
    call = asyncio.create_task(gate.raw(GET))
    async with asyncio.timeout(5):
        await watched.began.acquire()
        call.cancel()
        assert await watched.ended.get() is asyncio.CancelledError
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await gate.meter.told() == [(GET, "CANCELLED")]


async def test_the_callers_own_deadline_cancels_the_handler(gate: Gate) -> None:
    gate.monitors.run = watched = Watched()
    for timeout_s in (0.05, 0.5, 5.0):  # a slow machine may not get as far as the handler within the first
        assert (await refusal(gate.raw(GET, timeout=timeout_s))).code is StatusCode.DEADLINE_EXCEEDED
        if not watched.began.locked():
            break
    async with asyncio.timeout(5):
        assert await watched.ended.get() is asyncio.CancelledError
    assert (await gate.meter.told())[-1] == (GET, "DEADLINE_EXCEEDED")


async def test_calls_at_the_same_time_are_limited_for_each_caller_and_in_all(gate: Gate) -> None:
    """(T18)"""
    go_on, began = asyncio.Event(), asyncio.Semaphore(0)

    async def run() -> Any:
        began.release()
        await go_on.wait()
        return await _answer()

    gate.monitors.run = run
    async with asyncio.timeout(5):
        running = [asyncio.create_task(gate.raw(GET)) for _ in range(2)]
        for _ in running:
            await began.acquire()
        refused = await refusal(gate.raw(GET))
        assert is_refused(refused, StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED")
        assert refused.retry_s == 1.0
        running.append(asyncio.create_task(gate.raw(GET, metadata=BOB)))
        await began.acquire()
        assert (await refusal(gate.raw(GET, metadata=BOB))).code is StatusCode.RESOURCE_EXHAUSTED
        go_on.set()
        await asyncio.gather(*running)
    await asyncio.gather(gate.raw(GET), gate.raw(GET))


async def test_streams_are_counted_apart_and_given_back(gate: Gate) -> None:
    """(T18)"""
    first = gate.tail()
    assert (await anext(aiter(first))).cursor == "1"
    refused = await refusal(anext(aiter(gate.tail())))
    assert is_refused(refused, StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED")
    await gate.raw(GET)
    assert (await anext(aiter(gate.tail(BOB)))).cursor == "2"
    first.cancel()
    async with asyncio.timeout(5):
        await gate.logs.closed.wait()
        assert (TAIL, "CANCELLED") in gate.meter.calls
    gate.logs.go_on.set()
    assert (await anext(aiter(gate.tail()))).cursor == "1"


def test_rules_without_a_scope_are_for_those_who_cannot_prove_anything_yet() -> None:
    public = {method for method, rule in RULES.items() if rule.scope is None}
    assert {method for method in public if method.startswith("/monitord.")} == {
        "/monitord.v1.AuthService/Login",
        "/monitord.v1.AuthService/LoginWithIdToken",
        "/monitord.v1.AuthService/Refresh",
        "/monitord.v1.AuthService/Logout",
        "/monitord.v1.AccountService/Register",
        "/monitord.v1.AccountService/VerifyEmail",
        "/monitord.v1.AccountService/RequestPasswordReset",
        "/monitord.v1.AccountService/ResetPassword",
    }
    assert Rule(None).default_deadline_s == 10.0
