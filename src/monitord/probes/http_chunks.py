"""Takes apart a chunked body (RFC 9112, 7.1), within bounds."""

import re

from monitord.domain.check import Category
from monitord.probes.failure import Failure
from monitord.probes.http_body import Body
from monitord.probes.text import shown

MAX_TRAILER_BYTES = 64 * 1024
_MAX_SIZE_LINE = 4096
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*+(?:;[^\r\n]*+)?\r?\n")


class Chunks:
    """Passes what the chunks hold on to a body."""

    __slots__ = ("_body", "_buffer", "_left", "_trailer_bytes", "ended", "in_trailers")

    def __init__(self, body: Body) -> None:
        self.in_trailers = False
        """The last chunk has come: the body is whole."""
        self.ended = False
        self._body = body
        self._buffer = b""
        self._left: int | None = None
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> Failure | None:
        """Take bytes; return what is wrong with them, if anything. May raise ``DecodeError``, as ``Body.feed``."""
        buffer = self._buffer + data if self._buffer else data
        position = 0
        while position < len(buffer):
            if self.in_trailers:
                return self._feed_trailers(buffer[position:])
            if self._left is None:
                line = _SIZE_LINE.match(buffer, position)
                if line is None:
                    return self._await_size(buffer[position:])
                position = line.end()
                self._left = int(line.group(1), 16)
                self.in_trailers = self._left == 0
            elif self._left > 0:
                piece = buffer[position : position + self._left]
                self._body.feed(piece)
                if self._body.full:
                    return None
                self._left -= len(piece)
                position += len(piece)
            else:
                size = _line_end_at(buffer, position)
                if size < 0:
                    return Failure(Category.HTTP_PROTOCOL, "A chunk of the body is longer than the size before it.")
                if size == 0:
                    break
                position += size
                self._left = None
        self._buffer = buffer[position:]
        return None

    def _await_size(self, rest: bytes) -> Failure | None:
        if b"\n" in rest or len(rest) > _MAX_SIZE_LINE:
            line = rest.partition(b"\n")[0]
            return Failure(Category.HTTP_PROTOCOL, f"{shown(line[:32])!r} is not the size of a chunk of the body.")
        self._buffer = rest
        return None

    def _feed_trailers(self, data: bytes) -> Failure | None:
        """Skip trailer fields up to the empty line."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._trailer_bytes += len(line) + 1
            if line in (b"", b"\r"):
                self.ended = True
                return None
        if self._trailer_bytes + len(rest) > MAX_TRAILER_BYTES:
            return Failure(
                Category.HTTP_HEADERS_TOO_LARGE,
                f"The answer's trailers are longer than {MAX_TRAILER_BYTES // 1024} KiB.",
            )
        self._buffer = rest
        return None


def _line_end_at(buffer: bytes, position: int) -> int:
    """Return the length of the line end at a position, 0 if it has not arrived yet, or -1 if there is none."""
    if buffer.startswith(b"\n", position):
        return 1
    if buffer.startswith(b"\r\n", position):
        return 2
    return 0 if buffer[position:] == b"\r" else -1
