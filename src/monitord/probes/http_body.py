"""What becomes of a body: decoded within bounds, searched for the keyword, its beginning kept as evidence (T8)."""

import zlib

EXCERPT_BYTES = 1024
"""How much of a body is kept as evidence."""
_PIECE = 64 * 1024
_GZIP = b"\x1f\x8b"


class DecodeError(ValueError):
    """The body is not what its Content-Encoding says."""


class _Inflater:
    """gzip or deflate, in pieces of bounded size."""

    def __init__(self, encoding: str) -> None:
        self._gzip = encoding == "gzip"
        self._inflate = zlib.decompressobj(31) if self._gzip else None
        self._ended = False
        self._after = b""
        """What has come after a whole member of gzip and may be the beginning of another."""

    def feed(self, data: bytes, limit: int) -> bytes:
        """Return up to ``limit`` decoded bytes; what more the data holds is dropped: the caller stops there."""
        out = b""
        if self._after:
            data, self._after = self._after + data, b""
        try:
            while data and not self._ended and len(out) < limit:
                if self._inflate is None:
                    # "deflate" is zlib's format; some servers send the bare one (RFC 9110, 8.4.1.2).
                    self._inflate = zlib.decompressobj(15 if data[0] & 0x0F == 8 else -15)
                elif self._inflate.eof:
                    # Further gzip members follow one another; anything else after the end is ignored.
                    self._ended = not self._gzip or data[:2] != _GZIP[: len(data)]
                    if len(data) < len(_GZIP):
                        self._after = data
                        break
                    if self._ended:
                        break
                    self._inflate = zlib.decompressobj(31)
                out += self._inflate.decompress(data, min(limit - len(out), _PIECE))
                data = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        except zlib.error:
            raise DecodeError from None
        return out

    def finish(self) -> None:
        """Raise DecodeError if the body ended before its encoding did."""
        if self._inflate is not None and not self._ended and not self._inflate.eof:
            raise DecodeError


class Body:
    """A sink for the bytes of one body. Memory does not grow with the body (I16)."""

    __slots__ = ("_cap", "_inflater", "_keyword", "_tail", "excerpt", "found", "full", "size")

    def __init__(self, cap: int, keyword: bytes = b"") -> None:
        """Take at most ``cap`` decoded bytes and look for ``keyword`` in them."""
        self.excerpt = b""
        self.found = False
        self.full = False
        """The cap is reached: nothing further is taken."""
        self.size = 0
        """Decoded bytes taken."""
        self._cap = cap
        self._keyword = keyword
        self._tail = b""
        self._inflater: _Inflater | None = None

    def encoded_as(self, encoding: str) -> None:
        """Say, before the first byte, that the body is ``gzip`` or ``deflate``."""
        self._inflater = _Inflater(encoding)

    def feed(self, data: bytes) -> None:
        """Take some bytes.

        Raises:
            DecodeError: they are not what the encoding says.
        """
        room = self._cap - self.size
        if self._inflater is not None:
            data = self._inflater.feed(data, room)
        elif len(data) > room:
            data = data[:room]
        self.size += len(data)
        self.full = self.size >= self._cap
        if len(self.excerpt) < EXCERPT_BYTES:
            self.excerpt += data[: EXCERPT_BYTES - len(self.excerpt)]
        if self._keyword and not self.found:
            window = self._tail + data if self._tail else data
            self.found = self._keyword in window
            keep = len(self._keyword) - 1
            self._tail = window[-keep:] if keep else b""

    def finish(self) -> None:
        """Take the end of the body.

        Raises:
            DecodeError: the encoding was not at its end.
        """
        if self._inflater is not None and not self.full:
            self._inflater.finish()
