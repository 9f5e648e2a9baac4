"""Both vendors' clients, against stand-ins that refuse what the vendors would refuse."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from monitord.domain.instant import SECOND
from monitord.evidence.capture.screenshotone import ScreenshotOne
from monitord.evidence.shot import (
    HEIGHT,
    JPEG,
    MAX_IMAGE_BYTES,
    PNG,
    WIDTH,
    CaptureError,
    Image,
    LimitedError,
    StoreError,
)
from monitord.evidence.store.cloudinary import Cloudinary
from tests.integration.evidence.conftest import way
from tests.support import cloudinary_server, png, screenshotone_server
from tests.support.cloudinary_server import CloudinaryServer, serving_cloudinary
from tests.support.screenshotone_server import ScreenshotOneServer, serving_screenshotone

URL = "https://shop.example/cart?id=1&token=a%20b+c&x=%C3%A9"
PICTURE = Image(png.make(4, 4, 1, 2, 3), PNG)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with way().session() as opened:
        yield opened


@pytest.fixture(params=["by key", "signed"])
async def account(request: pytest.FixtureRequest) -> AsyncIterator[ScreenshotOneServer]:
    async with serving_screenshotone(demands_signatures=request.param == "signed") as server:
        yield server


def client(server: ScreenshotOneServer, session: aiohttp.ClientSession, **changed: str) -> ScreenshotOne:
    key = changed.get("key", server.key)
    secret = changed.get("secret", server.secret) if server.demands_signatures else None
    return ScreenshotOne(lambda: session, key, secret, base=server.base + "/")


async def test_screenshotone_takes_a_picture(account: ScreenshotOneServer, session: aiohttp.ClientSession) -> None:
    image = await client(account, session).capture(URL)
    assert image.media_type == PNG
    assert png.size(image.content) == (WIDTH, HEIGHT)
    (options,) = account.taken
    assert options["url"] == URL
    assert options["ignore_host_errors"] is True
    assert options["block_cookie_banners"] is True


async def test_screenshotone_refuses_a_wrong_key(account: ScreenshotOneServer, session: aiohttp.ClientSession) -> None:
    """(T15): the vendor's text may repeat the key; ours does not."""
    with pytest.raises(CaptureError, match="access_key_invalid") as caught:
        await client(account, session, key="canary-key").capture(URL)
    assert "canary-key" not in str(caught.value)


async def test_screenshotone_refuses_a_wrong_signature(session: aiohttp.ClientSession) -> None:
    async with serving_screenshotone(demands_signatures=True) as server:
        with pytest.raises(CaptureError, match="signature_is_not_valid"):
            await client(server, session, secret="wrong").capture(URL)
        with pytest.raises(CaptureError, match="signature_is_required"):
            await ScreenshotOne(lambda: session, server.key, base=server.base).capture(URL)


@pytest.mark.parametrize(
    ("status", "code", "headers", "wait_s"),
    [
        (429, "concurrency_limit_reached", {"Retry-After": "7"}, 7),
        (429, "concurrency_limit_reached", {"Retry-After": "tomorrow"}, 60),
        (429, "", {"Retry-After": "999999"}, 900),
        (400, "screenshots_limit_reached", {}, 900),
    ],
)
async def test_screenshotone_asks_to_be_left_alone(
    account: ScreenshotOneServer,
    session: aiohttp.ClientSession,
    status: int,
    code: str,
    headers: dict[str, str],
    wait_s: float,
) -> None:
    account.script = [lambda: screenshotone_server.refuse(status, code, "Slow down.", headers)]
    with pytest.raises(LimitedError, match="Slow down") as caught:
        await client(account, session).capture(URL)
    assert caught.value.wait_s == wait_s
    await client(account, session).capture(URL)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            lambda: screenshotone_server.refuse(500, "timeout_error", "Not taken\r\nin time."),
            "timeout_error",
        ),
        (lambda: screenshotone_server.refuse(500, "network_error", "x" * 5000), "network_error"),
        (lambda: web.Response(status=502, text="<html>"), "502"),
        (lambda: web.Response(status=500, body=b"x" * 1_000_000), "500"),
        (lambda: web.json_response([1, 2], status=500), "500"),
        (lambda: web.Response(text="<html>", content_type="text/html"), "no picture"),
        (lambda: web.Response(body=b"", content_type="image/png"), "no picture"),
        (lambda: web.Response(body=PICTURE.content + b"x" * MAX_IMAGE_BYTES), "too large"),
        (lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "302"),
    ],
)
async def test_screenshotone_fails_with_a_reason(
    account: ScreenshotOneServer, session: aiohttp.ClientSession, answer: object, words: str
) -> None:
    account.script = [answer]  # type: ignore[list-item]
    with pytest.raises(CaptureError, match=words) as caught:
        await client(account, session).capture(URL)
    text = str(caught.value)
    assert len(text) < 300
    assert text.isprintable()
    assert account.secret not in text
    assert account.key not in text


async def test_screenshotone_is_not_there(session: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    camera = ScreenshotOne(lambda: session, "canary-key", "canary-secret", base=f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(CaptureError, match="can't be reached") as caught:
        await camera.capture(URL)
    assert "canary" not in str(caught.value)


async def test_screenshotone_breaks_off(session: aiohttp.ClientSession) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n\x89PNG")
        writer.close()

    server = await asyncio.start_server(broken, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(CaptureError, match="the connection failed"):
        await ScreenshotOne(lambda: session, "k", base=f"http://127.0.0.1:{port}").capture(URL)
    server.close()
    await server.wait_closed()


async def test_vendors_are_dialled_by_the_policy() -> None:
    """(T1)"""
    async with serving_screenshotone() as server, way("127.0.0.1").session() as session:
        with pytest.raises(CaptureError, match="was not dialled"):
            await client(server, session).capture(URL)
        assert server.requests == 0


@pytest.fixture
async def cloud() -> AsyncIterator[CloudinaryServer]:
    async with serving_cloudinary(now_s=time.time) as server:
        yield server


def store(server: CloudinaryServer, session: aiohttp.ClientSession, **changed: str) -> Cloudinary:
    account = {"cloud": server.cloud, "key": server.key, "secret": server.secret} | changed
    return Cloudinary(lambda: session, **account, now=lambda: int(server.now_s() * SECOND), base=server.base)


async def test_cloudinary_keeps_a_picture(cloud: CloudinaryServer, session: aiohttp.ClientSession) -> None:
    url = await store(cloud, session).keep(PICTURE)
    other = await store(cloud, session).keep(Image(b"\xff\xd8\xff\xe0", JPEG))
    assert list(cloud.kept.values()) == [PICTURE.content, b"\xff\xd8\xff\xe0"]
    assert cloud.types == [PNG, JPEG]
    name = next(iter(cloud.kept))
    assert name.startswith("monitord/")
    assert len(name) == len("monitord/") + 32
    assert url.startswith("https://res.cloudinary.com/demo/image/upload/")
    assert name in url
    assert url != other


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"secret": "canary-secret"}, "401: Invalid Signature"),
        ({"key": "canary-key"}, "401: Unknown API key"),
        ({"cloud": "other"}, "401: cloud_name mismatch"),
    ],
)
async def test_cloudinary_refuses_another_account(
    cloud: CloudinaryServer, session: aiohttp.ClientSession, changed: dict[str, str], words: str
) -> None:
    with pytest.raises(StoreError, match=words) as caught:
        await store(cloud, session, **changed).keep(PICTURE)
    assert "canary" not in str(caught.value)
    assert not cloud.kept


async def test_cloudinary_refuses_a_wrong_clock(cloud: CloudinaryServer, session: aiohttp.ClientSession) -> None:
    late = store(cloud, session)
    cloud.now_s = lambda: time.time() + 7200
    late._now = lambda: int(time.time() * SECOND)
    with pytest.raises(StoreError, match="Stale request"):
        await late.keep(PICTURE)


@pytest.mark.parametrize(("status", "headers", "wait_s"), [(420, {}, 60), (429, {"Retry-After": "120"}, 120)])
async def test_cloudinary_asks_to_be_left_alone(
    cloud: CloudinaryServer, session: aiohttp.ClientSession, status: int, headers: dict[str, str], wait_s: float
) -> None:
    cloud.script = [lambda: cloudinary_server.refuse(status, "Rate Limit Exceeded", headers)]
    with pytest.raises(LimitedError, match="Rate Limit") as caught:
        await store(cloud, session).keep(PICTURE)
    assert caught.value.wait_s == wait_s


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: cloudinary_server.refuse(500, "General Error"), "General Error"),
        (lambda: web.Response(status=503), "503"),
        (lambda: web.json_response({"error": "no object"}, status=400), "400"),
        (lambda: web.json_response({}), "did not say where"),
        (lambda: web.json_response({"secure_url": 5}), "did not say where"),
        (lambda: web.json_response({"secure_url": "javascript:alert(1)"}), "did not say where"),
        (lambda: web.Response(text="hello"), "did not say where"),
        (lambda: web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"}), "307"),
    ],
)
async def test_cloudinary_fails_with_a_reason(
    cloud: CloudinaryServer, session: aiohttp.ClientSession, answer: object, words: str
) -> None:
    cloud.script = [answer]  # type: ignore[list-item]
    with pytest.raises(StoreError, match=words):
        await store(cloud, session).keep(PICTURE)


async def test_cloudinary_is_not_there(session: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    base = f"http://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(StoreError, match="can't be reached"):
        await Cloudinary(lambda: session, "c", "k", "s", now=lambda: 0, base=base).keep(PICTURE)
