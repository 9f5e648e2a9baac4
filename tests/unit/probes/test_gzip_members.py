"""A body of several members of gzip, however it is cut into pieces."""

import gzip

import pytest

from monitord.probes.http_response import Response

HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
MEMBERS = b"".join(gzip.compress(each, mtime=0) for each in (b"a", b"", b"b"))


def decoded(data: bytes, size: int) -> bytes:
    response = Response(max_body_bytes=100)
    for piece in (HEAD, *(data[begin : begin + size] for begin in range(0, len(data), size))):
        assert response.feed(piece) is None
    assert response.end() is None
    return response.body.excerpt


@pytest.mark.parametrize("size", range(1, len(MEMBERS) + 1))
def test_members_follow_one_another_wherever_the_pieces_end(size: int) -> None:
    assert decoded(MEMBERS, size) == b"ab"


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("rest", [b"\0" * 9, b"x", b"\x1f", b"\x1fx"])
def test_what_follows_and_is_no_member_is_ignored(rest: bytes, size: int) -> None:
    assert decoded(gzip.compress(b"a", mtime=0) + rest, size) == b"a"
