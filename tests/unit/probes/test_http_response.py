"""The reader of responses: however the bytes are cut, the reading is the same, and bounded."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.check import Category
from monitord.probes.failure import Failure
from monitord.probes.http_response import MAX_HEAD_BYTES, Response, State

CAP = 4096

RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX: y\r\n\r\na needle here",
    b"HTTP/1.1 200\nContent-Length : 12\n\na needle here",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na nee\r\n7 ;x=y\r\ndle her\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\na needle here",
    b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 8\r\n\r\na needle",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"a needle here" * 3),
    b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (CAP + 10),
    b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\n",
    b"SSH-2.0-x\r\n",
]


def read(pieces: list[bytes]) -> tuple[Response, Failure | None]:
    response = Response(max_body_bytes=CAP, keyword=b"needle")
    for piece in pieces:
        failure = response.feed(piece)
        if failure is not None or response.state is State.DONE:
            return response, failure
    return response, response.end()


def summary(pieces: list[bytes]) -> tuple[object, ...]:
    response, failure = read(pieces)
    category = failure.category if failure is not None else None
    body = response.body
    return response.status, response.state, response.head, category, body.found, body.excerpt, response.capped


@given(st.sampled_from(RESPONSES), st.lists(st.integers(1, 200), max_size=30))
def test_how_the_bytes_are_cut_changes_nothing(wire: bytes, cuts: list[int]) -> None:
    pieces, position = [], 0
    for cut in cuts:
        pieces.append(wire[position : position + cut])
        position += cut
    pieces.append(wire[position:])
    assert summary([piece for piece in pieces if piece]) == summary([wire])


@given(st.sampled_from(RESPONSES), st.data())
def test_one_byte_at_a_time(wire: bytes, data: st.DataObject) -> None:
    assert summary([bytes([byte]) for byte in wire]) == summary([wire])


@given(
    st.lists(
        st.sampled_from(
            [b"HTTP/1.1 200 OK\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n", b"\n"]
        )
        | st.sampled_from(
            [b"0\r\n", b"5\r\nhello", b"Content-Encoding: gzip\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"a" * 5000]
        )
        | st.binary(max_size=30),
        max_size=20,
    )
)
def test_no_bytes_raise_and_nothing_grows(pieces: list[bytes]) -> None:
    response, failure = read([piece for piece in pieces if piece])
    assert failure is None or failure.message.isprintable()
    assert response.body.size <= CAP
    assert len(response.body.excerpt) <= 1024
    assert len(response._buffer) <= MAX_HEAD_BYTES


def test_repeated_and_folded_fields() -> None:
    response, failure = read([b"HTTP/1.1 302 F\r\nLocation:\t/a \r\nX-Location: no\r\nlocation: /b\r\n  c\r\n\r\n"])
    assert failure is None
    assert response.field(b"location") == [b"/a", b"/b c"]
    assert response.redirects


@pytest.mark.parametrize("status", [200, 300, 304, 305])
def test_only_some_statuses_redirect(status: int) -> None:
    response, _ = read([b"HTTP/1.1 %d X\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n" % status])
    assert not response.redirects


def test_a_head_request_has_no_body() -> None:
    response = Response(head_request=True, max_body_bytes=CAP)
    assert response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n") is None
    assert response.is_done


def test_the_head_is_bounded_to_the_byte() -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: "
    fits = start + b"y" * (MAX_HEAD_BYTES - len(start) - 4) + b"\r\n\r\n"
    assert read([fits])[1] is None
    failure = read([fits.replace(b"X: ", b"X:  ")])[1]
    assert failure is not None
    assert failure.category is Category.HTTP_HEADERS_TOO_LARGE
