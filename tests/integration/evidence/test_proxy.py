"""The only way out of a browser: what it dials, what it passes on, and what it counts (T1, T2, T3, T4)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from monitord.evidence.capture import proxy as proxy_module
from monitord.evidence.capture.proxy import Proxy
from monitord.evidence.capture.proxy_head import credential
from tests.integration.evidence.conftest import PUBLIC, Names, way
from tests.support.pages import Canary, Pages

PASSWORD = "canary-password"
LOGIN = b"Proxy-Authorization: " + credential(PASSWORD) + b"\r\n"


class Upstream:
    """A server that keeps what it gets, and answers what a test wants."""

    def __init__(self) -> None:
        self.got = b""
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=9\r\n\r\nhi"
        self.port = 0
        self.polite = True
        """It closes when asked to."""
        self.connections = 0
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            self.got += await reader.readuntil(b"\r\n\r\n")
            writer.write(self.answer)
            if b"Connection: close" in self.got and self.polite:
                self.got += await reader.readexactly(4 if b"Content-Length: 4" in self.got else 0)
                return
            while part := await reader.read(1000):
                self.got += part
        except (OSError, EOFError):
            pass
        finally:
            self.ended.set()
            writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    served = Upstream()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    yield served
    server.close()
    await server.wait_closed()


class Served:
    """A proxy, and a client of it."""

    def __init__(self, proxy: Proxy, port: int) -> None:
        self.proxy = proxy
        self.port = port

    async def say(self, *parts: bytes) -> bytes:
        """Send, and return all that comes until the proxy closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
            async with asyncio.timeout(10):
                return await reader.read()
        except ConnectionResetError:
            return b"reset"
        finally:
            writer.close()

    async def tunnel(self, target: str) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n".encode() + LOGIN + b"\r\n")
        return await reader.readuntil(b"\r\n\r\n"), reader, writer


@pytest.fixture
async def make() -> AsyncIterator["Maker"]:
    maker = Maker()
    yield maker
    for each in maker.made:
        await each.stop()
        await each.stop()


class Maker:
    def __init__(self) -> None:
        self.made: list[Proxy] = []

    async def __call__(self, *deny: str, names: Names | None = None, public: object = PUBLIC, **options: int) -> Served:
        proxy = Proxy(way(*deny, names=names), public, PASSWORD, **options)  # type: ignore[arg-type]
        self.made.append(proxy)
        return Served(proxy, await proxy.start())


def get(url: str, *lines: bytes) -> bytes:
    return f"GET {url} HTTP/1.1\r\nHost: else.example\r\n".encode() + LOGIN + b"".join(lines) + b"\r\n"


async def test_a_request_is_passed_on_without_what_is_for_the_proxy(make: Maker, upstream: Upstream) -> None:
    served = await make()
    url = f"http://site.example:{upstream.port}/a?b=c"
    answer = await served.say(get(url, b"X-A: 1\r\nConnection: keep-alive\r\nProxy-Connection: keep-alive\r\n"))
    assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: close\r\n\r\nhi"
    host = f"Host: site.example:{upstream.port}".encode()
    assert upstream.got == b"GET /a?b=c HTTP/1.1\r\n" + host + b"\r\nx-a: 1\r\nConnection: close\r\n\r\n"


async def test_a_body_is_passed_on_and_nothing_behind_it(make: Maker, upstream: Upstream) -> None:
    """(T3): a second request in the same bytes goes nowhere."""
    served = await make()
    head = f"POST http://a.example:{upstream.port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n".encode() + LOGIN
    answer = await served.say(head, b"\r\nbody", get(f"http://a.example:{upstream.port}/second"))
    assert answer.endswith(b"hi")
    await upstream.ended.wait()
    assert upstream.got.endswith(b"Content-Length: 4\r\nConnection: close\r\n\r\nbody")
    assert b"second" not in upstream.got
    assert upstream.connections == 1


async def test_a_tunnel_carries_both_ways(make: Maker, upstream: Upstream) -> None:
    served = await make()
    head, reader, writer = await served.tunnel(f"site.example:{upstream.port}")
    assert head == b"HTTP/1.1 200 OK\r\n\r\n"
    writer.write(b"hello\r\n\r\n")
    assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200 OK")
    writer.write_eof()
    await upstream.ended.wait()
    assert upstream.got == b"hello\r\n\r\n"
    writer.close()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "inside.example", "[::ffff:127.0.0.1]", "[::1]", "127.1", "2130706433", "0x7f.1"]
)
async def test_what_is_denied_is_not_dialled_however_it_is_written(make: Maker, bird: Canary, host: str) -> None:
    served = await make(f"127.0.0.1:{bird.port}", f"[::1]:{bird.port}")
    head, _, writer = await served.tunnel(f"{host}:{bird.port}")
    assert head.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
    writer.close()
    answer = await served.say(get(f"http://{host}:{bird.port}/"))
    # A plain request that fails gets no answer: whatever it got would be shown as the page's own.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert bird.heard == []
    assert served.proxy.last_error


@pytest.mark.parametrize(
    "target",
    [
        "https://site.example/",
        "ftp://site.example/",
        "file:///etc/passwd",
        "ws://site.example/",
        "gopher://site.example/",
        "/relative",
        "*",
        "//site.example/",
        "http://",
        "http://user:password@site.example/",
        "http://a\\b.example/",
        "http://site.example:0/",
        "http://site.example:99999/",
        "http://ｅxample.org/",
    ],
)
async def test_only_http_is_asked_for_in_the_clear(make: Maker, upstream: Upstream, target: str) -> None:
    """(T4)"""
    served = await make()
    assert (await served.say(get(target))).startswith(b"HTTP/1.1 400")
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "target", ["site.example", "site.example:", ":443", "site.example:0", "http://a.example:443", "a@b:443"]
)
async def test_a_tunnel_needs_a_host_and_a_port(make: Maker, target: str) -> None:
    served = await make()
    head, _, writer = await served.tunnel(target)
    assert head.startswith(b"HTTP/1.1 400")
    writer.close()


@pytest.mark.parametrize(
    "lines",
    [
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
        b"Content-Length: +1\r\n",
        b"Content-Length: 1, 1\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b" folded: yes\r\n",
        b"X: a\x00b\r\n",
        b"X: a\rGET / HTTP/1.1\r\n",
        b"X: a\nSmuggled: yes\r\n",
        b"no colon\r\n",
    ],
)
async def test_a_head_that_can_be_read_in_two_ways_is_refused(make: Maker, upstream: Upstream, lines: bytes) -> None:
    """(T3)"""
    served = await make()
    answer = await served.say(get(f"http://site.example:{upstream.port}/", lines))
    assert answer.startswith(b"HTTP/1.1 400")
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "start", [b"GET http://a.example/ HTTP/1.0", b"GET  http://a.example/ HTTP/1.1", b"nonsense", b""]
)
async def test_a_line_that_is_no_request_is_refused(make: Maker, start: bytes) -> None:
    served = await make()
    assert (await served.say(start + b"\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("login", [b"", LOGIN.replace(b"Basic ", b"Basic x"), LOGIN * 2, b"Authorization: Basic x\r\n"])
async def test_nobody_uses_it_without_the_credential(make: Maker, upstream: Upstream, login: bytes) -> None:
    served = await make()
    target = f"127.0.0.1:{upstream.port}".encode()
    for start in (b"GET http://" + target + b"/", b"CONNECT " + target):
        answer = await served.say(start + b" HTTP/1.1\r\nHost: x\r\n" + login + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 407")
        assert b"Proxy-Authenticate: Basic" in answer
    assert upstream.connections == 0


async def test_a_name_is_looked_up_once(make: Maker, upstream: Upstream, bird: Canary) -> None:
    """(T2)"""
    names = Names(site=("127.0.0.1", "127.0.0.2"))
    served = await make(names=names)
    for _ in range(3):
        assert (await served.say(get(f"http://site.example:{upstream.port}/"))).endswith(b"hi")
    assert names.asked == ["site.example"]


class Mapped:
    """Says that some ports are on the public internet."""

    def __init__(self, *ports: int) -> None:
        self.ports = ports

    def check(self, ip: str, port: int) -> str | None:
        return None if port in self.ports else "no"


async def test_what_came_from_outside_reaches_nothing_inside(make: Maker, upstream: Upstream, bird: Canary) -> None:
    served = await make(public=Mapped(upstream.port))
    inside = get(f"http://inside.example:{bird.port}/")
    outside = get(f"http://outside.example:{upstream.port}/")
    assert (await served.say(outside)).endswith(b"hi")
    assert await served.say(inside) == b""
    assert "from outside" in served.proxy.last_error
    assert bird.heard == []


async def test_a_page_from_inside_may_use_what_is_outside(
    make: Maker, upstream: Upstream, bird: Canary, pages: Pages
) -> None:
    served = await make(public=Mapped(upstream.port))
    inside = get(f"http://inside.example:{bird.port}/")
    for request in (inside, get(f"http://fonts.example:{upstream.port}/"), inside):
        assert b" 200 OK" in await served.say(request)
    assert await served.say(get(pages.url("/", host="other.example"))) == b""
    assert pages.seen == []


@pytest.mark.parametrize("port", [22, 25, 587])
async def test_ports_of_mail_and_shells_are_not_dialled(make: Maker, port: int) -> None:
    served = await make()
    assert await served.say(get(f"http://127.0.0.1:{port}/")) == b""
    assert "not one of the web" in served.proxy.last_error


async def test_bytes_are_counted(make: Maker, upstream: Upstream) -> None:
    """(T8)"""
    served = await make(max_bytes=100_000)
    upstream.answer += b"x" * 300_000
    url = f"http://site.example:{upstream.port}/"
    assert len(await served.say(get(url))) <= 100_500
    assert len(await served.say(get(url))) <= 10
    _, reader, writer = await served.tunnel(f"site.example:{upstream.port}")
    writer.write(b"x\r\n\r\n")
    try:
        rest = await reader.read()
    except ConnectionResetError:
        rest = b""
    assert rest == b""
    writer.close()


async def test_connections_are_counted(make: Maker, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_module, "MAX_CONNECTIONS", 3)
    served = await make()
    open_ = [await served.tunnel(f"site.example:{upstream.port}") for _ in range(3)]
    assert await served.say(get(f"http://site.example:{upstream.port}/")) in (b"", b"reset")
    for _, _, writer in open_:
        writer.close()


async def test_dials_are_counted(make: Maker, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_module, "MAX_DIALS", 2)
    served = await make()
    answers = [await served.say(get(f"http://site.example:{upstream.port}/")) for _ in range(3)]
    assert [bool(each) for each in answers] == [True, True, False]


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhi",
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi",
        ),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", b""),
        (b"SSH-2.0-x\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nX: a\x00\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", b""),
        (b"HTTP/1.1 200 " + b"x" * 100_000, b""),
    ],
)
async def test_answers_are_read_strictly(make: Maker, upstream: Upstream, answer: bytes, seen: bytes) -> None:
    upstream.answer = answer
    served = await make()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(get(f"http://site.example:{upstream.port}/"))
    got = await reader.readexactly(len(seen)) if seen else await reader.read()
    assert got == seen
    writer.close()


async def test_a_server_that_keeps_its_connection_is_left_when_the_browser_leaves(
    make: Maker, upstream: Upstream
) -> None:
    upstream.polite = False
    served = await make()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(get(f"http://site.example:{upstream.port}/"))
    await reader.readuntil(b"hi")
    assert not upstream.ended.is_set()
    writer.close()
    async with asyncio.timeout(10):
        await upstream.ended.wait()


async def test_a_head_without_end_is_cut_off(make: Maker) -> None:
    served = await make()
    assert await served.say(b"GET http://a.example/ HTTP/1.1\r\nX: " + b"x" * 200_000) in (b"", b"reset")


async def test_a_slow_head_is_cut_off(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_module, "HEAD_S", 0.05)
    served = await make()
    assert await served.say(b"GET http://a.example/ HT") == b""


async def test_stopped_it_closes_everything(make: Maker, upstream: Upstream) -> None:
    served = await make()
    _, reader, writer = await served.tunnel(f"site.example:{upstream.port}")
    await served.proxy.stop()
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    await upstream.ended.wait()
    writer.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", served.port)
