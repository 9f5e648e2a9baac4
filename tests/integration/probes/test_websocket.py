"""The WebSocket check: against aiohttp's server, and against servers that misbehave."""

import asyncio
import base64
import contextlib
import hashlib
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import WSCloseCode, web

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import TlsSettings
from monitord.domain.kinds.websocket import WebsocketCheck
from monitord.domain.secrets import Header, Secret
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.resolver import SystemResolver
from monitord.probes.tls import Tls
from monitord.probes.websocket import WebsocketProber
from tests.support.authority import Authority
from tests.support.cost import bounded
from tests.support.mutations import mutated
from tests.support.probing import service_checks
from tests.support.targets import Peer, Script, answering, black_hole, serve, unused_port

Handler = Callable[[web.BaseRequest, web.WebSocketResponse], Awaitable[None]]


@pytest.fixture
def prober(tls: Tls) -> WebsocketProber:
    dialler = Dialler(EgressPolicy("private"), SystemResolver(2))
    services = service_checks(dialler, tls)
    return WebsocketProber(services, operator_url="https://op.example")


async def probe(prober: WebsocketProber, url: str, timeout_s: float = 2.0, **fields: Any) -> Observation:
    return await prober(WebsocketCheck(url=url, **fields), timeout_s, trace=True)


class Site:
    """A server of aiohttp's whose WebSockets are handled by a function; remembers requests and close codes."""

    def __init__(self, handler: Handler, protocols: tuple[str, ...] = ()) -> None:
        self.requests: list[web.BaseRequest] = []
        self.closed: asyncio.Queue[int | None] = asyncio.Queue()
        self.url = ""
        self._handler = handler
        self._protocols = protocols

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=self._protocols)
        await socket.prepare(request)
        self.requests.append(request)
        await self._handler(request, socket)
        async for _ in socket:
            pass
        self.closed.put_nowait(socket.close_code)
        return socket


@contextlib.asynccontextmanager
async def running(site: Site, tls: Any = None) -> AsyncIterator[Site]:
    runner = web.ServerRunner(web.Server(site))
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await listener.start()
    assert runner.addresses
    site.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield site
    finally:
        await runner.cleanup()


async def nothing(_: web.BaseRequest, socket: web.WebSocketResponse) -> None:
    pass


async def echo(_: web.BaseRequest, socket: web.WebSocketResponse) -> None:
    await socket.send_str(f"you said {await socket.receive_str()}")


# A real server


async def test_a_websocket_that_opens_is_up(prober: WebsocketProber) -> None:
    async with running(Site(nothing)) as site:
        seen = await probe(prober, site.url + "/live?token=hush")
        async with asyncio.timeout(5):
            assert await site.closed.get() == 1000
    assert (seen.verdict, seen.category, seen.status_code) == (Verdict.UP, None, 101), seen
    assert seen.phases.connect is not None
    assert seen.phases.ttfb is not None
    assert seen.phases.transfer is None
    (request,) = site.requests
    assert request.path_qs == "/live?token=hush"
    assert request.headers["Host"] == site.url.removeprefix("ws://")
    assert request.headers["User-Agent"].startswith("monitord/")
    assert "Origin" not in request.headers
    assert "Sec-WebSocket-Extensions" not in request.headers
    assert "Sec-WebSocket-Protocol" not in request.headers
    assert seen.evidence is not None
    assert seen.evidence.header_lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert "hush" not in repr([step.text for step in seen.evidence.steps])


async def test_what_is_sent_is_answered(prober: WebsocketProber) -> None:
    async with running(Site(echo)) as site:
        seen = await probe(prober, site.url, send="größe", expect="^you said größe$")
    assert (seen.verdict, seen.content_ok) == (Verdict.UP, True), seen
    assert seen.phases.transfer is not None
    assert seen.evidence is not None
    assert seen.evidence.body_excerpt == "you said größe".encode()


async def test_one_of_several_messages_may_match(prober: WebsocketProber) -> None:
    async def handler(_: web.BaseRequest, socket: web.WebSocketResponse) -> None:
        await socket.send_str("hello")
        await socket.ping(b"there?")
        await socket.send_bytes(b"\xff\x00ready\xfe")
        await socket.send_str("more")

    async with running(Site(handler)) as site:
        seen = await probe(prober, site.url, expect="ready")
        never = await probe(prober, site.url, timeout_s=0.5, expect="hellothere")
    assert seen.verdict is Verdict.UP, seen
    assert (never.verdict, never.category, never.content_ok) == (Verdict.DOWN, Category.TIMEOUT_TOTAL, False)


async def test_headers_are_sent_and_secret_ones_are_not_shown(prober: WebsocketProber) -> None:
    headers = (
        Header("Origin", "https://app.example"),
        Header("Authorization", "Bearer hush-hush", secret=True),
        Header("host", "chat.example"),
        Header("User-Agent", "me"),
    )
    async with running(Site(nothing)) as site:
        seen = await probe(prober, site.url, headers=headers)
    sent = site.requests[0].headers
    assert seen.verdict is Verdict.UP
    assert sent.getall("Host") == ["chat.example"]
    assert sent.getall("User-Agent") == ["me"]
    assert (sent["Origin"], sent["Authorization"]) == ("https://app.example", "Bearer hush-hush")
    assert "hush" not in repr(seen)


async def test_subprotocols(prober: WebsocketProber) -> None:
    async with running(Site(nothing, protocols=("b", "c"))) as site:
        agreed = await probe(prober, site.url, subprotocols=("a", "b"))
        none = await probe(prober, site.url, subprotocols=("a",))
    assert agreed.verdict is Verdict.UP
    assert site.requests[0].headers["Sec-WebSocket-Protocol"] == "a, b"
    assert (none.verdict, none.category) == (Verdict.DOWN, Category.PROTOCOL_REFUSED)
    assert "none of the subprotocols" in none.message


async def test_a_close_before_the_expected_message(prober: WebsocketProber) -> None:
    async def handler(_: web.BaseRequest, socket: web.WebSocketResponse) -> None:
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message="no \u202e seats".encode())

    async with running(Site(handler)) as site:
        seen = await probe(prober, site.url, expect="welcome")
    assert (seen.verdict, seen.category, seen.content_ok) == (Verdict.DOWN, Category.PROTOCOL_CLOSED, False)
    assert "code 1013 ('no \ufffd seats')" in seen.message
    assert seen.message.isprintable()


async def test_over_tls(prober: WebsocketProber, authority: Authority) -> None:
    context = authority.server("127.0.0.1")
    async with running(Site(echo), tls=context) as site:
        seen = await probe(prober, site.url, send="x", expect="x")
        soon = await probe(prober, site.url, send="x", min_certificate_days=60)
        broken = await probe(prober, site.url, tls=TlsSettings(client_certificate_pem="x", client_key_pem=Secret("y")))
    assert (seen.verdict, seen.ssl_ok) == (Verdict.UP, True), seen
    assert seen.phases.tls is not None
    assert seen.certificate_expires_at is not None
    assert (soon.verdict, soon.category) == (Verdict.DEGRADED, Category.TLS_EXPIRING)
    assert (broken.verdict, broken.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_INTERNAL)
    async with running(Site(echo), tls=authority.server("other.example")) as site:
        wrong = await probe(prober, site.url)
        plain = await probe(prober, site.url.replace("wss:", "ws:"), timeout_s=0.5)
    assert (wrong.verdict, wrong.category) == (Verdict.DOWN, Category.TLS_HOSTNAME)
    assert plain.verdict is Verdict.DOWN


async def test_a_slow_one_is_degraded_and_a_slow_goodbye_is_not(prober: WebsocketProber) -> None:
    async def slow(_: web.BaseRequest, socket: web.WebSocketResponse) -> None:
        await asyncio.sleep(0.1)
        await socket.send_str("here")

    async def rude(peer: Peer) -> None:
        await peer.send(accepting(await peer.request()))
        await peer.silence()

    async with running(Site(slow)) as site:
        seen = await probe(prober, site.url, expect="here", expected_latency_ms=50)
    assert (seen.verdict, seen.category) == (Verdict.DEGRADED, Category.ASSERT_LATENCY)
    async with serve(rude) as server:
        began = time.monotonic()
        seen = await probe(prober, server.url(scheme="ws"), expected_latency_ms=150)
        assert 0.15 < time.monotonic() - began < 0.6
    assert seen.verdict is Verdict.UP, seen


# The handshake, on the wire


def accept_of(request: bytes) -> bytes:
    key = next(line for line in request.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key: ")).split(b": ")[1]
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def accepting(request: bytes, more: bytes = b"", first: bytes = b"HTTP/1.1 101 Switching Protocols\r\n") -> bytes:
    return (
        first
        + b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: "
        + accept_of(request)
        + b"\r\n"
        + more
        + b"\r\n"
    )


def opening(more: bytes = b"", first: bytes = b"HTTP/1.1 101 Switching Protocols\r\n") -> Script:
    async def script(peer: Peer) -> None:
        await peer.send(accepting(await peer.request(), more, first))
        await peer.silence()

    return script


async def _closing(peer: Peer) -> None:
    await peer.request()


async def _resetting(peer: Peer) -> None:
    peer.reset()


async def _http1_drip(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 101 Switching Protocols\r\n")
    while not peer.writer.is_closing():
        await peer.send(b"X: y\r\n")
        await asyncio.sleep(0.05)


async def _endless_headers(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 101 Switching Protocols\r\n")
    while not peer.writer.is_closing():
        await peer.send(b"X: " + b"y" * 9000 + b"\r\n")
        await asyncio.sleep(0)


INVALID, REFUSED = Category.PROTOCOL_INVALID, Category.PROTOCOL_REFUSED
UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

HANDSHAKES: dict[str, tuple[Script, Category | None, str]] = {
    "good": (opening(), None, ""),
    "good, without a reason": (opening(first=b"HTTP/1.1 101\r\n"), None, ""),
    "good, after an interim answer": (
        opening(first=b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching\r\n"),
        None,
        "",
    ),
    "accept, then RST": (_resetting, Category.CONNECT_RESET, "reset"),
    "accept, then close": (_closing, Category.PROTOCOL_CLOSED, "without an answer"),
    "accept, then silence": (answering(then="silence"), Category.TIMEOUT_TTFB, "nothing within the timeout"),
    "a page": (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), Category.HTTP_STATUS, "status 200"),
    "a page of HTTP/1.0": (answering(b"HTTP/1.0 404 Not Found\r\n\r\nno"), Category.HTTP_STATUS, "status 404"),
    "a page with bare line ends": (answering(b"HTTP/1.1 403 No\nX: y\n\n"), Category.HTTP_STATUS, "status 403"),
    "not let in": (answering(b"HTTP/1.1 401 Unauthorized\r\n\r\n", then="silence"), Category.HTTP_STATUS, "401"),
    "a redirect": (
        answering(b"HTTP/1.1 301 Moved\r\nLocation: wss://new.example/\x1b\r\n\r\n"),
        Category.HTTP_STATUS,
        "points to 'wss://new.example/\ufffd'",
    ),
    "a version that it does not know": (
        answering(b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\n\r\n"),
        Category.HTTP_STATUS,
        "426",
    ),
    "101 without headers": (answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), INVALID, "no Connection"),
    "101 of HTTP/1.0": (opening(first=b"HTTP/1.0 101 Switching\r\n"), INVALID, "HTTP/1.0"),
    "101 with bare line ends": (answering(b"HTTP/1.1 101 S\nUpgrade: websocket\n\n"), INVALID, "can't be read"),
    "no accept": (answering(UPGRADE + b"\r\n"), INVALID, "no Sec-WebSocket-Accept"),
    "a wrong accept": (
        answering(UPGRADE + b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
        INVALID,
        "Sec-WebSocket-Accept: 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', which is wrong",
    ),
    "another upgrade": (opening(more=b"Upgrade: h2c\r\n"), INVALID, "Upgrade"),
    "an extension unasked": (opening(more=b"Sec-WebSocket-Extensions: permessage-deflate\r\n"), INVALID, "deflate"),
    "a subprotocol unasked": (opening(more=b"Sec-WebSocket-Protocol: chat\r\n"), INVALID, "'chat'"),
    "a malformed header": (opening(more=b"no colon\r\n"), INVALID, "can't be read"),
    "too many headers": (opening(more=b"X: y\r\n" * 200), INVALID, "can't be read"),
    "a long header": (opening(more=b"X: " + b"y" * 9000 + b"\r\n"), INVALID, "can't be read"),
    "endless headers": (_endless_headers, Category.HTTP_HEADERS_TOO_LARGE, "64 KiB"),
    "endless interim answers": (
        answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20, then="silence"),
        INVALID,
        "interim",
    ),
    "status 099": (answering(b"HTTP/1.1 099 Odd\r\n\r\n"), INVALID, "no HTTP/1.1"),
    "a banner": (answering(b"SSH-2.0-OpenSSH_9.9\r\n", then="silence"), INVALID, "SSH-2.0"),
    "garbage": (answering(b"\xfe\xed\xfa\xce" * 99, then="silence"), INVALID, "HTTP/1.1"),
    "a drip": (_http1_drip, Category.TIMEOUT_TOTAL, "in time"),
}


@pytest.mark.parametrize("case", HANDSHAKES)
async def test_what_a_handshake_says_gets_its_own_category_in_time(prober: WebsocketProber, case: str) -> None:
    script, category, words = HANDSHAKES[case]
    async with serve(script) as server:
        began = time.monotonic()
        seen = await probe(prober, server.url(scheme="ws"), timeout_s=0.5)
    assert time.monotonic() - began < 1.0
    assert_is(seen, category, words)


def assert_is(seen: Observation, category: Category | None, words: str) -> None:
    assert (seen.verdict, seen.category) == (Verdict.DOWN if category else Verdict.UP, category), seen
    assert words in seen.message
    assert seen.message.isprintable()
    if category:
        assert seen.message.endswith(".")
        assert seen.evidence is not None
        assert seen.evidence.steps[-1].text == seen.message


@pytest.mark.parametrize("chosen", [b"", b"Sec-WebSocket-Protocol: chat\r\n", b"Sec-WebSocket-Protocol: a, b\r\n"])
async def test_a_server_must_choose_one_of_the_subprotocols(prober: WebsocketProber, chosen: bytes) -> None:
    async with serve(opening(more=chosen)) as server:
        seen = await probe(prober, server.url(scheme="ws"), subprotocols=("a", "b"))
    assert seen.verdict is Verdict.DOWN
    assert seen.category is (INVALID if b"," in chosen else REFUSED), seen


async def test_nothing_listens_and_a_black_hole(prober: WebsocketProber) -> None:
    seen = await probe(prober, f"ws://127.0.0.1:{unused_port()}/")
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.CONNECT_REFUSED)
    with black_hole() as port:
        seen = await probe(prober, f"ws://127.0.0.1:{port}/", timeout_s=0.3)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.CONNECT_TIMEOUT)


# Frames, on the wire

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, flags: int = 0, size: int | None = None) -> bytes:
    """One frame (RFC 6455, 5.2), unmasked; it may lie about its size."""
    first = (0x80 if fin else 0) | flags | opcode
    length = len(data) if size is None else size
    if length < 126:
        return bytes([first, length]) + data
    if length < 1 << 16:
        return struct.pack("!BBH", first, 126, length) + data
    return struct.pack("!BBQ", first, 127, length) + data


def sending(*parts: bytes, then: str = "silence", every_s: float | None = None) -> Script:
    """Open a WebSocket and send frames; the last again and again, if ``every_s`` is given."""

    async def script(peer: Peer) -> None:
        await peer.send(accepting(await peer.request()))
        for part in parts:
            await peer.send(part)
        while every_s is not None and not peer.writer.is_closing():
            await peer.send(parts[-1])
            await asyncio.sleep(every_s)
        if then == "reset":
            peer.reset()
        elif then == "silence":
            await peer.silence()

    return script


READY = frame(TEXT, b"ready")
CLOSED = Category.PROTOCOL_CLOSED


async def _at_once(peer: Peer) -> None:
    await peer.send(accepting(await peer.request()) + READY)
    await peer.silence()


FRAMES: dict[str, tuple[Script, Category | None, str]] = {
    "good": (sending(READY), None, ""),
    "good, in the packet of the handshake": (_at_once, None, ""),
    "good, in fragments with a ping between": (
        sending(frame(TEXT, b"re", fin=False), frame(PING, b"?"), frame(CONT, b"a", fin=False), frame(CONT, b"dy")),
        None,
        "",
    ),
    "good, byte by byte": (sending(*(bytes([byte]) for byte in READY)), None, ""),
    "good, then nonsense": (sending(READY + b"\xff" * 50), None, ""),
    "good, though large": (sending(frame(BINARY, b"x" * 65_531 + b"ready")), None, ""),
    "good, in letters cut in two": (
        sending(frame(TEXT, b"ready \xc3", fin=False), frame(CONT, b"\xbc")),
        None,
        "",
    ),
    "silence": (sending(), Category.TIMEOUT_TOTAL, "in time"),
    "close without a close frame": (sending(then="close"), CLOSED, "hung up"),
    "reset": (sending(then="reset"), Category.CONNECT_RESET, "reset"),
    "a close frame": (sending(frame(CLOSE, b"\x03\xe9bye")), CLOSED, "code 1001 ('bye')"),
    "a close frame without a code": (sending(frame(CLOSE)), CLOSED, "no code"),
    "a close frame of one byte": (sending(frame(CLOSE, b"\3")), INVALID, "broke the rules"),
    "a close code that must not be sent": (sending(frame(CLOSE, b"\x03\xee")), INVALID, "broke the rules"),
    "a close reason that is not UTF-8": (sending(frame(CLOSE, b"\x03\xe8\xff")), INVALID, "broke the rules"),
    "text that is not UTF-8": (sending(frame(TEXT, b"ready\xff")), INVALID, "not UTF-8"),
    "masked": (sending(b"\x81\x85abcd\x13\x07\x02\0\x18"), INVALID, "masking"),
    "a continuation of nothing": (sending(frame(CONT, b"x")), INVALID, "continuation"),
    "a message within a message": (sending(frame(TEXT, b"a", fin=False), READY), INVALID, "continuation"),
    "an unknown opcode": (sending(frame(5, b"x")), INVALID, "opcode"),
    "a reserved bit": (sending(frame(TEXT, b"ready", flags=0x40)), INVALID, "reserved"),
    "a control frame too long": (sending(frame(PING, b"x" * 126)), INVALID, "too long"),
    "a control frame in fragments": (sending(frame(PING, b"x", fin=False)), INVALID, "fragmented"),
    "a message too large": (sending(frame(TEXT, b"x" * 65_537)), Category.BODY_TOO_LARGE, "64 KiB"),
    "a message too large by its fragments": (
        sending(frame(TEXT, b"x" * 40_000, fin=False), frame(CONT, b"x" * 40_000)),
        Category.BODY_TOO_LARGE,
        "64 KiB",
    ),
    "a frame of 2**62 bytes": (sending(frame(BINARY, b"x", size=1 << 62)), Category.BODY_TOO_LARGE, "64 KiB"),
    "a frame of 2**63 bytes": (sending(frame(BINARY, b"x", size=1 << 63)), INVALID, "broke the rules"),
    "endless messages": (sending(frame(TEXT, b"x" * 1000), every_s=0), Category.ASSERT_REGEX, "first 64 KiB"),
    "endless fragments": (
        sending(frame(TEXT, b"a", fin=False), frame(CONT, b"x" * 100, fin=False) * 20, every_s=0),
        Category.BODY_TOO_LARGE,
        "64 KiB",
    ),
    "endless empty fragments": (
        sending(frame(TEXT, b"a", fin=False), frame(CONT, fin=False) * 500, every_s=0),
        INVALID,
        "flooded",
    ),
    "endless empty messages": (sending(frame(TEXT) * 500, every_s=0), INVALID, "flooded"),
    "endless pings": (sending(frame(PING, b"x") * 100, every_s=0), INVALID, "flooded"),
    "garbage": (sending(b"\xfe\xed\xfa\xce" * 99), INVALID, "broke the rules"),
    "a drip": (sending(frame(PING), every_s=0.05), Category.TIMEOUT_TOTAL, "in time"),
}


@pytest.mark.parametrize("case", FRAMES)
async def test_what_comes_after_it_gets_its_own_category_in_time(prober: WebsocketProber, case: str) -> None:
    script, category, words = FRAMES[case]
    async with serve(script) as server:
        began = time.monotonic()
        seen = await probe(prober, server.url(scheme="ws"), timeout_s=0.8, expect="ready")
    assert time.monotonic() - began < 1.3
    assert_is(seen, category, words)
    assert seen.content_ok is (category is None)


async def test_pings_are_answered_and_what_we_send_is_masked(prober: WebsocketProber) -> None:
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.send(accepting(await peer.request()) + frame(PING, b"12"))
        for _ in range(2):
            head = await peer.reader.readexactly(2)
            mask = await peer.reader.readexactly(4)
            masked = await peer.reader.readexactly(head[1] & 0x7F)
            assert head[1] & 0x80
            got.append(head[:1] + bytes(byte ^ mask[n % 4] for n, byte in enumerate(masked)))
        await peer.send(READY)
        await peer.silence()

    async with serve(script) as server:
        seen = await probe(prober, server.url(scheme="ws"), send="hi", expect="ready")
    assert seen.verdict is Verdict.UP, seen
    assert sorted(got) == [b"\x81hi", b"\x8a12"]


@pytest.mark.parametrize("case", ["a frame of 2**62 bytes", "endless fragments", "endless messages", "endless pings"])
async def test_a_hostile_server_costs_neither_memory_nor_descriptors(prober: WebsocketProber, case: str) -> None:
    async with serve(FRAMES[case][0]) as server:
        url = server.url(scheme="ws")
        await probe(prober, url, timeout_s=0.5, expect="ready")
        async with bounded():
            for _ in range(3):
                await probe(prober, url, timeout_s=0.5, expect="ready")


async def test_no_mutation_of_what_a_good_server_sent_makes_it_fail_otherwise(prober: WebsocketProber) -> None:
    """Frames and the head of the handshake, whose accept is put in afterwards."""
    rounds = 2000
    frames = frame(PING, b"x") + frame(TEXT, b"re", fin=False) + frame(CONT, b"ady") + frame(BINARY, b"x" * 130)
    good = accepting(b"Sec-WebSocket-Key: x", b"Server: good\r\n") + frames + frame(CLOSE, b"\x03\xe8bye")
    answers = mutated(good, rounds, seed=6455)
    placeholder = accept_of(b"Sec-WebSocket-Key: x")

    async def script(peer: Peer) -> None:
        accept = accept_of(await peer.request())
        for piece in next(answers):
            await peer.send(piece.replace(placeholder, accept))

    verdicts = []
    async with serve(script) as server:
        for _ in range(rounds):
            seen = await probe(prober, server.url(scheme="ws"), timeout_s=5.0, expect="ready")
            assert seen.verdict in (Verdict.UP, Verdict.DOWN), seen
            assert seen.category is None or not seen.category.startswith(("timeout.", "engine.")), seen
            assert seen.message.isprintable()
            verdicts.append(seen.verdict)
    assert verdicts.count(Verdict.UP) > 100
    assert verdicts.count(Verdict.DOWN) > 100
