"""What a target can do to the prober over HTTP, on the wire. Numbers are those of the list of cases."""

import asyncio
import gzip
import time
import zlib

import pytest

from monitord.domain.check import Category, Verdict
from monitord.probes.http import HttpProber
from tests.integration.probes.conftest import MakeProber, probe
from tests.support.targets import Peer, Script, answering, black_hole, dripping, flooding, serve, unused_port

HEAD = b"HTTP/1.1 200 OK\r\n"


async def _closing(peer: Peer) -> None:
    await peer.request()


async def _resetting(peer: Peer) -> None:
    peer.reset()


async def _banner(peer: Peer) -> None:
    await peer.send(b"SSH-2.0-OpenSSH_9.9\r\n")
    await peer.silence()


CASES: dict[str, tuple[Script, Verdict, Category | None]] = {
    "9 accept, then RST": (_resetting, Verdict.DOWN, Category.CONNECT_RESET),
    "10 accept, then silence": (answering(then="silence"), Verdict.DOWN, Category.TIMEOUT_TTFB),
    "11 accept, then close": (_closing, Verdict.DOWN, Category.HTTP_EMPTY),
    "12 a header line now and then": (dripping(HEAD, b"X: y\r\n"), Verdict.DOWN, Category.TIMEOUT_TOTAL),
    "13 a body that drips": (
        dripping(HEAD + b"Content-Length: 99999\r\n\r\n", b"."),
        Verdict.DOWN,
        Category.TIMEOUT_TOTAL,
    ),
    "14 an endless body": (flooding(HEAD + b"\r\n", b"x" * 65536), Verdict.UP, Category.BODY_TOO_LARGE),
    "14 endless chunks": (
        flooding(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b"x" * 0x8000 + b"\r\n"),
        Verdict.UP,
        Category.BODY_TOO_LARGE,
    ),
    "14 endless tiny chunks": (
        flooding(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * 4000 + b"\r\nx\r\n"),
        Verdict.UP,
        Category.BODY_TOO_LARGE,
    ),
    "15 endless headers": (
        flooding(HEAD, b"X: " + b"y" * 1000 + b"\r\n"),
        Verdict.DOWN,
        Category.HTTP_HEADERS_TOO_LARGE,
    ),
    "15 an endless header line": (flooding(HEAD + b"X: ", b"y" * 65536), Verdict.DOWN, Category.HTTP_HEADERS_TOO_LARGE),
    "15 endless trailers": (
        flooding(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: " + b"y" * 1000 + b"\r\n"),
        Verdict.DOWN,
        Category.HTTP_HEADERS_TOO_LARGE,
    ),
    "16 endless 1xx": (flooding(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), Verdict.DOWN, Category.HTTP_PROTOCOL),
    "16 an unwanted upgrade": (
        answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        Verdict.DOWN,
        Category.HTTP_PROTOCOL,
    ),
    "18 shorter than Content-Length": (
        answering(HEAD + b"Content-Length: 10\r\n\r\nhello"),
        Verdict.DOWN,
        Category.BODY_TRUNCATED,
    ),
    "18 chunks without an end": (
        answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        Verdict.DOWN,
        Category.BODY_TRUNCATED,
    ),
    "18 reset in the body": (
        answering(HEAD + b"Content-Length: 10\r\n\r\nhello", then="reset"),
        Verdict.DOWN,
        Category.BODY_TRUNCATED,
    ),
    "19 more than Content-Length": (answering(HEAD + b"Content-Length: 2\r\n\r\nhello"), Verdict.UP, None),
    "20 two Content-Lengths": (
        answering(HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        Verdict.DOWN,
        Category.HTTP_PROTOCOL,
    ),
    "20 the same twice": (answering(HEAD + b"Content-Length: 5, 5\r\n\r\nhello"), Verdict.UP, None),
    "20 a negative one": (answering(HEAD + b"Content-Length: -5\r\n\r\nhello"), Verdict.DOWN, Category.HTTP_PROTOCOL),
    "21 a bad chunk size": (
        answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        Verdict.DOWN,
        Category.HTTP_PROTOCOL,
    ),
    "21 a chunk longer than its size": (
        answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n"),
        Verdict.DOWN,
        Category.HTTP_PROTOCOL,
    ),
    "22 chunk trailers": (
        answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n", then="silence"),
        Verdict.UP,
        None,
    ),
    "23 LF-only lines": (
        answering(b"HTTP/1.1 200 OK\nContent-Length: 5\nX: y\n\nhello", then="silence"),
        Verdict.UP,
        None,
    ),
    "23 latin-1 headers": (answering(HEAD + b"X-Name: M\xfcller\r\nContent-Length: 0\r\n\r\n"), Verdict.UP, None),
    "24 an SSH banner": (_banner, Verdict.DOWN, Category.HTTP_PROTOCOL),
    "24 random bytes": (answering(b"\x00\xff\x13\x37" * 9, then="silence"), Verdict.DOWN, Category.HTTP_PROTOCOL),
    "24 an HTTP/2 preface": (
        answering(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", then="silence"),
        Verdict.DOWN,
        Category.HTTP_PROTOCOL,
    ),
    "25 HTTP/1.0 without a length": (answering(b"HTTP/1.0 200 OK\r\n\r\nhello"), Verdict.UP, None),
    "26 status 999": (answering(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), Verdict.DOWN, Category.HTTP_STATUS),
    "26 status 000": (
        answering(b"HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n"),
        Verdict.DOWN,
        Category.HTTP_PROTOCOL,
    ),
    "26 status 99": (answering(b"HTTP/1.1 99 Odd\r\nContent-Length: 0\r\n\r\n"), Verdict.DOWN, Category.HTTP_PROTOCOL),
    "26 status abc": (
        answering(b"HTTP/1.1 abc Odd\r\nContent-Length: 0\r\n\r\n"),
        Verdict.DOWN,
        Category.HTTP_PROTOCOL,
    ),
    "27 204 with a body": (answering(b"HTTP/1.1 204 No Content\r\n\r\nhello", then="silence"), Verdict.UP, None),
    "a line without a colon": (answering(HEAD + b"nonsense\r\n\r\n"), Verdict.DOWN, Category.HTTP_PROTOCOL),
    "a NUL in a header": (answering(HEAD + b"X: \x00\r\n\r\n"), Verdict.DOWN, Category.HTTP_PROTOCOL),
    "an unknown Transfer-Encoding": (
        answering(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        Verdict.DOWN,
        Category.HTTP_PROTOCOL,
    ),
    "not the gzip it says": (
        answering(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"),
        Verdict.DOWN,
        Category.BODY_DECODE,
    ),
    "half of a gzip": (
        answering(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello" * 99)[:-9]),
        Verdict.DOWN,
        Category.BODY_DECODE,
    ),
    "31 a redirect to nowhere": (answering(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), Verdict.UP, None),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_a_hostile_server_does_gets_its_own_category_in_time(prober: HttpProber, case: str) -> None:
    script, verdict, category = CASES[case]
    async with serve(script) as server:
        began = time.monotonic()
        seen = await probe(prober, server.url(), timeout_s=0.4)
    assert (seen.verdict, seen.category) == (verdict, category), seen
    assert time.monotonic() - began < 0.9
    assert seen.address == f"127.0.0.1:{server.port}"
    if verdict is Verdict.DOWN:
        assert seen.message.endswith(".")
        assert seen.evidence is not None
        assert seen.evidence.steps[-1].text == seen.message
    else:
        assert seen.evidence is None


async def test_nothing_listens(prober: HttpProber) -> None:
    seen = await probe(prober, f"http://127.0.0.1:{unused_port()}/")
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.CONNECT_REFUSED)
    assert seen.phases.connect is not None
    assert seen.phases.ttfb is None


async def test_a_black_hole(prober: HttpProber) -> None:
    with black_hole() as port:
        began = time.monotonic()
        seen = await probe(prober, f"http://127.0.0.1:{port}/", timeout_s=0.3)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.CONNECT_TIMEOUT)
    assert 0.25 < time.monotonic() - began < 0.8


async def test_a_gzip_bomb_is_capped_and_the_keyword_not_found_says_where_it_looked(make_prober: MakeProber) -> None:
    bomb = gzip.compress(b"\0" * (64 * 1024 * 1024) + b"needle")
    script = answering(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb), bomb)
    async with serve(script) as server:
        seen = await probe(make_prober(max_body_bytes=256 * 1024), server.url(), keyword="needle")
    assert seen.category is Category.ASSERT_KEYWORD
    assert "in the first 256 KiB" in seen.message
    assert seen.bytes_received < len(bomb) + 200


# No moment in the bodies: they are part of the names of the tests, which all workers must agree on.
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", gzip.compress(b"a needle in it", mtime=0)),
        (b"x-gzip", gzip.compress(b"a nee", mtime=0) + gzip.compress(b"dle in it", mtime=0)),
        (b"deflate", zlib.compress(b"a needle in it")),
        (b"deflate", zlib.compress(b"a needle in it", wbits=-15)),
        (b"identity", b"a needle in it"),
    ],
)
async def test_the_keyword_is_looked_for_in_the_decoded_body(prober: HttpProber, encoding: bytes, body: bytes) -> None:
    script = answering(HEAD + b"Content-Encoding: " + encoding + b"\r\n\r\n", body)
    async with serve(script) as server:
        found = await probe(prober, server.url(), keyword="needle")
        absent = await probe(prober, server.url(), keyword="needle", keyword_absent=True)
        missing = await probe(prober, server.url(), keyword="thread")
    assert (found.verdict, found.content_ok) == (Verdict.UP, True)
    assert (absent.category, absent.content_ok) == (Category.ASSERT_KEYWORD, False)
    assert (missing.category, missing.content_ok) == (Category.ASSERT_KEYWORD, False)


async def test_two_layers_of_encoding_are_not_undone(prober: HttpProber) -> None:
    body = gzip.compress(gzip.compress(b"needle"))
    async with serve(answering(HEAD + b"Content-Encoding: gzip, gzip\r\n\r\n", body)) as server:
        assert (await probe(prober, server.url())).verdict is Verdict.UP
        assert (await probe(prober, server.url(), keyword="needle")).category is Category.BODY_DECODE


async def test_a_keyword_across_two_reads_in_a_body_that_is_not_utf8(prober: HttpProber) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD + b"Content-Type: text/plain; charset=klingon\r\n\r\n\xff\xfe gr\xc3")
        await asyncio.sleep(0.05)
        await peer.send(b"\xbcn \xff")

    async with serve(script) as server:
        assert (await probe(prober, server.url(), keyword="grün")).verdict is Verdict.UP


async def test_text_from_the_target_is_shown_sanitised(prober: HttpProber) -> None:
    script = answering("HTTP/1.1 500 \x1b[31m\u202eevil\r\nX-A: \x07b\r\nContent-Length: 0\r\n\r\n".encode())
    async with serve(script) as server:
        seen = await probe(prober, server.url())
    assert seen.evidence is not None
    shown = " ".join((seen.message, *seen.evidence.header_lines, *(step.text for step in seen.evidence.steps)))
    assert shown.isprintable()
    assert "evil" in shown


async def test_a_slow_answer_is_degraded(prober: HttpProber) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await asyncio.sleep(0.1)
        await peer.send(HEAD + b"Content-Length: 0\r\n\r\n")

    async with serve(script) as server:
        seen = await probe(prober, server.url(), expected_latency_ms=20)
        fine = await probe(prober, server.url(), expected_latency_ms=1900)
    assert (seen.verdict, seen.category) == (Verdict.DEGRADED, Category.ASSERT_LATENCY)
    assert seen.phases.ttfb is not None
    assert seen.phases.ttfb > 90
    assert fine.verdict is Verdict.UP


async def test_a_check_that_is_cancelled_leaves_no_socket_behind(prober: HttpProber) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.silence()
        gone.set()

    async with serve(script) as server:
        task = asyncio.ensure_future(probe(prober, server.url(), timeout_s=30))
        await asyncio.wait_for(asked.wait(), 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), 2)
