"""What becomes of a body: decoded within bounds, searched for the keyword, its beginning kept as evidence (T8)."""

from monitord.probes.http_decoding import Decoder

EXCERPT_BYTES = 1024
"""How much of a body is kept as evidence."""


class Body:
    """A sink for the bytes of one body. Memory does not grow with the body (I16)."""

    __slots__ = ("_cap", "_decoder", "_kept", "_keyword", "_tail", "excerpt", "found", "full", "size")

    def __init__(self, cap: int, keyword: bytes = b"", *, keep: bool = False) -> None:
        """Take at most ``cap`` decoded bytes, look for ``keyword`` in them, and ``keep`` them if asked to."""
        self.excerpt = b""
        self.found = False
        self.full = False
        """The cap is reached: nothing further is taken."""
        self.size = 0
        """Decoded bytes taken."""
        self._cap = cap
        self._keyword = keyword
        self._tail = b""
        self._decoder: Decoder | None = None
        self._kept = bytearray() if keep else None

    def decode_with(self, decoder: Decoder) -> None:
        """Say, before the first byte, that the body is encoded."""
        self._decoder = decoder

    @property
    def is_encoded(self) -> bool:
        """Whether it is decoded."""
        return self._decoder is not None

    @property
    def content(self) -> bytes:
        """The bytes taken, where they were to be kept."""
        return bytes(self._kept or b"")

    def feed(self, data: bytes) -> None:
        """Take some bytes.

        Raises:
            DecodeError: they are not what the encoding says.
        """
        room = self._cap - self.size
        if self._decoder is not None:
            data = self._decoder.feed(data, room)
        if len(data) > room:
            data = data[:room]
        self.size += len(data)
        self.full = self.size >= self._cap
        if len(self.excerpt) < EXCERPT_BYTES:
            self.excerpt += data[: EXCERPT_BYTES - len(self.excerpt)]
        if self._kept is not None:
            self._kept += data
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
        if self._decoder is not None and not self.full:
            self._decoder.finish()
