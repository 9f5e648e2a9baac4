"""Cuts what a server sends into the frames of HTTP/2 (RFC 9113, 4.1), and counts them: floods end here, without I/O.

h2 bounds the size of a frame and of a list of headers. It does not bound how many frames there are, how many settings
they set, or how long a compressed block takes to decode; and the first GOAWAY ends its connection, although a server
that shuts down gently answers what it has begun. So every frame passes here before h2 sees it.
"""

from enum import IntEnum

import msgspec
from h2.errors import ErrorCodes

from monitord.probes.text import shown

MAX_FRAME_BYTES = 16 * 1024
"""What a frame may carry unless we say otherwise (RFC 9113, 6.5.2), and we don't."""
MAX_BLOCK_BYTES = 64 * 1024
"""One compressed list of headers: HEADERS and its CONTINUATIONs. Decoding takes up to 0.2 ms for each KiB."""
MAX_CONTINUATIONS = 16
MAX_HEADER_BLOCKS = 12
"""Interim answers, the answer and its trailers; see also ``http_response.MAX_INTERIM``."""
MAX_CONTROL_FRAMES = 256
"""SETTINGS, PING, RST_STREAM, WINDOW_UPDATE, GOAWAY, PRIORITY and unknown ones together. A server that measures the
bandwidth sends one PING for some of the frames of a body, and we never let a body grow beyond the cap of the check."""
MAX_CONTROL_BYTES = 32 * 1024
MAX_SETTINGS_BYTES = 2 * 1024
"""Six for each setting, of which there are fewer than twenty; h2 keeps about a kilobyte for each that it is told."""
MAX_EMPTY_DATA = 64

STREAM = 1
"""The one stream that is ever opened."""

_HEAD = 9


class Kind(IntEnum):
    """The types of frames that matter here (RFC 9113, 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


_KNOWN = frozenset(Kind)
_IGNORED = frozenset({Kind.PRIORITY})
_BLOCKS = frozenset({Kind.HEADERS, Kind.PUSH_PROMISE, Kind.CONTINUATION})
_END_STREAM = 1


class FrameError(ValueError):
    """What the server sent must not be read on. The text is the end of a sentence that begins with the server."""


class BlockTooLargeError(FrameError):
    """Its headers are longer than what is read of them."""


class Budget(msgspec.Struct):
    """What has come so far."""

    control_frames: int = 0
    control_bytes: int = 0
    settings_bytes: int = 0
    blocks: int = 0
    block_bytes: int = 0
    continuations: int = 0
    empty_data: int = 0


class Frames:
    """Takes bytes as they come, and gives back whole frames that h2 may see, one at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begun = False
        self._budget = Budget()

    def feed(self, data: bytes) -> None:
        """Take some bytes; ``next`` wants to be called until it has no more before the next ones."""
        self._buffer += data

    def next(self) -> bytes | None:
        """Return the next frame; None: the rest of it has not come yet.

        Raises:
            FrameError: there are too many of them, or they are none.
        """
        buffer = self._buffer
        while True:
            if not self._begun and buffer:
                self._begin()
            if len(buffer) < _HEAD:
                return None
            size, kind = int.from_bytes(buffer[:3], "big"), buffer[3]
            if size > MAX_FRAME_BYTES:
                raise FrameError(f"sent a frame of {size} bytes; at most {MAX_FRAME_BYTES} were allowed")
            if len(buffer) < _HEAD + size:
                return None
            frame = bytes(buffer[: _HEAD + size])
            del buffer[: _HEAD + size]
            self._count(kind, frame[4], size)
            if kind == Kind.GOAWAY:
                _take_goaway(frame)
            elif kind in _KNOWN and kind not in _IGNORED:
                return frame

    def _begin(self) -> None:
        """The first frame is the server's SETTINGS (RFC 9113, 3.4); some that won't serve send GOAWAY alone."""
        head = self._buffer
        if len(head) >= 4 and (head[3] not in (Kind.SETTINGS, Kind.GOAWAY) or head[0] or head[1] > 0x40):
            raise FrameError(_other_language(bytes(head[:32])))
        self._begun = len(head) >= 4

    def _count(self, kind: int, flags: int, size: int) -> None:
        spent = self._budget
        if kind == Kind.DATA:
            spent.empty_data += not size and not flags & _END_STREAM
        elif kind in _BLOCKS:
            is_first = kind != Kind.CONTINUATION
            spent.blocks += is_first
            spent.continuations = 0 if is_first else spent.continuations + 1
            spent.block_bytes = size if is_first else spent.block_bytes + size
        else:
            spent.control_frames += 1
            spent.control_bytes += size
            spent.settings_bytes += size * (kind == Kind.SETTINGS)
        if spent.block_bytes > MAX_BLOCK_BYTES or spent.continuations > MAX_CONTINUATIONS:
            raise BlockTooLargeError(
                f"sent headers of more than {MAX_BLOCK_BYTES // 1024} KiB, or in more than {MAX_CONTINUATIONS} pieces"
            )
        if spent.blocks > MAX_HEADER_BLOCKS:
            raise FrameError(f"sent more than {MAX_HEADER_BLOCKS} lists of headers for one answer")
        if spent.empty_data > MAX_EMPTY_DATA:
            raise FrameError(f"sent more than {MAX_EMPTY_DATA} empty pieces of a body")
        if spent.settings_bytes > MAX_SETTINGS_BYTES:
            raise FrameError(f"sent settings of more than {MAX_SETTINGS_BYTES // 1024} KiB")
        if spent.control_frames > MAX_CONTROL_FRAMES or spent.control_bytes > MAX_CONTROL_BYTES:
            raise FrameError(
                "flooded the connection with frames that are no answer "
                f"(more than {MAX_CONTROL_FRAMES}, or {MAX_CONTROL_BYTES // 1024} KiB)"
            )


def _take_goaway(frame: bytes) -> None:
    """Judge a GOAWAY (RFC 9113, 6.8): a gentle one lets the request that was sent come to its end."""
    body = frame[_HEAD:]
    if len(body) < 8:
        raise FrameError("sent a GOAWAY that is too short")
    last, code = int.from_bytes(body[:4], "big") & 0x7FFFFFFF, int.from_bytes(body[4:8], "big")
    why = f", and says {shown(body[8:], 80)!r}" if len(body) > 8 else ""
    if code != ErrorCodes.NO_ERROR:
        raise FrameError(f"ended the connection with the error {name_of(code)} (GOAWAY){why}")
    if last < STREAM:
        raise FrameError(f"is shutting down and did not take the request (GOAWAY){why}")


def name_of(code: int) -> str:
    """Return what RFC 9113, 7 calls an error."""
    try:
        return ErrorCodes(code).name
    except ValueError:
        return f"0x{code:x}"


def _other_language(data: bytes) -> str:
    if data.startswith(b"HTTP/"):
        return f"answers in HTTP/1, not HTTP/2: {shown(data)!r}"
    return f"does not speak HTTP/2: its answer begins with {shown(data)!r}"
