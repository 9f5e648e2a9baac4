"""The URLs of jobs, as curl and cron ask for them."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from monitord.domain.errors import NotFoundError, UnavailableError
from monitord.domain.heartbeat import MAX_BODY_BYTES, Ping, PingKind
from monitord.identity.ping_urls import PingUrls
from monitord.identity.vault import Vault
from monitord.pings import listener
from monitord.pings.listener import PingListener

VAULT = Vault([bytes(32)])


class Served:
    """A listener on a free port, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, int | None, Ping]] = []
        self.error: Exception | None = None
        self.urls = PingUrls(VAULT.derive, "")
        self.listener = PingListener("127.0.0.1", 0, hearing=self, read_token=self.urls.read, now=lambda: 5)
        self.port = 0
        self.http: ClientSession

    async def hear(self, monitor_id: int, url_version: int | None, ping: Ping) -> None:
        if self.error is not None:
            raise self.error
        self.heard.append((monitor_id, url_version, ping))

    async def ask(self, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, str]:
        async with self.http.request(method, f"http://127.0.0.1:{self.port}{path}", data=body) as response:
            assert response.headers["Cache-Control"] == "no-store"
            return response.status, await response.text()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = Served()
    served.port = await served.listener.start()
    served.urls.base = f"http://127.0.0.1:{served.port}/"
    async with ClientSession() as served.http:
        yield served
    await served.listener.stop()
    await served.listener.stop()


@pytest.mark.parametrize(
    ("suffix", "kind", "code"),
    [
        ("", PingKind.SUCCESS, None),
        ("/", PingKind.SUCCESS, None),
        ("/start", PingKind.START, None),
        ("/fail", PingKind.FAIL, None),
        ("/log", PingKind.LOG, None),
        ("/0", PingKind.SUCCESS, 0),
        ("/1", PingKind.FAIL, 1),
        ("/255", PingKind.FAIL, 255),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_each_word(served: Served, suffix: str, kind: PingKind, code: int | None, method: str) -> None:
    path = f"/ping/{served.urls.token(7, 2)}{suffix}"
    assert await served.ask(path, method) == (200, "" if method == "HEAD" else "OK\n")
    assert served.heard == [(7, 2, Ping(at=5, kind=kind, exit_code=code, source="127.0.0.1"))]


async def test_bodies_are_kept_up_to_their_limit(served: Served) -> None:
    path = f"/ping/{served.urls.token(7, 0)}/log"
    body = b"\x00\xff" * MAX_BODY_BYTES
    assert (await served.ask(path, "POST", body))[0] == 200
    assert (await served.ask(path, "POST", b"short"))[0] == 200
    assert [ping.body for _, _, ping in served.heard] == [body[:MAX_BODY_BYTES], b"short"]


async def test_wrong_urls_are_told_apart_from_wrong_words(served: Served) -> None:
    good = served.urls.token(7, 0)
    other = PingUrls(Vault([b"x" * 32]).derive, "").token(7, 0)
    forged = good.replace("7-0", "8-0", 1)
    for token in (other, forged, good[:-1], good + "A", "7", "7-0-", "%00", "9" * 30 + good[1:]):
        status, text = await served.ask(f"/ping/{token}")
        assert status == 404
        assert "ping_url" in text
    for word in ("256", "-1", "01234", "end", "%D9%A3"):
        status, text = await served.ask(f"/ping/{good}/{word}")
        assert status == 400
        assert "/start" in text
    assert served.heard == []


async def test_a_job_learns_what_became_of_its_word(served: Served) -> None:
    path = f"/ping/{served.urls.token(7, 0)}"
    served.error = NotFoundError("There is no heartbeat at this URL.")
    assert (await served.ask(path))[0] == 404
    served.error = UnavailableError("The database is away.")
    assert (await served.ask(path))[0] == 503


async def test_a_job_that_loops_is_slowed_down_and_no_other(served: Served) -> None:
    """(T16)"""
    path = f"/ping/{served.urls.token(7, 0)}"
    statuses = [(await served.ask(path))[0] for _ in range(listener.BURST + 5)]
    assert statuses.count(429) >= 4
    assert (await served.ask(f"/ping/{served.urls.token(8, 0)}"))[0] == 200


async def test_a_body_that_never_ends_is_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "BODY_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    path = f"/ping/{served.urls.token(7, 0)}/fail"
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
    assert b"200 OK" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    assert served.heard[0][2].body == b"half"


async def test_a_taken_port_is_told_with_its_setting(served: Served) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        second = PingListener(
            "127.0.0.1", taken.getsockname()[1], hearing=served, read_token=served.urls.read, now=lambda: 0
        )
        with pytest.raises(OSError, match="MONITORD_PING_PORT"):
            await second.start()


def test_a_rotated_key_keeps_old_urls_valid() -> None:
    old, new = Vault([b"o" * 32]), Vault([b"n" * 32, b"o" * 32])
    token = PingUrls(old.derive, "").token(7, 1)
    assert PingUrls(new.derive, "").read(token) == (7, 1)
    assert PingUrls(new.derive, "").token(7, 1) != token
    assert PingUrls(Vault([b"n" * 32]).derive, "").read(token) is None
