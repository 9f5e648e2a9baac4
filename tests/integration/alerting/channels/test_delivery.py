"""One POST: what was never sent is told from what may have arrived, and nothing is told of secrets."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from monitord.alerting.http_delivery import MAX_ANSWER_BYTES, HttpDelivery, Post
from monitord.alerting.outcomes import HTTP
from monitord.domain.delivery import Attempt, Outcome
from tests.support.authority import Authority
from tests.support.targets import Peer, serve
from tests.support.vendors import Canned, Seen, Vendor, serving

TOKEN = "tok3n-of-the-url"
SOON_S = 0.3


class Anyone(Vendor):
    def answer(self, seen: Seen) -> web.Response:
        return web.Response(text="thanks")


@pytest.fixture
async def anyone() -> AsyncIterator[Anyone]:
    vendor = Anyone()
    async with serving(vendor):
        yield vendor


async def post(
    delivery: HttpDelivery, base: str, *, timeout_s: float = 20.0, body: bytes = b'{"a":1}', headers: tuple = ()
) -> Attempt:
    sent = Post(url=f"{base}/{TOKEN}?key=a-key-of-mine", body=body, headers=headers, secrets=("pass-phrase",))
    attempt = await delivery.post("vendor", sent, HTTP, timeout_s)
    assert not [secret for secret in (TOKEN, "a-key-of-mine", "pass-phrase") if secret in attempt.detail + attempt.code]
    assert len(attempt.detail) <= 200
    return attempt


async def test_what_is_sent(delivery: HttpDelivery, anyone: Anyone) -> None:
    attempt = await post(delivery, anyone.base, headers=(("X-Own", "value"),))
    assert (attempt.outcome, attempt.code, attempt.detail) == (Outcome.ACCEPTED, "http.200", "")
    seen = anyone.seen[0]
    assert (seen.path, seen.query, seen.body) == (f"/{TOKEN}", "key=a-key-of-mine", b'{"a":1}')
    assert seen.headers["Content-Type"] == "application/json"
    assert seen.headers["Content-Length"] == "7"
    assert seen.headers["Accept-Encoding"] == "identity"
    assert seen.headers["User-Agent"] == "monitord/0 (+https://op.example)"
    assert seen.headers["X-Own"] == "value"


async def test_a_body_larger_than_any_buffer(delivery: HttpDelivery, anyone: Anyone) -> None:
    attempt = await post(delivery, anyone.base, body=b"x" * 900_000)
    assert attempt.accepted
    assert len(anyone.seen[0].body) == 900_000


async def test_a_redirect_is_not_followed(delivery: HttpDelivery, anyone: Anyone) -> None:
    anyone.canned.append(Canned(status=307, headers={"Location": f"{anyone.base}/elsewhere/{TOKEN}"}))
    attempt = await post(delivery, anyone.base)
    assert (attempt.outcome, attempt.code, attempt.disables_contact) == (Outcome.PERMANENT, "http.307", False)
    assert "redirects" in attempt.detail
    assert len(anyone.seen) == 1


async def test_an_answer_may_ask_to_wait(delivery: HttpDelivery, anyone: Anyone) -> None:
    anyone.canned.append(Canned(status=429, headers={"Retry-After": "90"}))
    anyone.canned.append(Canned(status=503, headers={"Retry-After": "Fri, 27 Nov 2026 19:07:35 GMT"}))
    assert (await post(delivery, anyone.base)).retry_after_s == 90.0
    assert (await post(delivery, anyone.base)).retry_after_s == 120.0


async def test_an_answer_that_repeats_secrets_is_struck_out(delivery: HttpDelivery, anyone: Anyone) -> None:
    words = f"no {TOKEN}\r\nkey=a-key-of-mine pass-phrase {anyone.base}/{TOKEN}?key=a-key-of-mine"
    anyone.canned.append(Canned(status=400, body=words.encode()))
    attempt = await post(delivery, anyone.base)
    assert attempt.detail == "HTTP 400: no ***  key=*** *** ***"


async def test_a_bomb_is_not_unpacked_and_its_answer_counts(delivery: HttpDelivery, anyone: Anyone) -> None:
    bomb = gzip.compress(bytes(20_000_000))
    anyone.canned.append(Canned(status=500, body=bomb, headers={"Content-Encoding": "gzip"}))
    attempt = await post(delivery, anyone.base)
    assert (attempt.outcome, attempt.code, attempt.detail) == (Outcome.RETRY, "http.500", "HTTP 500")


async def test_of_an_endless_answer_the_start_is_read(delivery: HttpDelivery) -> None:
    sent = 0

    async def endless(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await peer.send(b"400\r\n" + b"y" * 1024 + b"\r\n")
            sent += 1024

    async with serve(endless) as server:
        attempt = await post(delivery, server.url("").rstrip("/"))
        assert attempt.detail.startswith("HTTP 400: yyy")
    assert sent < MAX_ANSWER_BYTES + 16 * 1024 * 1024  # what the kernel's buffers hold, and no more


async def test_a_body_that_breaks_off_or_never_ends_does_not_undo_its_status(delivery: HttpDelivery) -> None:
    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthan")

    async def stuck(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthan")
        await peer.silence()

    for script, timeout_s in ((cut, 20.0), (stuck, SOON_S)):
        async with serve(script) as server:
            attempt = await post(delivery, server.url("").rstrip("/"), timeout_s=timeout_s)
            assert (attempt.outcome, attempt.code) == (Outcome.ACCEPTED, "http.200")


async def test_an_answer_that_is_lost_is_ambiguous(delivery: HttpDelivery) -> None:
    async def away(peer: Peer) -> None:
        await peer.request()

    async def reset(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async def half(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-")

    for script in (away, reset, half):
        async with serve(script) as server:
            attempt = await post(delivery, server.url("").rstrip("/"))
            assert (attempt.outcome, attempt.code) == (Outcome.AMBIGUOUS, "answer.lost")


async def test_an_answer_in_another_language_is_ambiguous(delivery: HttpDelivery) -> None:
    async def smtp(peer: Peer) -> None:
        await peer.request()
        await peer.send(f"220 mail.example ESMTP {TOKEN}\r\n".encode())

    async with serve(smtp) as server:
        attempt = await post(delivery, server.url("").rstrip("/"))
        assert (attempt.outcome, attempt.code) == (Outcome.AMBIGUOUS, "answer.invalid")


async def test_no_answer_in_time_is_ambiguous(delivery: HttpDelivery) -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.silence()

    async with serve(silent) as server:
        attempt = await post(delivery, server.url("").rstrip("/"), timeout_s=SOON_S)
        assert (attempt.outcome, attempt.code) == (Outcome.AMBIGUOUS, "timeout")


async def test_what_could_not_be_sent_whole_is_not_ambiguous(delivery: HttpDelivery) -> None:
    """The receiver reads nothing, and the body is more than the buffers between us hold."""
    never = asyncio.Event()

    async def deaf(peer: Peer) -> None:
        await never.wait()

    async with serve(deaf) as server:
        body = bytes(64 * 1024 * 1024)
        with pytest.warns(ResourceWarning, match="large body"):
            attempt = await post(delivery, server.url("").rstrip("/"), timeout_s=SOON_S, body=body)
        assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "timeout")
        never.set()


async def test_nobody_there(delivery: HttpDelivery, unused_tcp_port: int) -> None:
    attempt = await post(delivery, f"http://127.0.0.1:{unused_tcp_port}")
    assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "connect.refused")


async def test_a_name_that_does_not_exist(delivery: HttpDelivery) -> None:
    attempt = await post(delivery, "http://nowhere.example")
    assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "dns")
    assert "nowhere.example does not exist" in attempt.detail


async def test_no_connection_in_time(delivery: HttpDelivery) -> None:
    """A listener whose queue is full answers no one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        attempt = await post(delivery, f"http://127.0.0.1:{listener.getsockname()[1]}", timeout_s=SOON_S)
        for filler in fillers:
            filler.close()
    assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "connect.timeout")


async def test_a_certificate_that_is_not_trusted(delivery: HttpDelivery, authority: Authority) -> None:
    async def never(peer: Peer) -> None:
        raise AssertionError("nothing may be sent")

    async with serve(never, tls=authority.server("other.example")) as server:
        attempt = await post(delivery, f"https://hooks.example:{server.port}")
        assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "tls.certificate")
    async with serve(never, tls=authority.server("hooks.example", self_signed=True)) as server:
        attempt = await post(delivery, f"https://hooks.example:{server.port}")
        assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "tls.certificate")


async def test_no_tls_at_all(delivery: HttpDelivery) -> None:
    async def plain(peer: Peer) -> None:
        await peer.send(b"220 not TLS\r\n")
        await peer.silence()

    async with serve(plain) as server:
        attempt = await post(delivery, f"https://hooks.example:{server.port}")
        assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "tls")


async def test_over_tls(delivery: HttpDelivery, authority: Authority) -> None:
    async def takes(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with serve(takes, tls=authority.server("hooks.example")) as server:
        assert (await post(delivery, f"https://hooks.example:{server.port}")).accepted


@pytest.mark.parametrize("host", ["inward.example", "127.0.0.2", "[::ffff:127.0.0.2]"])
async def test_an_address_that_is_forbidden_is_never_tried(delivery: HttpDelivery, anyone: Anyone, host: str) -> None:
    """(T1)"""
    port = anyone.base.rpartition(":")[2]
    attempt = await post(delivery, f"http://{host}:{port}")
    assert (attempt.outcome, attempt.code) == (Outcome.PERMANENT, "policy.blocked")
    assert "was not dialled" in attempt.detail
    assert not anyone.seen


@pytest.mark.parametrize(
    "url", ["", "hooks.example", "ftp://hooks.example", "http://0x7f.1", "http://u:p@hooks.example", "http://a b"]
)
async def test_a_url_that_is_none(delivery: HttpDelivery, url: str) -> None:
    attempt = await delivery.post("vendor", Post(url=url, body=b""), HTTP, 20.0)
    assert (attempt.outcome, attempt.code) == (Outcome.PERMANENT, "url.invalid")


@pytest.mark.parametrize("header", [("X-Evil", "a\r\nX-More: b"), ("X: Evil\r\n", "a"), ("X-Evil", "a\x00b")])
async def test_a_header_that_would_be_two_is_not_sent(
    delivery: HttpDelivery, anyone: Anyone, header: tuple[str, str]
) -> None:
    attempt = await post(delivery, anyone.base, headers=(header,))
    assert (attempt.outcome, attempt.code) == (Outcome.PERMANENT, "request.invalid")
    assert not anyone.seen


async def test_each_message_has_a_connection_of_its_own(delivery: HttpDelivery) -> None:
    """One that was kept could be closed by the other side at the moment of sending, which looks like a lost answer."""

    async def takes(peer: Peer) -> None:
        assert b"Connection: close" in await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await peer.silence()

    async with serve(takes) as server:
        for _ in range(3):
            assert (await post(delivery, server.url("").rstrip("/"))).accepted
        assert server.connections == 3


async def test_being_cancelled_is_not_an_outcome(delivery: HttpDelivery) -> None:
    reached = asyncio.Event()

    async def silent(peer: Peer) -> None:
        await peer.request()
        reached.set()
        await peer.silence()

    async with serve(silent) as server:
        task = asyncio.create_task(post(delivery, server.url("").rstrip("/")))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_post_shows_nothing_of_itself() -> None:
    assert TOKEN not in repr(Post(url=f"https://x/{TOKEN}", body=b"", secrets=(TOKEN,)))
    assert issubclass(aiohttp.InvalidURL, ValueError), "the order in which errors are sorted counts on it"
