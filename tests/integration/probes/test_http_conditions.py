"""What an HTTP check may demand of an answer, against servers that give it and servers that don't."""

import json
from typing import Any

import pytest

from monitord.domain.check import Category, Verdict
from monitord.domain.kinds.http import Comparison, HeaderAssertion, JsonAssertion, TlsRequirement
from monitord.probes.http import HttpProber
from tests.integration.probes.conftest import MakeProber, probe
from tests.support.authority import Authority
from tests.support.targets import answering, serve

C = Comparison


def answer(body: bytes, *lines: bytes) -> bytes:
    head = b"\r\n".join((b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *lines))
    return head + b"\r\n\r\n" + body


async def category(prober: HttpProber, raw: bytes, **fields: object) -> tuple[Category | None, str]:
    async with serve(answering(raw)) as server:
        seen = await probe(prober, server.url(), **fields)
    assert (seen.verdict is Verdict.UP) is (seen.category is None)
    assert seen.evidence is None or seen.evidence.steps[-1].text == seen.message, "the rule that decided is told"
    return seen.category, seen.message


HEADERS = answer(b"hi", b"X-Version: 2.1.0", b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"X-Empty:")


@pytest.mark.parametrize(
    ("assertion", "holds"),
    [
        (HeaderAssertion("x-version", C.PRESENT), True),
        (HeaderAssertion("X-Empty", C.PRESENT), True),
        (HeaderAssertion("X-Missing", C.PRESENT), False),
        (HeaderAssertion("X-Missing", C.ABSENT), True),
        (HeaderAssertion("X-Version", C.ABSENT), False),
        (HeaderAssertion("X-Version", C.EQUALS, "2.1.0"), True),
        (HeaderAssertion("X-Version", C.EQUALS, "2.1"), False),
        (HeaderAssertion("Set-Cookie", C.EQUALS, "b=2"), True),
        (HeaderAssertion("Set-Cookie", C.NOT_EQUALS, "b=2"), False),
        (HeaderAssertion("Set-Cookie", C.NOT_EQUALS, "c=3"), True),
        (HeaderAssertion("X-Missing", C.NOT_EQUALS, "x"), False),
        (HeaderAssertion("X-Version", C.MATCHES, r"^2\.[0-9]+\."), True),
        (HeaderAssertion("X-Version", C.MATCHES, "^3"), False),
        (HeaderAssertion("Set-Cookie", C.NOT_MATCHES, "^a"), False),
        (HeaderAssertion("Set-Cookie", C.NOT_MATCHES, "^z"), True),
        (HeaderAssertion("X-Version", C.CONTAINS, ".1."), True),
    ],
)
async def test_headers(prober: HttpProber, assertion: HeaderAssertion, holds: bool) -> None:
    found, message = await category(prober, HEADERS, header_assertions=(assertion,))
    assert found is (None if holds else Category.ASSERT_HEADER), message


async def test_a_header_that_is_wrong_is_shown_beside_what_is_demanded(prober: HttpProber) -> None:
    wanted = (HeaderAssertion("X-Version", C.EQUALS, "3.0"),)
    _, message = await category(prober, HEADERS, header_assertions=wanted)
    assert message == "The header X-Version must be '3.0'; the answer has '2.1.0'."
    _, message = await category(prober, answer(b"", b"X-Version: \xe2\x80\xae\x1b[31m"), header_assertions=wanted)
    assert "\u202e" not in message
    assert "\x1b" not in message


@pytest.mark.parametrize(
    ("body", "fields", "expected"),
    [
        (b"build 1234 ok", {"body_regex": r"build \d+ ok"}, None),
        (b"build x ok", {"body_regex": r"build \d+ ok"}, Category.ASSERT_REGEX),
        (b"error: 7", {"body_regex": "(?i)ERROR", "body_regex_absent": True}, Category.ASSERT_REGEX),
        (b"fine", {"body_regex": "(?i)ERROR", "body_regex_absent": True}, None),
        ("grün".encode(), {"body_regex": "^gr.n$"}, None),
        (b"\xff\xfe gr\xfcn", {"body_regex": "gr"}, None),
        (b"12345", {"min_body_bytes": 5, "max_body_bytes": 5}, None),
        (b"1234", {"min_body_bytes": 5}, Category.ASSERT_SIZE),
        (b"123456", {"max_body_bytes": 5}, Category.ASSERT_SIZE),
        (b"", {"min_body_bytes": 1}, Category.ASSERT_SIZE),
    ],
)
async def test_bodies(prober: HttpProber, body: bytes, fields: dict[str, Any], expected: Category | None) -> None:
    found, message = await category(prober, answer(body), **fields)
    assert found is expected, message


async def test_a_regular_expression_that_would_explode_elsewhere_does_not(prober: HttpProber) -> None:
    """(T7)"""
    found, _ = await category(prober, answer(b"a" * 100_000 + b"!"), body_regex="(a+)+$")
    assert found is Category.ASSERT_REGEX


async def test_only_the_part_that_is_read_is_searched(make_prober: MakeProber) -> None:
    prober = make_prober(max_body_bytes=2048)
    found, message = await category(prober, answer(b"x" * 5000 + b"end"), body_regex="end")
    assert found is Category.ASSERT_REGEX
    assert "in the first 2 KiB of the body" in message
    found, message = await category(prober, answer(b"x" * 5000), max_body_bytes=4000)
    assert (found, "5000 bytes" in message) == (Category.ASSERT_SIZE, True), "Content-Length tells the rest"


DOCUMENT = {
    "status": "ok",
    "count": 3,
    "on": True,
    "off": None,
    "items": [{"ok": True, "ms": 12}, {"ok": True, "ms": 40}],
    "tags": ["a", "b"],
    "text": "1",
}


@pytest.mark.parametrize(
    ("path", "comparison", "value", "holds"),
    [
        ("$.status", C.EQUALS, "ok", True),
        ("$.status", C.EQUALS, '"ok"', True),
        ("$.status", C.NOT_EQUALS, "ok", False),
        ("$.count", C.EQUALS, "3", True),
        ("$.count", C.EQUALS, "true", False),
        ("$.on", C.EQUALS, "true", True),
        ("$.on", C.EQUALS, "1", False),
        ("$.off", C.EQUALS, "null", True),
        ("$.text", C.EQUALS, "1", True),
        ("$.count", C.LESS, "4", True),
        ("$.count", C.AT_MOST, "2.5", False),
        ("$.count", C.GREATER, "2", True),
        ("$.count", C.AT_LEAST, "3", True),
        ("$.text", C.LESS, "4", False),
        ("$.on", C.LESS, "4", False),
        ("$.items[*].ok", C.EQUALS, "true", True),
        ("$.items[*].ms", C.LESS, "40", False),
        ("$.items[?@.ms > 30].ms", C.EQUALS, "40", True),
        ("$..ms", C.LESS, "41", True),
        ("$.missing", C.PRESENT, "", False),
        ("$.missing", C.ABSENT, "", True),
        ("$.missing", C.EQUALS, "x", False),
        ("$.missing", C.NOT_EQUALS, "x", False),
        ("$.status", C.PRESENT, "", True),
        ("$.status", C.ABSENT, "", False),
        ("$.tags", C.CONTAINS, "b", True),
        ("$.tags", C.CONTAINS, "z", False),
        ("$", C.CONTAINS, "status", True),
        ("$.status", C.CONTAINS, "k", True),
        ("$.status", C.MATCHES, "^o", True),
        ("$.count", C.MATCHES, "^3$", True),
        ("$.status", C.NOT_MATCHES, "^o", False),
    ],
)
@pytest.mark.parametrize("padding", [0, 10_000], ids=["inline", "in a thread"])
async def test_json(prober: HttpProber, path: str, comparison: C, value: str, holds: bool, padding: int) -> None:
    body = json.dumps(DOCUMENT).encode() + b" " * padding
    found, message = await category(prober, answer(body), json_assertions=(JsonAssertion(path, comparison, value),))
    assert found is (None if holds else Category.ASSERT_JSON), message


WANTED = (JsonAssertion("$.a", C.PRESENT),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b'{"a": NaN}',
        b'{"a": 1',
        b"\xff\xfe{}",
        b"[" * 5000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b'{"b": ' + b"9" * 10_000 + b"}",
        b'{"\xc3\x28": 1}',
        json.dumps({"b": list(range(60_000))}).encode(),
    ],
)
async def test_json_that_is_none_or_meant_to_hurt(prober: HttpProber, body: bytes) -> None:
    found, message = await category(prober, answer(body), json_assertions=WANTED)
    if not body.startswith(b'{"a":' * 2):
        assert found is Category.ASSERT_JSON
        assert len(message) < 400
    deep = (JsonAssertion("$..zzz", C.PRESENT),)
    assert (await category(prober, answer(body), json_assertions=deep))[0] is Category.ASSERT_JSON


async def test_a_byte_order_mark_is_no_reason_to_fail(prober: HttpProber) -> None:
    assert await category(prober, answer(b'\xef\xbb\xbf{"a": 1}'), json_assertions=WANTED) == (None, "")


async def test_what_must_or_must_not_come_over_tls(prober: HttpProber, authority: Authority) -> None:
    async with serve(answering(answer(b""))) as plain:
        away = b"HTTP/1.1 302 Found\r\nLocation: " + plain.url().encode() + b"\r\n\r\n"
        async with serve(answering(away), tls=authority.server("127.0.0.1")) as secure:
            url = secure.url(scheme="https")
            seen = await probe(prober, url, tls_requirement=TlsRequirement.REQUIRED)
            assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_REQUIRED)
            assert (await probe(prober, url, tls_requirement=TlsRequirement.FORBIDDEN)).verdict is Verdict.UP
    async with serve(answering(answer(b"")), tls=authority.server("127.0.0.1")) as secure:
        url = secure.url(scheme="https")
        assert (await probe(prober, url, tls_requirement=TlsRequirement.REQUIRED)).verdict is Verdict.UP
        seen = await probe(prober, url, tls_requirement=TlsRequirement.FORBIDDEN)
        assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_REQUIRED)


async def test_a_certificate_that_expires_soon_is_odd(prober: HttpProber, authority: Authority) -> None:
    async with serve(answering(answer(b"")), tls=authority.server("127.0.0.1", days=(-1, 10))) as server:
        url = server.url(scheme="https")
        seen = await probe(prober, url, min_certificate_days=14)
        assert (seen.verdict, seen.category) == (Verdict.DEGRADED, Category.TLS_EXPIRING)
        assert "expires in 9 days; 14 are asked for" in seen.message
        assert (await probe(prober, url, min_certificate_days=9)).verdict is Verdict.UP
