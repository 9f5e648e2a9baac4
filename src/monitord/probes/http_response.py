"""Reads one HTTP/1.x response from bytes, without I/O (RFC 9112).

Strict where a client would be misled (status line, framing), lenient where servers are merely sloppy (bare LF, latin-1
and folded header lines, spaces before the colon). Every part has a bound, and the state is one of five.
"""

import re
from enum import Enum
from functools import lru_cache

from monitord.domain.check import Category
from monitord.probes.failure import Failure
from monitord.probes.http_body import Body
from monitord.probes.http_chunks import Chunks
from monitord.probes.http_decoding import DecodeError, decoder_for
from monitord.probes.text import shown

MAX_HEAD_BYTES = 64 * 1024
"""Status line and headers together."""
MAX_INTERIM = 8
"""How many 1xx responses may come before the final one."""
_FRAMING_ALLOWANCE = 64 * 1024

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: [^\r\n\0]*+)?\r?\n")
_FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++[ \t]*+:[^\r\n\0]*+\r?\n(?:[ \t][^\r\n\0]*+\r?\n)*+)*+")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_PLAIN_LENGTH = re.compile(rb"\ncontent-length:[ \t]*+([0-9]{1,18})[ \t]*+\r?\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_PREFIX = b"HTTP/1."


class State(Enum):
    """How far a response has been read."""

    HEAD = "its headers"
    LENGTH = "its body"
    CHUNKS = "its chunked body"
    UNTIL_CLOSE = "its body, which lasts until the connection is closed"
    DONE = "its end"


class Response:
    """One response, as far as it has arrived. Feed it until ``state`` is DONE or a failure comes back."""

    __slots__ = (
        "_body_wire",
        "_buffer",
        "_cap",
        "_chunks",
        "_interim",
        "_remaining",
        "_scanned",
        "_stop_at_redirect",
        "_without_body",
        "body",
        "capped",
        "head",
        "length",
        "state",
        "status",
        "undecodable",
    )

    def __init__(
        self,
        *,
        head_request: bool = False,
        max_body_bytes: int,
        keyword: bytes = b"",
        keep_body: bool = False,
        stop_at_redirect: bool = False,
    ) -> None:
        """Begin to read.

        Args:
            head_request: the request was HEAD: no body comes, whatever the headers say.
            max_body_bytes: how much of the body is read, both before and after decoding.
            keyword: what to look for in the body.
            keep_body: keep what is read of it, for conditions that need the whole.
            stop_at_redirect: a redirect is DONE with its headers: its body matters to nobody.
        """
        self.state = State.HEAD
        self.status: int | None = None
        self.head = b""
        """The status line and header lines of the final response."""
        self.length: int | None = None
        """What Content-Length promised."""
        self.capped = False
        """The body is longer than what was read of it."""
        self.undecodable = ""
        """The Content-Encoding that could not be undone; the body was then searched as it came."""
        self.body = Body(max_body_bytes, keyword, keep=keep_body)
        self._cap = max_body_bytes
        self._without_body = head_request
        self._stop_at_redirect = stop_at_redirect
        self._buffer = b""
        self._scanned = 0
        self._interim = 0
        self._remaining = 0
        self._body_wire = 0
        self._chunks: Chunks | None = None

    def feed(self, data: bytes) -> Failure | None:
        """Take bytes from the connection; return what is wrong with them, if anything."""
        try:
            if self.state is State.HEAD:
                return self._feed_head(data)
            return self._feed_body(data)
        except DecodeError:
            return self._decode_failure()

    def end(self) -> Failure | None:
        """Take the end of the connection; return what is wrong with its coming now, if anything."""
        if self.state is State.HEAD:
            if self.status is None and not self._buffer:
                return Failure(Category.HTTP_EMPTY, "The server closed the connection without an answer.")
            return Failure(
                Category.HTTP_PROTOCOL, "The server closed the connection in the middle of the answer's headers."
            )
        if self.state is State.UNTIL_CLOSE or (self._chunks is not None and self._chunks.in_trailers):
            # After the last chunk the body is whole, whether or not the trailers' end was sent.
            return self._done()
        if self.state is State.LENGTH:
            promised = self.length or 0
            return Failure(
                Category.BODY_TRUNCATED,
                f"The body ended after {promised - self._remaining} bytes where Content-Length promised {promised}.",
            )
        if self.state is State.CHUNKS:
            return Failure(Category.BODY_TRUNCATED, "The connection was closed before the last chunk of the body.")
        return None

    @property
    def is_done(self) -> bool:
        """Nothing more is to be read."""
        return self.state is State.DONE

    @property
    def redirects(self) -> bool:
        """It is a redirect that says where to (RFC 9110, 15.4)."""
        return self.status in _REDIRECTS and b"\nlocation" in self.head.lower() and bool(self.field(b"location"))

    def field(self, name: bytes) -> list[bytes]:
        """Return the values of a header field, by its lower-case name, each without the space around it."""
        return [_FOLD.sub(b" ", value).strip(b" \t") for value in _field_pattern(name).findall(self.head)]

    # The head

    def _feed_head(self, data: bytes) -> Failure | None:
        buffer = self._buffer + data if self._buffer else data
        while True:
            if not buffer.startswith(_PREFIX) and buffer[:7] != _PREFIX[: len(buffer)]:
                return Failure(
                    Category.HTTP_PROTOCOL,
                    f"What answered does not speak HTTP/1.1: its answer begins with {shown(buffer[:32])!r}.",
                )
            end = _head_end(buffer, self._scanned)
            if end < 0 or end > MAX_HEAD_BYTES:
                if len(buffer) > MAX_HEAD_BYTES:
                    return Failure(
                        Category.HTTP_HEADERS_TOO_LARGE,
                        f"The answer's headers are longer than {MAX_HEAD_BYTES // 1024} KiB.",
                    )
                self._buffer = buffer
                self._scanned = max(0, len(buffer) - 3)
                return None
            failure = self._take_head(buffer[:end])
            if failure is not None:
                return failure
            rest = buffer[end:]
            self._scanned = 0
            if self.state is not State.HEAD:
                self._buffer = b""
                return self._feed_body(rest) if rest and self.state is not State.DONE else None
            if not rest:
                self._buffer = b""
                return None
            buffer = rest

    def _take_head(self, head: bytes) -> Failure | None:
        line = _STATUS_LINE.match(head)
        if line is None:
            first = head.partition(b"\n")[0].rstrip(b"\r")
            return Failure(
                Category.HTTP_PROTOCOL, f"The answer's status line {shown(first[:64])!r} is not one of HTTP/1.1."
            )
        fields = _FIELDS.match(head, line.end())
        fields_end = fields.end() if fields is not None else line.end()
        if head[fields_end:] not in (b"\r\n", b"\n"):
            wrong = head[fields_end:].partition(b"\n")[0].rstrip(b"\r")
            return Failure(Category.HTTP_PROTOCOL, f"The answer's header line {shown(wrong[:64])!r} is malformed.")
        status = int(line.group(1))
        if 100 <= status < 200:
            return self._take_interim(status)
        self.status = status
        self.head = head[:fields_end]
        return self._frame(self.head.lower())

    def _take_interim(self, status: int) -> Failure | None:
        if status == 101:
            return Failure(Category.HTTP_PROTOCOL, "The server switched to another protocol, which nobody asked for.")
        self._interim += 1
        if self._interim > MAX_INTERIM:
            return Failure(
                Category.HTTP_PROTOCOL,
                f"The server sent more than {MAX_INTERIM} interim (1xx) answers and no final one.",
            )
        return None

    def _frame(self, lower: bytes) -> Failure | None:
        """Find out how long the body is (RFC 9112, 6.3)."""
        assert self.status is not None
        if self._without_body or self.status in (204, 304) or (self._stop_at_redirect and self.redirects):
            self.state = State.DONE
            return None
        if b"\ncontent-encoding" in lower:
            self._set_encoding()
        if b"\ntransfer-encoding" in lower:
            codings = b",".join(self.field(b"transfer-encoding")).lower().replace(b" ", b"")
            if codings != b"chunked":
                return Failure(
                    Category.HTTP_PROTOCOL,
                    f"The answer's Transfer-Encoding is {shown(codings[:64])!r}; only chunked was offered.",
                )
            self.state = State.CHUNKS
            self._chunks = Chunks(self.body)
            return None
        if b"\ncontent-length" not in lower:
            self.state = State.UNTIL_CLOSE
            return None
        plain = _PLAIN_LENGTH.findall(lower)
        if len(plain) == 1 and lower.count(b"\ncontent-length") == 1:
            self._set_length(int(plain[0]))
            return None
        values = {value.strip() for each in self.field(b"content-length") for value in each.split(b",")}
        if len(values) != 1 or not _LENGTH.fullmatch(value := values.pop()):
            found = self.field(b"content-length")
            return Failure(
                Category.HTTP_PROTOCOL,
                f"The answer's Content-Length is {shown(b', '.join(found)[:64])!r}; one number was expected.",
            )
        self._set_length(int(value))
        return None

    def _set_length(self, length: int) -> None:
        self.length = self._remaining = length
        self.state = State.LENGTH if length else State.DONE

    def _set_encoding(self) -> None:
        coding = b",".join(self.field(b"content-encoding")).lower().strip()
        decoder = decoder_for(coding)
        if decoder is not None:
            self.body.decode_with(decoder)
        elif coding not in (b"", b"identity"):
            # An encoding that was not offered, or several: only one layer is undone (T8).
            self.undecodable = shown(coding[:64])

    # The body

    def _feed_body(self, data: bytes) -> Failure | None:
        if self.state is State.LENGTH:
            if len(data) > self._remaining:
                data = data[: self._remaining]
            self._remaining -= len(data)
            self.body.feed(data)
            if self._remaining == 0:
                return self._done()
        elif self.state is State.UNTIL_CLOSE:
            self.body.feed(data)
        elif self.state is State.CHUNKS:
            assert self._chunks is not None
            failure = self._chunks.feed(data)
            if failure is not None:
                return failure
            if self._chunks.ended:
                return self._done()
        self._body_wire += len(data)
        if self.body.full or self._body_wire > 2 * self._cap + _FRAMING_ALLOWANCE:
            self.capped = True
            self.state = State.DONE
        return None

    def _done(self) -> Failure | None:
        self.state = State.DONE
        # All of it has come, and what it decodes to may go on all the same.
        self.capped = self.body.full and self.body.is_encoded
        try:
            self.body.finish()
        except DecodeError:
            return self._decode_failure()
        return None

    def _decode_failure(self) -> Failure:
        coding = shown(b",".join(self.field(b"content-encoding"))[:64])
        return Failure(Category.BODY_DECODE, f"The body is not what its Content-Encoding, {coding}, says.")


@lru_cache(maxsize=64)
def _field_pattern(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?i)\n" + re.escape(name) + rb"[ \t]*:([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)")


def _head_end(buffer: bytes, start: int) -> int:
    """Return the index after the first empty line, or -1. Lines may end in CRLF or LF."""
    crlf = buffer.find(b"\n\r\n", start)
    bare = buffer.find(b"\n\n", start, crlf + 1 if crlf >= 0 else len(buffer))
    if bare >= 0:
        return bare + 2
    return crlf + 3 if crlf >= 0 else -1
