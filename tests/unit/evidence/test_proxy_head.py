"""Heads that pass the browser's proxy: whatever comes in, what goes out can be read in one way only (T3)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.evidence.capture.proxy_head import BadHeadError, credential, read_answer, read_request

LOGIN = credential("password")
CLEAN = re.compile(rb"(?:[\x21-\x7e][^\r\n\x00]*\r\n)+\r\n")

PIECES = st.sampled_from(
    [
        *[b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"\xff", b"\x0b", b"a", b"0", b"5", b"chunked"],
        *[
            b"Content-Length",
            b"Transfer-Encoding",
            b"Host",
            b"Connection",
            b"Proxy-Authorization",
            LOGIN,
            b"evil.example",
        ],
        *[b"GET / HTTP/1.1", b"HTTP/1.1", b"CONNECT a.example:443", b"http://a.example/", b"\r\n\r\n", b"Upgrade"],
    ]
)


@given(st.lists(PIECES, max_size=20).map(b"".join))
def test_any_request_is_refused_or_written_anew(noise: bytes) -> None:
    head = b"GET http://site.example/x HTTP/1.1\r\nX: " + noise + b"\r\n\r\n"
    try:
        request = read_request(head, LOGIN)
    except BadHeadError:
        return
    assert CLEAN.fullmatch(request.head)
    lines = request.head.lower().split(b"\r\n")
    assert lines[:2] == [b"get /x http/1.1", b"host: site.example"]
    assert sum(line.startswith(b"host:") for line in lines) == 1
    assert not any(line.startswith((b"transfer-encoding", b"proxy-", b"upgrade")) for line in lines)
    assert [line for line in lines if line.startswith(b"connection:")] == [b"connection: close"]
    lengths = [line for line in lines if line.startswith(b"content-length:")]
    assert lengths == ([b"content-length: %d" % request.body_bytes] if lengths else [])


@given(st.lists(PIECES, max_size=20).map(b"".join))
def test_any_target_is_refused_or_one_host(noise: bytes) -> None:
    for start in (b"GET http://", b"CONNECT ", b"GET "):
        try:
            request = read_request(start + noise + b" HTTP/1.1\r\n\r\n", LOGIN)
        except BadHeadError:
            continue
        assert re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", request.host)
        assert 1 <= request.port <= 65535
        assert not request.authorised


@given(st.lists(PIECES, max_size=20).map(b"".join))
def test_any_answer_is_refused_or_written_anew(noise: bytes) -> None:
    try:
        status, head = read_answer(b"HTTP/1.1 200 OK\r\nX: " + noise + b"\r\n\r\n")
    except BadHeadError:
        return
    assert status == 200
    assert CLEAN.fullmatch(head)
    assert head.lower().count(b"\r\nconnection:") == 1
    assert head.endswith(b"\r\nConnection: close\r\n\r\n")


def test_the_credential_is_compared_as_a_whole() -> None:
    head = b"CONNECT a.example:443 HTTP/1.1\r\nProxy-Authorization: %s\r\n\r\n"
    assert read_request(head % LOGIN, LOGIN).authorised
    for wrong in (LOGIN[:-1], LOGIN + b"x", LOGIN.lower(), b""):
        assert not read_request(head % wrong, LOGIN).authorised


def test_long_urls_pass() -> None:
    path = "/" + "x" * 6000 + "?a=%7Cb"
    request = read_request(f"GET http://a.example{path} HTTP/1.1\r\n\r\n".encode(), LOGIN)
    assert request.head.startswith(f"GET {path} HTTP/1.1\r\nHost: a.example\r\n".encode())
    with pytest.raises(BadHeadError):
        read_request(f"GET http://a.example/{'x' * 9000} HTTP/1.1\r\n\r\n".encode(), LOGIN)
