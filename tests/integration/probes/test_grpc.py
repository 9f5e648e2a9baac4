"""The gRPC check: against grpcio's own server and health service, and against servers that misbehave."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import Security, TlsSettings
from monitord.domain.kinds.grpc import GrpcCheck
from monitord.domain.secrets import Header, Secret
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.grpc import GrpcProber
from monitord.probes.resolver import SystemResolver
from monitord.probes.tls import Tls
from tests.support import http2_server as h2s
from tests.support.authority import Authority
from tests.support.cost import bounded
from tests.support.http2_server import Answer, Http2Site, endless, frame, literal, raw
from tests.support.probing import service_checks
from tests.support.targets import Peer, Script, answering, black_hole, serve, unused_port

Status = health_pb2.HealthCheckResponse.ServingStatus
SERVING = b"\0\0\0\0\x02\x08\x01"


@pytest.fixture
def prober(tls: Tls) -> GrpcProber:
    dialler = Dialler(EgressPolicy("private"), SystemResolver(2))
    return GrpcProber(
        service_checks(dialler, tls),
        operator_url="https://op.example",
    )


@pytest.fixture(autouse=True)
def grpcio_is_gone() -> Iterator[None]:
    """Its servers let go of their sockets when they are collected."""
    yield
    gc.collect()


async def probe(prober: GrpcProber, port: int, timeout_s: float = 2.0, **fields: Any) -> Observation:
    check = GrpcCheck(**({"host": "127.0.0.1", "port": port, "security": Security.PLAIN} | fields))
    return await prober(check, timeout_s, trace=True)


@contextlib.asynccontextmanager
async def running(servicer: Any = None, credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[int]:
    """A server of grpcio's with a health service, or without one."""
    server = grpc.aio.server()
    if servicer is not None:
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def health(**services: int) -> aio.HealthServicer:
    servicer = aio.HealthServicer()
    for name, status in services.items():
        await servicer.set(name if name != "server" else "", status)  # type: ignore[arg-type]
    return servicer


def pem(authority: Authority, *names: str) -> tuple[bytes, bytes]:
    """A private key and its certificate."""
    authority.server(*names)
    newest = max(authority.ca_file.parent.glob("server-*.pem"), key=lambda path: int(path.stem.split("-")[1]))
    key, mark, certificate = newest.read_bytes().partition(b"-----BEGIN CERTIFICATE-----")
    return key, mark + certificate


# A real server


async def test_a_server_that_serves_is_up(prober: GrpcProber) -> None:
    async with running(await health(server=Status.SERVING)) as port:
        seen = await probe(prober, port)
    assert (seen.verdict, seen.category, seen.message) == (Verdict.UP, None, "")
    assert seen.measurements == {"grpc.status_code": 0.0, "grpc.serving_status": 1.0}
    assert seen.address == f"127.0.0.1:{port}"
    assert (seen.content_ok, seen.ssl_ok, seen.dns_ok) == (True, None, None)
    assert seen.phases.connect is not None
    assert seen.phases.ttfb is not None
    assert seen.evidence is not None
    assert seen.evidence.header_lines[0] == "HTTP/2 200"
    assert "content-type: application/grpc" in seen.evidence.header_lines
    assert "grpc-status: 0" in seen.evidence.header_lines


async def test_each_service_has_a_health_of_its_own(prober: GrpcProber) -> None:
    servicer = await health(server=Status.SERVING, shop=Status.NOT_SERVING, cart=Status.UNKNOWN, till=Status.SERVING)
    async with running(servicer) as port:
        shop = await probe(prober, port, service="shop")
        cart = await probe(prober, port, service="cart")
        till = await probe(prober, port, service="till")
        nobody = await probe(prober, port, service="nobody")
    assert till.verdict is Verdict.UP
    assert (shop.verdict, shop.category) == (Verdict.DOWN, Category.GRPC_NOT_SERVING)
    assert "'shop'" in shop.message
    assert shop.measurements == {"grpc.status_code": 0.0, "grpc.serving_status": 2.0}
    assert (cart.verdict, cart.category) == (Verdict.DOWN, Category.GRPC_NOT_SERVING)
    assert cart.measurements == {"grpc.status_code": 0.0, "grpc.serving_status": 0.0}
    assert (nobody.verdict, nobody.category) == (Verdict.DOWN, Category.GRPC_STATUS)
    assert nobody.measurements == {"grpc.status_code": 5.0, "grpc.serving_status": 3.0}
    assert "does not know the service 'nobody'" in nobody.message


async def test_a_server_without_a_health_service_is_told_what_to_do(prober: GrpcProber) -> None:
    async with running() as port:
        seen = await probe(prober, port)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.GRPC_STATUS)
    assert "no health service" in seen.message
    assert "add grpc.health.v1.Health" in seen.message


class Watching(health_pb2_grpc.HealthServicer):
    """Remembers how it was called; then answers, or does not."""

    def __init__(self, code: grpc.StatusCode | None = None, details: str = "") -> None:
        self.remaining: float | None = None
        self.metadata: dict[str, str] = {}
        self.service = ""
        self.called, self.cancelled = asyncio.Event(), asyncio.Event()
        self.is_slow = False
        self._code, self._details = code, details

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.service = request.service
        self.remaining = context.time_remaining()
        self.metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        self.called.set()
        if self.is_slow:
            try:
                await asyncio.sleep(30)
            finally:
                self.cancelled.set()
        if self._code is not None:
            await context.abort(self._code, self._details)
        return health_pb2.HealthCheckResponse(status=Status.SERVING)


async def test_what_the_servicer_sees(prober: GrpcProber) -> None:
    watching = Watching()
    metadata = (Header("x-tenant", "acme"), Header("authorization", "Bearer hush-hush", secret=True))
    async with running(watching) as port:
        seen = await probe(prober, port, service="größe/été", metadata=metadata, timeout_s=4.0)
    assert seen.verdict is Verdict.UP
    assert watching.service == "größe/été"
    assert watching.remaining is not None
    assert 3.0 < watching.remaining <= 4.0
    assert watching.metadata["x-tenant"] == "acme"
    assert watching.metadata["authorization"] == "Bearer hush-hush"
    assert watching.metadata["user-agent"].startswith("monitord/")
    assert "op.example" in watching.metadata["user-agent"]
    assert "hush-hush" not in repr(seen)


async def test_a_slow_servicer_is_given_up_with_the_deadline(prober: GrpcProber) -> None:
    slow = Watching()
    slow.is_slow = True
    async with running(slow) as port:
        began = time.monotonic()
        seen = await probe(prober, port, timeout_s=0.5)
        assert time.monotonic() - began < 1.0
        assert slow.remaining is not None
        assert slow.remaining <= 0.5
        async with asyncio.timeout(5):
            await slow.cancelled.wait()
    # Server and client keep the same deadline: whoever comes first ends the call.
    assert (seen.verdict, seen.category) in (
        (Verdict.DOWN, Category.TIMEOUT_TOTAL),
        (Verdict.DOWN, Category.GRPC_STATUS),
    ), seen


@pytest.mark.parametrize(
    ("code", "category", "words"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, Category.AUTH_REFUSED, "UNAUTHENTICATED"),
        (grpc.StatusCode.PERMISSION_DENIED, Category.AUTH_REFUSED, "PERMISSION_DENIED"),
        (grpc.StatusCode.UNAVAILABLE, Category.GRPC_STATUS, "UNAVAILABLE"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Category.GRPC_STATUS, "RESOURCE_EXHAUSTED"),
    ],
)
async def test_the_status_of_the_call_is_told(
    prober: GrpcProber, code: grpc.StatusCode, category: Category, words: str
) -> None:
    async with running(Watching(code, "nö\n\x1b[31m 100% \u202esure")) as port:
        seen = await probe(prober, port)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, category)
    assert words in seen.message
    assert "nö" in seen.message
    assert "100% " in seen.message
    assert seen.message.isprintable()
    assert seen.measurements == {"grpc.status_code": float(code.value[0])}


async def test_over_tls_with_an_authority_of_ones_own(prober: GrpcProber, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "another")
    key, certificate = pem(other, "127.0.0.1")
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    settings = TlsSettings(ca_pem=other.ca_file.read_text())
    async with running(await health(server=Status.SERVING), credentials) as port:
        seen = await probe(prober, port, security=Security.TLS, tls=settings)
        unknown = await probe(prober, port, security=Security.TLS)
        plain = await probe(prober, port, timeout_s=1.0)
        soon = await probe(prober, port, security=Security.TLS, tls=settings, min_certificate_days=60)
    assert seen.verdict is Verdict.UP, seen
    assert seen.ssl_ok is True
    assert seen.certificate_expires_at is not None
    assert seen.phases.tls is not None
    assert (unknown.verdict, unknown.ssl_ok) == (Verdict.DOWN, False)
    assert unknown.category in (Category.TLS_UNTRUSTED, Category.TLS_SELF_SIGNED)
    assert plain.verdict is Verdict.DOWN
    assert (soon.verdict, soon.category) == (Verdict.DEGRADED, Category.TLS_EXPIRING)


async def test_a_demanded_client_certificate(prober: GrpcProber, authority: Authority) -> None:
    key, certificate = pem(authority, "127.0.0.1", "grpc.example")
    credentials = grpc.ssl_server_credentials([(key, certificate)], authority.ca_file.read_bytes(), True)
    client_key, client_certificate = pem(authority, "client.example")
    shown = TlsSettings(client_certificate_pem=client_certificate.decode(), client_key_pem=Secret(client_key.decode()))
    watching = Watching()
    async with running(watching, credentials) as port:
        seen = await probe(prober, port, security=Security.TLS, tls=shown)
        without = await probe(prober, port, security=Security.TLS)
    assert seen.verdict is Verdict.UP, seen
    assert (without.verdict, without.category) == (Verdict.DOWN, Category.TLS_CLIENT_CERT), without


async def test_a_server_that_does_not_choose_http2_is_told(prober: GrpcProber, authority: Authority) -> None:
    silent = authority.server("127.0.0.1")
    picky = authority.server("127.0.0.1")
    picky.set_alpn_protocols(["http/1.1"])
    for context in (silent, picky):
        async with serve(answering(b"HTTP/1.1 200 OK\r\n\r\n"), tls=context) as server:
            seen = await probe(prober, server.port, security=Security.TLS)
        assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.PROTOCOL_INVALID)
        assert "HTTP/2" in seen.message
        assert "ALPN" in seen.message


# Servers that answer, but not as they should


async def answered(prober: GrpcProber, answer: Answer, **fields: Any) -> tuple[Observation, Http2Site]:
    site = Http2Site(lambda asked: answer)
    async with serve(site) as server:
        return await probe(prober, server.port, **fields), site


GRPC = [("content-type", "application/grpc")]
DONE = [("grpc-status", "0")]

ANSWERS: dict[str, tuple[Answer, Verdict, Category | None, str]] = {
    "good": (Answer(200, GRPC, SERVING, DONE), Verdict.UP, None, ""),
    "good, in many words": (
        Answer(200, [("content-type", "application/grpc+proto; v=1")], SERVING, [("grpc-status", "0"), ("x", "y")]),
        Verdict.UP,
        None,
        "",
    ),
    "good, after interim ones": (Answer(200, GRPC, SERVING, DONE, interim=[103, 103]), Verdict.UP, None, ""),
    "with fields of a later version": (
        Answer(200, GRPC, b"\0\0\0\0\x0b\x12\x02hi\x08\x01\x1d\0\0\0\0", DONE),
        Verdict.UP,
        None,
        "",
    ),
    "an empty message is UNKNOWN": (
        Answer(200, GRPC, b"\0\0\0\0\0", DONE),
        Verdict.DOWN,
        Category.GRPC_NOT_SERVING,
        "UNKNOWN",
    ),
    "a service unknown": (
        Answer(200, GRPC, b"\0\0\0\0\x02\x08\x03", DONE),
        Verdict.DOWN,
        Category.GRPC_STATUS,
        "SERVICE_UNKNOWN",
    ),
    "a status from the future": (
        Answer(200, GRPC, b"\0\0\0\0\x02\x08\x09", DONE),
        Verdict.DOWN,
        Category.GRPC_NOT_SERVING,
        "9",
    ),
    "trailers only": (
        Answer(200, [*GRPC, ("grpc-status", "14"), ("grpc-message", "down %E2%80%AE%zz%")]),
        Verdict.DOWN,
        Category.GRPC_STATUS,
        "UNAVAILABLE: 'down \ufffd%zz%'",
    ),
    "a status beyond the list": (
        Answer(200, [*GRPC, ("grpc-status", "42")]),
        Verdict.DOWN,
        Category.GRPC_STATUS,
        "status 42",
    ),
    "a proxy's page": (
        Answer(502, [("content-type", "text/html")], b"<h1>Bad Gateway</h1>"),
        Verdict.DOWN,
        Category.PROTOCOL_INVALID,
        "HTTP status 502",
    ),
    "a proxy that speaks gRPC": (
        Answer(503, [*GRPC, ("grpc-status", "14")]),
        Verdict.DOWN,
        Category.GRPC_STATUS,
        "UNAVAILABLE",
    ),
    "a web page": (
        Answer(200, [("content-type", "text/html")], b"<h1>Hello</h1>"),
        Verdict.DOWN,
        Category.PROTOCOL_INVALID,
        "'text/html'",
    ),
    "no content-type": (Answer(200, [], SERVING, DONE), Verdict.DOWN, Category.PROTOCOL_INVALID, "none"),
    "no grpc-status": (Answer(200, GRPC, SERVING), Verdict.DOWN, Category.PROTOCOL_INVALID, "grpc-status"),
    "no number as grpc-status": (
        Answer(200, GRPC, SERVING, [("grpc-status", "OK")]),
        Verdict.DOWN,
        Category.PROTOCOL_INVALID,
        "grpc-status",
    ),
    "compressed": (
        Answer(200, GRPC, b"\1" + SERVING[1:], DONE),
        Verdict.DOWN,
        Category.PROTOCOL_INVALID,
        "compressed",
    ),
    "an encoding nobody asked for": (
        Answer(200, [*GRPC, ("grpc-encoding", "gzip")], SERVING, DONE),
        Verdict.DOWN,
        Category.PROTOCOL_INVALID,
        "gzip",
    ),
    "two messages": (Answer(200, GRPC, SERVING * 2, DONE), Verdict.DOWN, Category.PROTOCOL_INVALID, "more than one"),
    "no message": (Answer(200, GRPC, b"", DONE), Verdict.DOWN, Category.PROTOCOL_INVALID, "without a whole message"),
    "half a message": (
        Answer(200, GRPC, SERVING[:-1], DONE),
        Verdict.DOWN,
        Category.PROTOCOL_INVALID,
        "without a whole message",
    ),
    "a message of 2 GiB": (
        Answer(200, GRPC, b"\0\x7f\xff\xff\xff" + bytes(200_000), DONE),
        Verdict.DOWN,
        Category.PROTOCOL_INVALID,
        "2147483647 bytes",
    ),
    "not protobuf": (
        Answer(200, GRPC, b"\0\0\0\0\x02\x0b\x01", DONE),
        Verdict.DOWN,
        Category.PROTOCOL_INVALID,
        "a field of a type",
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_an_answer_is_judged_by_what_it_is(prober: GrpcProber, case: str) -> None:
    answer, verdict, category, words = ANSWERS[case]
    seen, _ = await answered(prober, answer)
    assert (seen.verdict, seen.category) == (verdict, category), seen
    assert words in seen.message
    assert seen.message.isprintable()


async def test_the_call_is_addressed_as_grpc_wants(prober: GrpcProber) -> None:
    site = Http2Site(lambda asked: Answer(200, GRPC, SERVING, DONE))
    async with serve(site) as server:
        assert (await probe(prober, server.port, service="a", timeout_s=1.5)).verdict is Verdict.UP
    (asked,) = site.asked
    names = [name for name, _ in asked.headers]
    assert names[:5] == [":method", ":scheme", ":authority", ":path", "te"]
    assert (asked[":method"], asked[":scheme"], asked[":path"]) == ("POST", "http", "/grpc.health.v1.Health/Check")
    assert asked[":authority"] == f"127.0.0.1:{server.port}"
    assert (asked["te"], asked["content-type"]) == ("trailers", "application/grpc")
    assert asked["grpc-timeout"].endswith("m")
    assert 1000 < int(asked["grpc-timeout"][:-1]) <= 1500
    assert asked.body == b"\0\0\0\0\x03" + health_pb2.HealthCheckRequest(service="a").SerializeToString()


# Servers that misbehave on the wire


async def _closing(peer: Peer) -> None:
    await h2s.request(peer)


async def _resetting(peer: Peer) -> None:
    peer.reset()


async def _silent(peer: Peer) -> None:
    await peer.silence()


HEAD = frame(h2s.HEADERS, h2s.END_HEADERS, 1, h2s.STATUS_200 + literal(b"content-type", b"application/grpc"))
OVER = frame(h2s.HEADERS, h2s.END_HEADERS | h2s.END_STREAM, 1, literal(b"grpc-status", b"0"))
GOOD = HEAD + frame(h2s.DATA, 0, 1, SERVING) + OVER
INVALID, CLOSED = Category.PROTOCOL_INVALID, Category.PROTOCOL_CLOSED

HOSTILE: dict[str, tuple[Script, Category | None, str]] = {
    "good": (raw(GOOD), None, ""),
    "good, with a gentle GOAWAY before it": (raw(h2s.goaway(last=1) + GOOD), None, ""),
    "good, with frames nobody knows": (raw(frame(0xEE, 0xFF, 7, b"x" * 99) + GOOD), None, ""),
    "accept, then RST": (_resetting, Category.CONNECT_RESET, "reset"),
    "accept, then silence": (_silent, Category.TIMEOUT_TTFB, "nothing within the timeout"),
    "accept, then close": (_closing, CLOSED, "without an answer"),
    "silence after SETTINGS": (raw(then="silence"), Category.TIMEOUT_TOTAL, "in time"),
    "close after SETTINGS": (raw(), CLOSED, "in the middle"),
    "reset after the headers": (raw(HEAD, then="reset"), Category.CONNECT_RESET, "reset"),
    "close after the headers": (raw(HEAD), CLOSED, "in the middle"),
    "HTTP/1.1": (raw(b"HTTP/1.1 400 Bad Request\r\n\r\n", settings=False), INVALID, "HTTP/1"),
    "a banner": (raw(b"SSH-2.0-OpenSSH_9.9\r\n", settings=False), INVALID, "SSH-2.0"),
    "garbage": (raw(b"\xfe\xed\xfa\xce" * 99, settings=False), INVALID, "HTTP/2"),
    "garbage after SETTINGS": (raw(b"\xfe\xed\xfa\xce" * 99), INVALID, "frame of"),
    "GOAWAY at once": (raw(h2s.goaway(debug=b"max_age\x1b")), INVALID, "shutting down"),
    "GOAWAY without SETTINGS": (raw(h2s.goaway(11, debug=b"too_many"), settings=False), INVALID, "ENHANCE_YOUR_CALM"),
    "a GOAWAY that is too short": (raw(frame(h2s.GOAWAY, payload=b"abc")), INVALID, "too short"),
    "RST_STREAM": (raw(frame(h2s.RST_STREAM, 0, 1, b"\0\0\0\x07")), INVALID, "REFUSED_STREAM"),
    "RST_STREAM after the headers": (raw(HEAD + frame(h2s.RST_STREAM, 0, 1, b"\0\0\x99\0")), INVALID, "0x9900"),
    "a push": (
        raw(frame(h2s.PUSH_PROMISE, h2s.END_HEADERS, 1, b"\0\0\0\x02" + h2s.STATUS_200)),
        INVALID,
        "broke the rules",
    ),
    "endless PINGs": (endless(frame(h2s.PING, 0, 0, b"12345678") * 100), INVALID, "flooded"),
    "endless SETTINGS": (endless(frame(h2s.SETTINGS, 0, 0, b"\0\x03\0\0\0\x01") * 50), INVALID, "flooded"),
    "few frames of very many bytes": (raw(frame(0x99, 0, 0, bytes(16_000)) * 3), INVALID, "flooded"),
    "endless settings that nobody knows": (
        endless(b"".join(frame(h2s.SETTINGS, 0, 0, bytes([9, n]) + bytes(4)) for n in range(256))),
        INVALID,
        "flooded",
    ),
    "few frames with very many settings": (
        raw(
            *(
                frame(h2s.SETTINGS, payload=b"".join(number.to_bytes(2, "big") + bytes(4) for number in numbers))
                for numbers in (range(begin, begin + 2500) for begin in range(256, 60_000, 2500))
            )
        ),
        INVALID,
        "settings of more than",
    ),
    "endless WINDOW_UPDATEs": (endless(frame(h2s.WINDOW_UPDATE, 0, 0, b"\0\0\0\x01") * 100), INVALID, "flooded"),
    "a window beyond all bounds": (raw(frame(h2s.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff")), INVALID, "window"),
    "endless RST_STREAMs": (endless(frame(h2s.RST_STREAM, 0, 9, bytes(4)) * 100), INVALID, "flooded"),
    "endless PRIORITYs": (endless(frame(h2s.PRIORITY, 0, 9, bytes(5)) * 100), INVALID, "flooded"),
    "endless unknown frames": (endless(frame(0x99, 0, 9, bytes(5)) * 100), INVALID, "flooded"),
    "endless headers": (
        endless(frame(h2s.CONTINUATION, 0, 1, b"x" * 1000), first=frame(h2s.HEADERS, 0, 1, h2s.STATUS_200)),
        INVALID,
        "headers of more than",
    ),
    "endless empty CONTINUATIONs": (
        endless(frame(h2s.CONTINUATION, 0, 1) * 100, first=frame(h2s.HEADERS, 0, 1, h2s.STATUS_200)),
        INVALID,
        "pieces",
    ),
    "a header bomb": (
        raw(
            frame(h2s.HEADERS, 0, 1, h2s.STATUS_200 + b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4000)
            + frame(h2s.CONTINUATION, h2s.END_HEADERS, 1, b"\xbe" * 16000)
        ),
        INVALID,
        "headers of more than 64 KiB",
    ),
    "not HPACK": (raw(frame(h2s.HEADERS, h2s.END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff")), INVALID, "broke the rules"),
    "endless interim answers": (
        endless(frame(h2s.HEADERS, h2s.END_HEADERS, 1, b"\x08\x03103") * 20),
        INVALID,
        "lists of headers",
    ),
    "no status": (
        raw(frame(h2s.HEADERS, h2s.END_HEADERS, 1, literal(b"content-type", b"application/grpc"))),
        INVALID,
        "no :status",
    ),
    "a line break in a header": (
        raw(frame(h2s.HEADERS, h2s.END_HEADERS, 1, h2s.STATUS_200 + literal(b"x", b"a\r\nb"))),
        INVALID,
        "characters",
    ),
    "capitals in a header": (
        raw(frame(h2s.HEADERS, h2s.END_HEADERS, 1, h2s.STATUS_200 + literal(b"X-Y", b"a"))),
        INVALID,
        "characters",
    ),
    "an answer to nobody": (raw(frame(h2s.HEADERS, h2s.END_HEADERS, 3, h2s.STATUS_200)), INVALID, "broke the rules"),
    "DATA before headers": (raw(frame(h2s.DATA, 0, 1, SERVING)), INVALID, "broke the rules"),
    "huge DATA": (
        endless(frame(h2s.DATA, 0, 1, bytes(16000)), first=HEAD),
        INVALID,
        "",
    ),
    "a frame larger than agreed": (
        endless(b"x" * 65536, first=HEAD + b"\x01\x00\x00\x00\0\0\0\0\x01"),
        INVALID,
        "65536",
    ),
    "endless empty DATA": (endless(frame(h2s.DATA, 0, 1) * 100, first=HEAD), INVALID, "empty pieces"),
    "drip": (endless(frame(h2s.PING, 0, 0, b"12345678"), every_s=0.05), Category.TIMEOUT_TOTAL, "in time"),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_what_a_hostile_server_does_gets_its_own_category_in_time(prober: GrpcProber, case: str) -> None:
    script, category, words = HOSTILE[case]
    async with serve(script) as server:
        began = time.monotonic()
        seen = await probe(prober, server.port, timeout_s=0.5)
    assert time.monotonic() - began < 1.0
    assert (seen.verdict, seen.category) == (Verdict.DOWN if category else Verdict.UP, category), seen
    assert words in seen.message
    assert seen.message.isprintable()
    if category:
        assert seen.message.endswith(".")
        assert seen.evidence is not None
        assert seen.evidence.steps[-1].text == seen.message


async def test_nothing_listens_and_a_black_hole(prober: GrpcProber) -> None:
    seen = await probe(prober, unused_port())
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.CONNECT_REFUSED)
    with black_hole() as port:
        seen = await probe(prober, port, timeout_s=0.3)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.CONNECT_TIMEOUT)


@pytest.mark.parametrize(
    "case", ["few frames with very many settings", "a header bomb", "huge DATA", "endless headers"]
)
async def test_a_hostile_server_costs_neither_memory_nor_descriptors(prober: GrpcProber, case: str) -> None:
    async with serve(HOSTILE[case][0]) as server:
        await probe(prober, server.port, timeout_s=0.5)
        async with bounded():
            for _ in range(3):
                await probe(prober, server.port, timeout_s=0.5)
