"""No bytes of a server make the reader of HTTP raise, hang or grow."""

import gzip
import random
import zlib

from monitord.probes.failure import Failure
from monitord.probes.http_response import MAX_HEAD_BYTES, Response, State
from tests.fuzz.mutation import mutated, pieces, rounds

CAP = 4096
TEXT = b"the quick brown fox jumps over the lazy dog. " * 20
BOMB = gzip.compress(bytes(1 << 20))

ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(TEXT) + TEXT,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2d\r\n"
    + TEXT[:45]
    + b"\r\n5;x=y\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
    b"HTTP/1.0 200\nServer: old\n\n" + TEXT,
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 3\r\n\r\nbye",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(TEXT),
    b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + zlib.compress(TEXT),
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
    b"HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\n\tc\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n",
]
WORDS = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\0",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"ffffffffffffffff\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"\x1f\x8b\x08",
]


def test_no_answer_breaks_the_reader() -> None:
    for label, chance in rounds("http", 10_000):
        data = mutated(chance.choice(ANSWERS), chance, WORDS)
        response = Response(
            head_request=chance.random() < 0.1,
            max_body_bytes=CAP,
            keyword=b"lazy",
            stop_at_redirect=chance.random() < 0.5,
        )
        try:
            failure = read(response, data, chance)
            redirects = response.redirects
        except Exception as error:  # whatever it is, the label is needed to see it again
            raise AssertionError(f"{label}: {data[:200]!r}") from error
        assert failure is None or isinstance(failure, Failure), label
        assert response.body.size <= CAP, label
        assert len(response.body.excerpt) <= 1024, label
        assert len(response.head) <= MAX_HEAD_BYTES, label
        assert not redirects or response.status in range(300, 400), label
        if failure is None:
            assert response.state is State.DONE, label


def read(response: Response, data: bytes, chance: random.Random) -> Failure | None:
    """Feed an answer as a connection would, until it is done, wrong, or closed."""
    for piece in pieces(data, chance):
        failure = response.feed(piece)
        if failure is not None or response.is_done:
            return failure
    return response.end()
