"""Unary calls by the Connect protocol, against the real gRPC server."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from google.rpc import status_pb2
from grpc import StatusCode

from monitord.bridge import doors, requests
from monitord.bridge.codec import LARGE_BYTES
from monitord.bridge.failure import Failure
from monitord.domain.errors import UnavailableError
from monitord.identity.throttle import ADDRESS_BURST
from monitord.rpc import callers, interceptors
from monitord.storage.monitors import MonitorStore
from monitord.v1 import monitor_service_pb2 as pb
from tests.support.connect import MONITORS, STATUSES, TAIL, Web, bridged
from tests.support.rpc_server import Api

CREATE, GET, LIST = MONITORS + "CreateMonitor", MONITORS + "GetMonitor", MONITORS + "ListMonitors"
LOGIN = "/monitord.v1.AuthService/Login"
SHOP = {"monitor": {"name": "shop", "http": {"url": "https://example.org/"}}}
PROTO = {"Content_Type": "application/proto"}


async def test_json_creates_reads_and_lists(web: Web) -> None:
    made = (await web.call(CREATE, SHOP))["monitor"]
    assert made["http"]["url"] == "https://example.org/"
    assert isinstance(made["id"], str), "64 bits are texts in JSON: JavaScript's numbers can't hold them"
    assert (await web.call(GET, {"id": made["id"]}))["monitor"] == made
    assert (await web.call(LIST, Content_Type="application/json; charset=utf-8"))["monitors"] == [made]
    assert await web.api.store.get(web.api.ann.principal.org_id, int(made["id"]))


async def test_protobuf_passes_unchanged(web: Web) -> None:
    request = pb.CreateMonitorRequest(monitor={"name": "shop", "http": {"url": "https://example.org/"}})
    status, headers, body = await web.raw(CREATE, request.SerializeToString(), user=web.api.ann, **PROTO)
    assert (status, headers["Content-Type"]) == (200, "application/proto")
    made = pb.CreateMonitorResponse.FromString(body).monitor
    status, _, body = await web.raw(LIST, b"", user=web.api.ann, Connect_Protocol_Version="1", **PROTO)
    assert list(pb.ListMonitorsResponse.FromString(body).monitors) == [made]


async def test_what_is_large_is_translated_off_the_loop_and_is_the_same(web: Web) -> None:
    names = [f"{number}-{'x' * 90}" for number in range(200)]
    for name in names:
        await web.api.create(name=name)
    answer = await web.call(LIST, {"pageSize": 1000})
    assert len(json.dumps(answer)) > 2 * LARGE_BYTES
    assert sorted(one["name"] for one in answer["monitors"]) == sorted(names)
    wish = {"monitor": {**SHOP["monitor"], "description": "x"}, "requestId": "y" * 2 * LARGE_BYTES}
    error = await web.refused(CREATE, json.dumps(wish).encode())
    assert (error.code, list(error.violations)) == ("invalid_argument", ["monitor"])


async def test_answers_are_kept_by_nobody(web: Web) -> None:
    _, good, _ = await web.raw(LIST, user=web.api.ann)
    _, bad, _ = await web.raw(LIST)
    assert {good["Cache-Control"], bad["Cache-Control"]} == {"no-store"}
    assert {good["X-Content-Type-Options"], bad["X-Content-Type-Options"]} == {"nosniff"}


# Errors


@pytest.mark.parametrize("content", ["application/json", "application/proto"])
async def test_an_error_is_as_good_as_grpcs(web: Web, content: str) -> None:
    wish = {"monitor": {"name": "", "interval": "1s", "http": {"url": "gopher://example.org"}}}
    request = pb.CreateMonitorRequest(
        monitor={"name": "", "interval": {"seconds": 1}, "http": {"url": "gopher://e.org"}}
    )
    body = json.dumps(wish).encode() if content.endswith("json") else request.SerializeToString()
    error = await web.refused(CREATE, body, Content_Type=content)
    assert (error.code, error.reason) == ("invalid_argument", "INVALID_FIELD")
    assert set(error.violations) == {"monitor.name", "monitor.interval", "monitor.http.url"}
    assert all(error.violations.values())


async def test_each_error_has_its_status(web: Web) -> None:
    made = (await web.call(CREATE, SHOP))["monitor"]
    same = json.dumps(SHOP).encode()
    assert (await web.refused(CREATE, same)).reason == "ALREADY_EXISTS"
    assert (await web.refused(GET, b'{"id": "999"}')).reason == "NOT_FOUND"
    assert (await web.refused(GET, json.dumps({"id": made["id"]}).encode(), user=web.api.bob)).code == "not_found"
    assert (await web.refused(GET, user=None)).code == "unauthenticated"
    wish = {"monitor": {"id": made["id"], "etag": "old", "name": "x"}, "updateMask": "name"}
    assert (await web.refused(MONITORS + "UpdateMonitor", json.dumps(wish).encode())).code == "aborted"


async def test_a_failure_that_passes_says_when_to_come_back(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise UnavailableError("connection to 10.0.0.5 lost")

    monkeypatch.setattr(MonitorStore, "get", away)
    error = await web.refused(GET, b'{"id": "1"}')
    assert (error.code, error.reason, error.retry_s) == ("unavailable", "STORAGE_UNAVAILABLE", 1.0)
    assert "10.0.0.5" not in error.message


async def test_a_bug_is_told_by_its_number_alone(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(MonitorStore, "get", broken)
    error = await web.refused(GET, b'{"id": "1"}')
    assert (error.code, error.reason) == ("internal", "INTERNAL")
    assert "error_id" in error.message
    assert "secret" not in error.message


@pytest.mark.parametrize(
    ("body", "place", "says"),
    [
        (b"", "", "an object"),
        (b"null", "", "an object"),
        (b"[]", "", "an object"),
        (b"{", "", "Failed to load JSON"),
        (b'{"monitor": 5}', "", "not this request"),
        (b'{"monitr": {}}', "", "monitr"),
        (b'{"monitor": {"intervall": "5s"}}', "monitor", "intervall"),
        (b'{"monitor": {"interval": "5 minutes"}}', "monitor.interval", "duration"),
        (b'{"monitor": {"id": "99999999999999999999"}}', "", "out of range"),
        (b'{"monitor": {"name": "\\ud800"}}', "monitor.name", "surrogate"),
        (b'{"monitor": {"name": "a", "name": "b"}}', "", "duplicate"),
        (b'{"monitor": {"http": {}, "tcp": {}}}', "monitor", "oneof"),
        (b'{"monitor": {"name": "\xff"}}', "", "utf-8"),
        (b'{"monitor": ' * 20_000, "", "recursion"),
        (b"1" * 100_000, "", "an object"),
    ],
)
async def test_json_that_is_not_the_request_is_told_where(web: Web, body: bytes, place: str, says: str) -> None:
    error = await web.refused(CREATE, body)
    assert (error.code, error.reason, list(error.violations)) == ("invalid_argument", "INVALID_FIELD", [place])
    assert says in error.violations[place]


async def test_protobuf_that_is_no_message_is_judged_by_the_server_after_the_caller(web: Web) -> None:
    assert (await web.refused(CREATE, b"\xff\xff", **PROTO)).code == "invalid_argument"
    assert (await web.refused(CREATE, b"\xff\xff", user=None, **PROTO)).code == "unauthenticated"


# The rules of HTTP


async def test_unknown_methods_and_other_verbs(web: Web) -> None:
    for path in (MONITORS + "Nope", "/monitord.v1.NopeService/GetMonitor"):
        error = await web.refused(path, status=404)
        assert (error.code, error.reason) == ("unimplemented", "UNIMPLEMENTED")
    for verb in ("GET", "PUT", "DELETE", "PATCH"):
        status, headers, body = await web.raw(GET, b"", method=verb)
        assert (status, headers["Allow"], json.loads(body)["code"]) == (405, "POST, OPTIONS", "unimplemented")
    for path in ("/grpc.health.v1.Health/Check", "/monitord.v1.MonitorService", "/"):
        assert (await web.raw(path))[0] == 404


@pytest.mark.parametrize(
    ("path", "content", "good"),
    [
        (GET, "text/plain", "application/proto, application/json"),
        (GET, "application/xml", "application/proto, application/json"),
        (GET, "application/connect+json", "application/proto, application/json"),
        (GET, "application/grpc-web", "application/proto, application/json"),
        (GET, "application/json; charset=latin1", "application/proto, application/json"),
        (TAIL, "application/json", "application/connect+proto, application/connect+json"),
        (TAIL, "application/connect+xml", "application/connect+proto, application/connect+json"),
    ],
)
async def test_other_content_is_not_taken(web: Web, path: str, content: str, good: str) -> None:
    status, headers, body = await web.raw(path, user=web.api.ann, Content_Type=content)
    assert (status, headers["Accept-Post"]) == (415, good)
    assert json.loads(body)["code"] == "invalid_argument"


async def test_compressed_bodies_are_refused_before_they_are_read(web: Web) -> None:
    """(T8)"""
    for encoding in ("gzip", "br", "zstd", "x-unknown"):
        error = await web.refused(LIST, gzip.compress(b"{}"), Content_Encoding=encoding)
        assert (error.code, error.message.partition(";")[2]) == ("unimplemented", " supported: identity")
    assert await web.call(LIST, Content_Encoding="identity") == {}


async def test_requests_have_the_bound_that_grpcs_have(web: Web) -> None:
    """(T18)"""
    body = b"{" + b" " * (requests.MAX_BYTES - 2) + b"}"
    assert (await web.raw(LIST, body, user=web.api.ann))[0] == 200
    assert (await web.refused(LIST, body + b" ")).code == "resource_exhausted"

    async def endless() -> Any:
        while True:
            yield b" " * 65_536

    async with (
        ClientSession() as http,
        http.post(web.url + LIST, data=endless(), headers={"Content-Type": "application/json"}) as answer,
    ):
        assert answer.status == 429


async def test_a_body_that_does_not_come_is_not_waited_for(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(web.url.rpartition(":")[2]))
    head = f"POST {LIST} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 5\r\n\r\n{{".encode())
    assert b"400 Bad Request" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"5\r\n{}"])
async def test_a_body_that_breaks_off_leaves_no_trace(web: Web, chunk: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(web.url.rpartition(":")[2]))
    head = f"POST {LIST} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode() + chunk)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await web.call(LIST) == {}


async def test_the_version_of_the_protocol_is_one(web: Web) -> None:
    assert await web.call(LIST, Connect_Protocol_Version="1") == {}
    error = await web.refused(LIST, Connect_Protocol_Version="2")
    assert (error.code, list(error.violations)) == ("invalid_argument", ["Connect-Protocol-Version"])


# Deadlines, limits, callers


@pytest.mark.parametrize("timeout", ["", "-1", "1.5", "1e3", "12345678901", "\u0661"])
async def test_a_deadline_is_a_whole_number(web: Web, timeout: str) -> None:
    error = await web.refused(LIST, Connect_Timeout_Ms=timeout)
    assert (error.code, list(error.violations)) == ("invalid_argument", ["Connect-Timeout-Ms"])
    assert await web.call(LIST, Connect_Timeout_Ms="9999999999") == {}


async def test_the_callers_deadline_ends_the_call(web: Web) -> None:
    made = (await web.call(CREATE, SHOP))["monitor"]
    web.api.engine.go_on.clear()
    error = await web.refused(MONITORS + "CheckNow", json.dumps({"id": made["id"]}).encode(), Connect_Timeout_Ms="50")
    assert (error.code, error.reason) == ("deadline_exceeded", "DEADLINE_EXCEEDED")


async def test_a_caller_who_leaves_ends_the_call(web: Web) -> None:
    made = (await web.call(CREATE, SHOP))["monitor"]
    web.api.engine.go_on.clear()
    call = asyncio.create_task(web.call(MONITORS + "CheckNow", {"id": made["id"]}))
    await web.api.engine.is_held_up()
    call.cancel()
    await asyncio.wait([call])
    calls = await web.api.meter.told(2)
    assert calls[-1] == (MONITORS + "CheckNow", "CANCELLED")


async def test_an_address_has_a_bound_before_anyone_knows_who_it_is(api: Api) -> None:
    """(T18)"""
    async with bridged(api, per_caller=1) as web:
        made = (await web.call(CREATE, SHOP))["monitor"]
        api.engine.go_on.clear()
        call = asyncio.create_task(web.call(MONITORS + "CheckNow", {"id": made["id"]}))
        await api.engine.is_held_up()
        error = await web.refused(LIST)
        assert (error.code, error.reason, error.retry_s) == ("resource_exhausted", "LIMIT_REACHED", 1.0)
        api.engine.go_on.set()
        await call
        assert (await web.call(LIST))["monitors"]


class Doorman:
    """Notes from which address people sign in."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        self._login = api.identity.sessions.login
        monkeypatch.setattr(api.identity.sessions, "login", self.login)

    async def login(self, email: str, password: str, peer: str) -> Any:
        self.seen.append(peer)
        raise UnavailableError("not now")


async def test_the_callers_address_is_the_browsers(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """(T14)"""
    doorman = Doorman(web.api, monkeypatch)
    body = b'{"email": "a@example.org", "password": "12345678"}'
    await web.refused(LOGIN, body, user=None)
    # Neither the header of our own metadata nor that of a proxy nobody trusts changes it.
    await web.refused(LOGIN, body, user=None, X_Monitord_Caller="192.0.2.1", X_Forwarded_For="192.0.2.2")
    assert doorman.seen == ["127.0.0.1", "127.0.0.1"]


async def test_a_caller_over_tcp_can_claim_no_other_address(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """(T14)"""
    doorman = Doorman(api, monkeypatch)
    login: Any = api.channel.unary_unary(LOGIN)
    with pytest.raises(Exception, match="UNAVAILABLE"):
        await login(b"", metadata=((callers.CALLER_KEY, "192.0.2.1"),))
    assert doorman.seen == ["127.0.0.1"]
    assert callers.CALLER_KEY == doors.CALLER_KEY
    assert interceptors.ORGANISATION_KEY == doors.ORGANISATION_KEY


async def test_a_header_chooses_the_organisation(web: Web) -> None:
    own = str(web.api.ann.principal.org_id)
    assert (await web.call(LIST, X_Monitord_Organisation=own)) == {}
    others = str(web.api.bob.principal.org_id)
    status, _, body = await web.raw(LIST, user=web.api.ann, X_Monitord_Organisation=others)
    assert (status, json.loads(body)["code"]) == (404, "not_found")


async def test_guessing_is_slowed_down_through_the_bridge_too(web: Web, api: Api) -> None:
    """(T14)"""
    codes = [
        (await web.refused(LOGIN, json.dumps({"email": f"{n}@x.org", "password": "12345678"}).encode(), user=None)).code
        for n in range(ADDRESS_BURST + 3)
    ]
    assert codes[0] == "unauthenticated"
    assert codes[-1] == "resource_exhausted"


async def test_trusted_proxies_name_whom_they_ask_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    doorman = Doorman(api, monkeypatch)
    async with bridged(api, proxies=["127.0.0.0/8", "10.0.0.0/8"]) as web:
        for chain in (
            "192.0.2.7",
            "6.6.6.6, 192.0.2.7",
            "6.6.6.6, 192.0.2.7,10.1.1.1",
            "junk",
            "192.0.2.7, junk, 10.1.1.1",
        ):
            await web.refused(LOGIN, b'{"email": "a@b.c", "password": "12345678"}', user=None, X_Forwarded_For=chain)
    assert doorman.seen == ["192.0.2.7", "192.0.2.7", "192.0.2.7", "127.0.0.1", "10.1.1.1"]


async def test_nobody_else_can_open_the_private_socket(api: Api) -> None:
    target = api.door.target
    assert target is not None
    folder = Path(target.removeprefix("unix:")).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    await api.server.stop(0)
    assert api.door.target is None
    assert not folder.exists()


async def test_two_proofs_or_one_that_cannot_be_are_refused(web: Web) -> None:
    for proofs in (["Bearer a", "Bearer b"], ["Bearer \xe9"]):
        headers = [("Content-Type", "application/json"), *(("Authorization", proof) for proof in proofs)]
        async with web.http.post(web.url + LIST, data=b"{}", headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, "unauthenticated")


async def test_while_there_is_no_server_it_is_unavailable(api: Api) -> None:
    async with bridged(api) as web:
        assert await web.call(LIST) == {}
        await api.server.stop(0)
        error = await web.refused(LIST)
        assert (error.code, error.retry_s) == ("unavailable", 1.0)
        assert "unix" not in error.message
    async with bridged(api) as web:
        assert (await web.refused(LIST)).code == "unavailable"
        async with web.stream() as stream:
            assert (await stream.end())["error"]["code"] == "unavailable"


def test_every_code_has_the_status_of_the_protocol() -> None:
    found = {}
    for code in StatusCode:
        if code is not StatusCode.OK:
            failure = Failure(status_pb2.Status(code=code.value[0]))
            found[failure.as_json()["code"]] = failure.http_status
    assert found == STATUSES


async def test_headers_that_grpc_does_not_take_are_refused_and_no_bug(web: Web) -> None:
    codes = {(await web.refused(LIST, Authorization="Bearer " + "a" * size)).code for size in (6000, 8000, 8150)}
    assert codes <= {"unauthenticated", "resource_exhausted"}


async def test_a_bug_of_the_bridge_itself_is_told_as_one(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> bytes:
        raise RuntimeError("secret")

    monkeypatch.setattr(web.bridge._json, "to_wire", broken)
    error = await web.refused(LIST)
    assert (error.code, error.reason, "secret" in error.message) == ("internal", "INTERNAL", False)
    async with web.stream() as stream:
        assert (await stream.end())["error"]["code"] == "internal"
