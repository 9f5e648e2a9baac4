"""The HTTP check over HTTP/2: against a server that behaves, and against those that do not."""

import gzip
import os
import ssl
import time
import zlib
from typing import Any

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import TlsSettings
from monitord.domain.kinds import HttpCheck
from monitord.domain.kinds.http import HttpVersion
from monitord.domain.secrets import Header, Secret
from monitord.probes.http import HttpProber
from tests.integration.probes.conftest import MakeProber
from tests.support import http2_server as h2s
from tests.support.authority import Authority
from tests.support.cost import bounded
from tests.support.http2_server import Answer, Asked, Http2Site, endless, frame, literal, raw
from tests.support.mutations import mutated
from tests.support.targets import OK, Peer, Script, answering, serve

HELLO = Answer(200, [("content-type", "text/plain"), ("server", "two")], b"hello, world")


async def probe(
    prober: HttpProber, url: str, timeout_s: float = 2.0, *, trace: bool = True, **fields: Any
) -> Observation:
    check = HttpCheck(**({"url": url, "http_version": HttpVersion.HTTP2} | fields))
    return await prober(check, timeout_s, trace=True)


def site(answer: Answer = HELLO) -> Http2Site:
    return Http2Site(lambda asked: answer)


async def ask(prober: HttpProber, answer: Answer, **fields: Any) -> Observation:
    async with serve(site(answer)) as server:
        return await probe(prober, server.url(), **fields)


# Which version is spoken


async def test_with_prior_knowledge(prober: HttpProber) -> None:
    made = site()
    async with serve(made) as server:
        seen = await probe(prober, server.url("/a?b=c"), keyword="world")
    assert (seen.verdict, seen.category, seen.status_code) == (Verdict.UP, None, 200), seen
    assert (seen.content_ok, seen.ssl_ok, seen.measurements) == (True, None, {"http.version": 2.0})
    assert seen.phases.connect is not None
    assert seen.phases.ttfb is not None
    assert seen.phases.transfer is not None
    assert seen.bytes_received > len(HELLO.body)
    assert seen.evidence is not None
    assert seen.evidence.header_lines == ("HTTP/2 200", "content-type: text/plain", "server: two")
    assert seen.evidence.body_excerpt == HELLO.body
    (asked,) = made.asked
    assert [name for name, _ in asked.headers] == [
        ":method",
        ":scheme",
        ":authority",
        ":path",
        "user-agent",
        "accept",
        "accept-encoding",
    ]
    assert (asked[":method"], asked[":scheme"], asked[":path"]) == ("GET", "http", "/a?b=c")
    assert asked[":authority"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("version", [HttpVersion.AUTO, HttpVersion.HTTP2])
async def test_over_tls_the_server_chooses_http2(
    prober: HttpProber, authority: Authority, version: HttpVersion
) -> None:
    context = authority.server("127.0.0.1")
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with serve(site(), tls=context) as server:
        seen = await probe(prober, server.url(scheme="https"), http_version=version)
    assert (seen.verdict, seen.measurements, seen.ssl_ok) == (
        Verdict.UP,
        {"tls.version": 1.3, "http.version": 2.0},
        True,
    ), seen
    assert seen.phases.tls is not None
    assert seen.certificate_expires_at is not None


@pytest.mark.parametrize("protocols", [["http/1.1"], []])
async def test_over_tls_the_server_chooses_http1(
    prober: HttpProber, authority: Authority, protocols: list[str]
) -> None:
    context = authority.server("127.0.0.1")
    if protocols:
        context.set_alpn_protocols(protocols)
    async with serve(answering(OK), tls=context) as server:
        seen = await probe(prober, server.url(scheme="https"), http_version=HttpVersion.AUTO, keyword="hello")
        demanded = await probe(prober, server.url(scheme="https"))
    assert (seen.verdict, seen.status_code, seen.measurements) == (
        Verdict.UP,
        200,
        {"tls.version": 1.3, "http.version": 1.1},
    ), seen
    assert seen.evidence is not None
    assert seen.evidence.header_lines[0] == "HTTP/1.1 200 OK"
    assert (demanded.verdict, demanded.category) == (Verdict.DOWN, Category.HTTP_PROTOCOL)
    assert "HTTP/2" in demanded.message
    assert demanded.ssl_ok is True


async def test_without_tls_there_is_no_agreeing(prober: HttpProber) -> None:
    async with serve(answering(OK)) as server:
        seen = await probe(prober, server.url(), http_version=HttpVersion.AUTO)
    assert (seen.verdict, seen.measurements) == (Verdict.UP, None)


async def test_a_server_of_http1_is_no_server_of_http2(prober: HttpProber) -> None:
    async with serve(answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")) as server:
        seen = await probe(prober, server.url())
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.HTTP_PROTOCOL)
    assert "answers in HTTP/1" in seen.message


async def test_the_certificate_counts_as_ever(prober: HttpProber, authority: Authority) -> None:
    context = authority.server("other.example")
    context.set_alpn_protocols(["h2"])
    async with serve(site(), tls=context) as server:
        seen = await probe(prober, server.url(scheme="https"))
        unverified = await probe(prober, server.url(scheme="https"), verify_tls=False)
        broken = await probe(prober, server.url(scheme="https"), tls=TlsSettings(ca_pem="nonsense"))
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, Category.TLS_HOSTNAME, False)
    assert unverified.verdict is Verdict.UP
    assert (broken.verdict, broken.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_INTERNAL)


async def test_tls_where_none_is_spoken(prober: HttpProber) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"220 mail.example ESMTP\r\n")
        await peer.silence()

    async with serve(script) as server:
        seen = await probe(prober, server.url(scheme="https"))
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_NOT_TLS)


# Requests


async def test_headers_are_sent_as_http2_wants(prober: HttpProber) -> None:
    made = site()
    headers = (
        Header("Host", "shop.example"),
        Header("X-Key", "hush-hush", secret=True),
        Header("Cookie", "a=b; c=d"),
        Header("X-Name", "grün"),
    )
    async with serve(made) as server:
        seen = await probe(prober, server.url(), method="POST", headers=headers, body=b'{"a": 1}')
    assert seen.verdict is Verdict.UP, seen
    (asked,) = made.asked
    assert asked.body == b'{"a": 1}'
    assert asked[":authority"] == "shop.example"
    assert (asked["x-key"], asked["x-name"], asked["content-length"]) == ("hush-hush", "grün", "8")
    names = {name for name, _ in asked.headers}
    assert not names & {"host", "connection", "Host", "X-Key"}
    assert "hush" not in repr(seen)


async def test_a_large_body_goes_out_as_the_window_opens(prober: HttpProber) -> None:
    made = site()
    body = os.urandom(64 * 1024)
    async with serve(made) as server:
        seen = await probe(prober, server.url(), method="PUT", body=body)
    assert seen.verdict is Verdict.UP, seen
    assert made.asked[0].body == body


async def test_redirects_are_followed_and_secrets_stay_at_their_origin(prober: HttpProber) -> None:
    elsewhere = site()

    def answer(asked: Asked) -> Answer:
        if asked[":path"] == "/":
            return Answer(302, [("location", "/next")], b"moved")
        return Answer(307, [("location", other.url("/end"))])

    first = Http2Site(answer)
    async with serve(elsewhere) as other, serve(first) as server:
        seen = await probe(prober, server.url(), headers=(Header("X-Key", "hush", secret=True),))
        shy = await probe(prober, server.url(), follow_redirects=False)
    assert (seen.verdict, seen.status_code, seen.redirects) == (Verdict.UP, 200, 2), seen
    assert seen.measurements == {"http.version": 2.0}
    assert [("x-key", "hush") in each.headers for each in first.asked[:2]] == [True, True]
    assert ("x-key", "hush") not in elsewhere.asked[0].headers
    assert (shy.verdict, shy.status_code, shy.redirects) == (Verdict.UP, 302, 0)


async def test_a_client_certificate_is_shown_at_its_origin_alone(prober: HttpProber, authority: Authority) -> None:
    key, certificate = authority_pem(authority, "client.example")
    shown = TlsSettings(
        ca_pem=authority.ca_file.read_text(), client_certificate_pem=certificate, client_key_pem=Secret(key)
    )
    certificates: list[object] = []

    def watched(made: Http2Site) -> Script:
        async def script(peer: Peer) -> None:
            certificates.append(peer.writer.get_extra_info("peercert") or None)
            await made(peer)

        return script

    contexts = [authority.server("127.0.0.1"), authority.server("127.0.0.1")]
    for context in contexts:
        context.set_alpn_protocols(["h2"])
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(authority.ca_file)
    async with serve(watched(site()), tls=contexts[0]) as other:
        there = other.url(scheme="https")
        moved = Http2Site(lambda asked: Answer(302, [("location", there)]))
        async with serve(watched(moved), tls=contexts[1]) as server:
            seen = await probe(prober, server.url(scheme="https"), tls=shown)
    assert (seen.verdict, seen.redirects) == (Verdict.UP, 1), seen
    first, second = certificates
    assert first is not None
    assert second is None


def authority_pem(authority: Authority, name: str) -> tuple[str, str]:
    """A private key and its certificate."""
    authority.server(name)
    newest = max(authority.ca_file.parent.glob("server-*.pem"), key=lambda path: int(path.stem.split("-")[1]))
    key, mark, certificate = newest.read_text().partition("-----BEGIN CERTIFICATE-----")
    return key, mark + certificate


# Answers


@pytest.mark.parametrize(
    ("answer", "fields", "verdict", "category"),
    [
        (Answer(404, [], b"no"), {}, Verdict.DOWN, Category.HTTP_STATUS),
        (Answer(999, [], b"odd"), {}, Verdict.DOWN, Category.HTTP_STATUS),
        (Answer("099", [], b"odd"), {}, Verdict.DOWN, Category.HTTP_PROTOCOL),
        (Answer("20x", [], b"odd"), {}, Verdict.DOWN, Category.HTTP_PROTOCOL),
        (Answer(204), {}, Verdict.UP, None),
        (Answer(304, [("content-length", "99")]), {}, Verdict.UP, None),
        (Answer(200, [("content-length", "99")]), {"method": "HEAD"}, Verdict.UP, None),
        (Answer(200, [], b"hello", [("x-checksum", "1")]), {"keyword": "hello"}, Verdict.UP, None),
        (Answer(200, [("server", "  sloppy ")], b"hello"), {}, Verdict.UP, None),
        (Answer(200, [], b"hello", interim=[103] * 8), {}, Verdict.UP, None),
        (Answer(200, [], b"hello", interim=[103] * 9), {}, Verdict.DOWN, Category.HTTP_PROTOCOL),
        (Answer(200, [], b"hello", interim=[101]), {}, Verdict.DOWN, Category.HTTP_PROTOCOL),
        (Answer(200, [("content-length", "4")], b"hello"), {}, Verdict.DOWN, Category.HTTP_PROTOCOL),
        (Answer(200, [("content-length", "-4")], b"hello"), {}, Verdict.DOWN, Category.HTTP_PROTOCOL),
        (Answer(200, [("content-length", "9")], b"hello"), {}, Verdict.DOWN, Category.BODY_TRUNCATED),
        (Answer(200, [("content-length", "9")], b"hello", [("a", "b")]), {}, Verdict.DOWN, Category.BODY_TRUNCATED),
        (Answer(200, [("content-encoding", "gzip")], b"hello"), {}, Verdict.DOWN, Category.BODY_DECODE),
        (
            Answer(200, [("content-encoding", "compress")], b"hello"),
            {"keyword": "a"},
            Verdict.DOWN,
            Category.BODY_DECODE,
        ),
        (Answer(200, [], b"hello"), {"keyword": "bye"}, Verdict.DOWN, Category.ASSERT_KEYWORD),
        (Answer(200, [("x", "y" * 70_000)], b"hello"), {}, Verdict.DOWN, Category.HTTP_HEADERS_TOO_LARGE),
        (Answer(302, [("location", "javascript:x")]), {}, Verdict.DOWN, Category.HTTP_REDIRECT_INVALID),
        (Answer(302, [("location", "/")]), {}, Verdict.DOWN, Category.HTTP_REDIRECT_LOOP),
    ],
)
async def test_an_answer_is_judged_as_one_of_http1(
    prober: HttpProber, answer: Answer, fields: dict[str, Any], verdict: Verdict, category: Category | None
) -> None:
    seen = await ask(prober, answer, **fields)
    assert (seen.verdict, seen.category) == (verdict, category), seen
    assert seen.message.isprintable()


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress])
async def test_bodies_are_decoded(prober: HttpProber, encode: Any) -> None:
    coding = "gzip" if encode is gzip.compress else "deflate"
    answer = Answer(200, [("content-encoding", coding)], encode(b"x" * 100_000 + b"needle"))
    assert (await ask(prober, answer, keyword="needle")).verdict is Verdict.UP


async def test_no_more_of_a_body_comes_than_is_wanted(make_prober: MakeProber) -> None:
    made = site(Answer(200, [], b"x" * 3_000_000))
    async with serve(made) as server:
        seen = await probe(make_prober(max_body_bytes=100_000), server.url())
        assert made.sent == 100_000
        whole = await probe(make_prober(max_body_bytes=4_000_000), server.url())
    assert (seen.verdict, seen.category) == (Verdict.UP, Category.BODY_TOO_LARGE)
    assert 100_000 <= seen.bytes_received < 101_000
    assert (whole.verdict, whole.category) == (Verdict.UP, None)


async def test_the_window_grows_where_a_body_decodes_to_less_than_it_is(make_prober: MakeProber) -> None:
    """Members of gzip without anything in them: 20 bytes each, and nothing of the cap is used up."""
    body = gzip.compress(b"", mtime=0) * 4_000 + gzip.compress(b"needle", mtime=0)
    async with serve(site(Answer(200, [("content-encoding", "gzip")], body))) as server:
        seen = await probe(make_prober(max_body_bytes=64_000), server.url(), keyword="needle")
    assert seen.verdict is Verdict.UP, seen


# On the wire


async def _closing(peer: Peer) -> None:
    await h2s.request(peer)


async def _resetting(peer: Peer) -> None:
    peer.reset()


async def _silent(peer: Peer) -> None:
    await peer.silence()


HEAD = frame(h2s.HEADERS, h2s.END_HEADERS, 1, h2s.STATUS_200)
GOOD = HEAD + frame(h2s.DATA, h2s.END_STREAM, 1, b"hello")
PROTOCOL = Category.HTTP_PROTOCOL

HOSTILE: dict[str, tuple[Script, Verdict, Category | None]] = {
    "good": (raw(GOOD), Verdict.UP, None),
    "good, with padding": (raw(HEAD + frame(h2s.DATA, 9, 1, b"\4hello" + bytes(4))), Verdict.UP, None),
    "good, before a gentle GOAWAY": (raw(h2s.goaway(last=1) + GOOD), Verdict.UP, None),
    "good, then nonsense": (raw(GOOD + b"\xff" * 99), Verdict.UP, None),
    "accept, then RST": (_resetting, Verdict.DOWN, Category.CONNECT_RESET),
    "accept, then silence": (_silent, Verdict.DOWN, Category.TIMEOUT_TTFB),
    "accept, then close": (_closing, Verdict.DOWN, Category.HTTP_EMPTY),
    "silence after SETTINGS": (raw(then="silence"), Verdict.DOWN, Category.TIMEOUT_TTFB),
    "close after SETTINGS": (raw(), Verdict.DOWN, Category.HTTP_EMPTY),
    "silence after the headers": (raw(HEAD, then="silence"), Verdict.DOWN, Category.TIMEOUT_TOTAL),
    "close in the body": (raw(HEAD + frame(h2s.DATA, 0, 1, b"hel")), Verdict.DOWN, Category.BODY_TRUNCATED),
    "reset in the body": (raw(HEAD, then="reset"), Verdict.DOWN, Category.BODY_TRUNCATED),
    "RST_STREAM in the body": (raw(HEAD + frame(h2s.RST_STREAM, 0, 1, b"\0\0\0\2")), Verdict.DOWN, PROTOCOL),
    "RST_STREAM": (raw(frame(h2s.RST_STREAM, 0, 1, b"\0\0\0\x0d")), Verdict.DOWN, PROTOCOL),
    "GOAWAY at once": (raw(h2s.goaway()), Verdict.DOWN, PROTOCOL),
    "GOAWAY with an error": (raw(h2s.goaway(2, 1)), Verdict.DOWN, PROTOCOL),
    "a banner": (raw(b"SSH-2.0-OpenSSH_9.9\r\n", settings=False), Verdict.DOWN, PROTOCOL),
    "a push": (
        raw(frame(h2s.PUSH_PROMISE, h2s.END_HEADERS, 1, b"\0\0\0\x02" + h2s.STATUS_200)),
        Verdict.DOWN,
        PROTOCOL,
    ),
    "endless PINGs": (endless(frame(h2s.PING, 0, 0, bytes(8)) * 100), Verdict.DOWN, PROTOCOL),
    "endless PINGs in the body": (endless(frame(h2s.PING, 0, 0, bytes(8)) * 100, first=HEAD), Verdict.DOWN, PROTOCOL),
    "endless headers": (
        endless(frame(h2s.CONTINUATION, 0, 1, b"x" * 9000), first=frame(h2s.HEADERS, 0, 1, h2s.STATUS_200)),
        Verdict.DOWN,
        Category.HTTP_HEADERS_TOO_LARGE,
    ),
    "a header bomb": (
        raw(
            frame(h2s.HEADERS, 0, 1, h2s.STATUS_200 + b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4000)
            + frame(h2s.CONTINUATION, h2s.END_HEADERS, 1, b"\xbe" * 16000)
        ),
        Verdict.DOWN,
        Category.HTTP_HEADERS_TOO_LARGE,
    ),
    "endless interim answers": (
        endless(frame(h2s.HEADERS, h2s.END_HEADERS, 1, b"\x08\x03103")),
        Verdict.DOWN,
        PROTOCOL,
    ),
    "an endless body beyond the window": (
        endless(frame(h2s.DATA, 0, 1, b"x" * 16384), first=HEAD),
        Verdict.UP,
        Category.BODY_TOO_LARGE,
    ),
    "a body in pieces of one byte": (
        endless(frame(h2s.DATA, 0, 1, b"x") * 1000, first=HEAD),
        Verdict.DOWN,
        Category.TIMEOUT_TOTAL,
    ),
    "a body of nothing": (endless(frame(h2s.DATA, 0, 1) * 10, first=HEAD), Verdict.DOWN, PROTOCOL),
    "a body that drips": (
        endless(frame(h2s.DATA, 0, 1, b"."), first=HEAD, every_s=0.05),
        Verdict.DOWN,
        Category.TIMEOUT_TOTAL,
    ),
    "a header of HTTP/1": (
        raw(frame(h2s.HEADERS, 5, 1, h2s.STATUS_200 + literal(b"connection", b"close"))),
        Verdict.DOWN,
        PROTOCOL,
    ),
    "headers within the body": (
        raw(HEAD + frame(h2s.DATA, 0, 1, b"a") + frame(h2s.HEADERS, 4, 1, literal(b"a", b"b"))),
        Verdict.DOWN,
        PROTOCOL,
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_what_a_hostile_server_does_gets_its_own_category_in_time(prober: HttpProber, case: str) -> None:
    script, verdict, category = HOSTILE[case]
    async with serve(script) as server:
        began = time.monotonic()
        seen = await probe(prober, server.url(), timeout_s=0.5)
    assert time.monotonic() - began < 1.0
    assert (seen.verdict, seen.category) == (verdict, category), seen
    assert seen.message.isprintable()
    if verdict is Verdict.DOWN:
        assert seen.message.endswith(".")
        assert seen.evidence is not None
        assert seen.evidence.steps[-1].text == seen.message


@pytest.mark.parametrize(
    "case", ["an endless body beyond the window", "endless headers", "a header bomb", "a body in pieces of one byte"]
)
async def test_a_hostile_server_costs_neither_memory_nor_descriptors(prober: HttpProber, case: str) -> None:
    async with serve(HOSTILE[case][0]) as server:
        await probe(prober, server.url(), timeout_s=0.4)
        async with bounded():
            for _ in range(2):
                await probe(prober, server.url(), timeout_s=0.4)


async def test_no_mutation_of_a_good_answer_makes_it_fail_otherwise(prober: HttpProber) -> None:
    body = gzip.compress(b"hello, world", mtime=0)
    good = (
        frame(h2s.SETTINGS, payload=b"\0\3\0\0\0\x64")
        + frame(h2s.WINDOW_UPDATE, payload=b"\0\1\0\0")
        + frame(h2s.SETTINGS, h2s.ACK)
        + frame(h2s.HEADERS, 0, 1, h2s.STATUS_200 + literal(b"content-encoding", b"gzip"))
        + frame(h2s.CONTINUATION, h2s.END_HEADERS, 1, literal(b"content-length", b"%d" % len(body)))
        + frame(h2s.DATA, 0, 1, body[:9])
        + frame(h2s.PING, payload=b"12345678")
        + frame(h2s.DATA, h2s.END_STREAM, 1, body[9:])
    )
    answers = mutated(good, rounds=2000, seed=27)

    async def script(peer: Peer) -> None:
        await h2s.request(peer)
        for piece in next(answers):
            await peer.send(piece)

    async with serve(raw(good, settings=False)) as server:
        assert (await probe(prober, server.url(), keyword="hello, world")).verdict is Verdict.UP
    verdicts = []
    async with serve(script) as server:
        for _ in range(2000):
            seen = await probe(prober, server.url(), timeout_s=5.0)
            assert seen.verdict in (Verdict.UP, Verdict.DOWN)
            assert seen.category is None or not seen.category.startswith(("timeout.", "engine."))
            verdicts.append(seen.verdict)
    assert verdicts.count(Verdict.UP) > 40
    assert verdicts.count(Verdict.DOWN) > 100
