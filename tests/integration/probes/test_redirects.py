"""Cases 30 to 34: redirects go through the guard again and take no secrets along."""

import pytest

from monitord import __version__
from monitord.domain.check import Category, Verdict
from monitord.domain.secrets import Header
from monitord.probes.egress import EgressPolicy
from monitord.probes.http import HttpProber
from tests.integration.probes.conftest import MakeProber, ScriptedResolver, probe
from tests.support.targets import OK, Peer, Script, answering, serve


def redirecting(location: str, status: int = 302) -> Script:
    return answering(b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, location.encode()))


def recording(requests: list[bytes], answer: bytes = OK) -> Script:
    async def script(peer: Peer) -> None:
        requests.append(await peer.request())
        await peer.send(answer)

    return script


async def test_a_redirect_is_followed_on_a_fresh_connection(prober: HttpProber) -> None:
    async def script(peer: Peer) -> None:
        if b"GET /there?x=1 " in await peer.request():
            await peer.send(OK)
        else:
            await peer.send(b"HTTP/1.1 301 Moved\r\nLocation: ../there?x=1#part\r\n\r\n" + b"ignored" * 1000)

    async with serve(script) as server:
        seen = await probe(prober, server.url("/a/b"), keyword="hello")
        assert (seen.verdict, seen.redirects, seen.status_code) == (Verdict.UP, 1, 200)
        assert server.connections == 2
        unfollowed = await probe(prober, server.url("/a/b"), follow_redirects=False)
        assert (unfollowed.verdict, unfollowed.status_code, unfollowed.redirects) == (Verdict.UP, 301, 0)
        assert unfollowed.bytes_received > 7000


async def test_30_a_circle(prober: HttpProber) -> None:
    async with serve(redirecting("/")) as server:
        seen = await probe(prober, server.url())
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.HTTP_REDIRECT_LOOP)
    assert server.connections == 1


async def test_30_redirects_without_end(prober: HttpProber) -> None:
    async def script(peer: Peer) -> None:
        number = int((await peer.request()).split(b" ")[1][1:] or b"0")
        await peer.send(b"HTTP/1.1 302 Found\r\nLocation: /%d\r\n\r\n" % (number + 1))

    async with serve(script) as server:
        seen = await probe(prober, server.url(), max_redirects=4)
    assert (seen.category, seen.redirects) == (Category.HTTP_REDIRECT_LOOP, 4)
    assert server.connections == 5


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "ftp://x/",
        "http://u:p@127.0.0.1/",
        "http://127.1/",
        "//a\\b",
        "http:",
    ],
)
async def test_32_to_what_must_not_be_followed(prober: HttpProber, location: str) -> None:
    async with serve(redirecting(location)) as server:
        seen = await probe(prober, server.url())
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.HTTP_REDIRECT_INVALID)


async def test_33_into_a_forbidden_range_is_blocked_and_never_dialled(make_prober: MakeProber) -> None:
    async with serve(answering(OK)) as forbidden, serve(redirecting(forbidden.url("/secret"))) as server:
        policy = EgressPolicy("private", deny=[f"127.0.0.1:{forbidden.port}"])
        seen = await probe(make_prober(policy=policy), server.url())
        assert (seen.verdict, seen.category) == (Verdict.BLOCKED, Category.POLICY_BLOCKED)
        assert forbidden.connections == 0


async def test_33_a_name_that_turns_inward_between_hops(make_prober: MakeProber) -> None:
    resolver = ScriptedResolver(("127.0.0.1",), ("169.254.169.254",))
    async with serve(redirecting("/next")) as server:
        seen = await probe(make_prober(resolver), server.url(host="rebinding.example"))
    assert (seen.verdict, seen.category) == (Verdict.BLOCKED, Category.POLICY_BLOCKED)
    assert resolver.asked == ["rebinding.example", "rebinding.example"]
    assert server.connections == 1


HEADERS = (
    Header("Authorization", "Bearer abc"),
    Header("Cookie", "session=abc"),
    Header("X-Key", "abc", secret=True),
    Header("X-Plain", "kept"),
    Header("Host", "virtual.example"),
)


async def test_34_secrets_stay_within_their_origin(prober: HttpProber) -> None:
    first: list[bytes] = []
    other: list[bytes] = []
    async with serve(recording(other)) as stranger:
        back = b"HTTP/1.1 302 Found\r\nLocation: " + stranger.url("/x").encode() + b"\r\n\r\n"
        async with serve(recording(first, back)) as server:
            seen = await probe(prober, server.url(), headers=HEADERS)
    assert seen.verdict is Verdict.UP
    assert first[0].count(b"abc") == 3
    assert b"Host: virtual.example\r\n" in first[0]
    assert b"abc" not in other[0]
    assert b"X-Plain: kept" in other[0]
    assert f"Host: 127.0.0.1:{stranger.port}\r\n".encode() in other[0]


async def test_secrets_are_sent_on_within_the_origin(prober: HttpProber) -> None:
    requests: list[bytes] = []

    async def script(peer: Peer) -> None:
        requests.append(await peer.request())
        await peer.send(OK if len(requests) > 1 else b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n")

    async with serve(script) as server:
        await probe(prober, server.url(), headers=HEADERS)
    assert requests[1].count(b"abc") == 3


@pytest.mark.parametrize(
    ("status", "method", "then", "with_body"),
    [
        (301, "POST", b"GET", False),
        (302, "POST", b"GET", False),
        (303, "PUT", b"GET", False),
        (303, "HEAD", b"HEAD", False),
        (307, "POST", b"POST", True),
        (308, "PUT", b"PUT", True),
        (302, "PUT", b"PUT", True),
    ],
)
async def test_the_method_after_a_redirect(
    prober: HttpProber, status: int, method: str, then: bytes, with_body: bool
) -> None:
    requests: list[bytes] = []

    async def script(peer: Peer) -> None:
        requests.append(await peer.request())
        await peer.send(OK if len(requests) > 1 else b"HTTP/1.1 %d X\r\nLocation: /x\r\n\r\n" % status)

    body = b"" if method == "HEAD" else b"payload"
    async with serve(script) as server:
        seen = await probe(
            prober, server.url(), method=method, body=body, headers=(Header("Content-Type", "text/plain"),)
        )
    assert seen.verdict is Verdict.UP
    assert requests[1].startswith(then + b" /x ")
    assert (b"payload" in requests[1]) is with_body
    assert (b"Content-Type" in requests[1]) is (with_body or method == "HEAD")


async def test_the_request_as_it_stands_on_the_wire(prober: HttpProber) -> None:
    requests: list[bytes] = []
    async with serve(recording(requests)) as server:
        await probe(prober, server.url("/ü?q=a|b"), headers=(Header("Content-Length", "9"), Header("X-A", "b")))
        await probe(prober, server.url(), method="POST", body=b"x" * 60_000, headers=(Header("user-agent", "me"),))
        await probe(prober, server.url(), method="POST")
    host = f"127.0.0.1:{server.port}".encode()
    assert requests[0] == (
        b"GET /%C3%BC?q=a%7Cb HTTP/1.1\r\nHost: " + host + b"\r\n"
        b"User-Agent: monitord/" + __version__.encode() + b" (+https://op.example)\r\n"
        b"Accept: */*\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nX-A: b\r\nConnection: close\r\n\r\n"
    )
    assert requests[1].endswith(b"\r\nContent-Length: 60000\r\nConnection: close\r\n\r\n" + b"x" * 60_000)
    assert b"User-Agent" not in requests[1]
    assert b"Content-Length: 0\r\n" in requests[2]
