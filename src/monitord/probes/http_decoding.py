"""Undoes one Content-Encoding, in pieces of bounded size (T8).

gzip and deflate (RFC 9110, 8.4.1), br (RFC 7932) and zstd (RFC 8878, with the window that RFC 9659 allows over HTTP).
"""

import zlib
from typing import Protocol

import brotli
from backports import zstd

OFFERED = "gzip, deflate, br, zstd"
"""What a request says that it takes."""

_PIECE = 64 * 1024
_GZIP = b"\x1f\x8b"
_ZSTD_WINDOW_LOG = 23
"""8 MB; only what is decoded of it is ever touched."""


class DecodeError(ValueError):
    """The body is not what its Content-Encoding says."""


class Decoder(Protocol):
    """Decodes a body piece by piece."""

    def feed(self, data: bytes, limit: int) -> bytes:
        """Return about ``limit`` decoded bytes at most; what more the data holds is dropped: the caller stops there.

        Raises:
            DecodeError: the data is not what the encoding says.
        """

    def finish(self) -> None:
        """Take the end of the body.

        Raises:
            DecodeError: the body ended before its encoding did.
        """


def decoder_for(coding: bytes) -> Decoder | None:
    """Return a decoder for a Content-Encoding in lower case; None for one that was not offered."""
    make = _DECODERS.get(coding)
    return None if make is None else make()


class _Gzip:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(31)
        self._ended = False
        self._after = b""
        """What has come after a whole member and may be the beginning of another."""

    def feed(self, data: bytes, limit: int) -> bytes:
        out = b""
        if self._after:
            data, self._after = self._after + data, b""
        try:
            while data and not self._ended and len(out) < limit:
                if self._inflate.eof:
                    # Further members follow one another; anything else after the end is ignored.
                    self._ended = data[:2] != _GZIP[: len(data)]
                    if self._ended or len(data) < len(_GZIP):
                        self._after = data
                        break
                    self._inflate = zlib.decompressobj(31)
                out += self._inflate.decompress(data, min(limit - len(out), _PIECE))
                data = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        except zlib.error:
            raise DecodeError from None
        return out

    def finish(self) -> None:
        if not self._ended and not self._inflate.eof:
            raise DecodeError


class _Deflate:
    def __init__(self) -> None:
        self._inflate: zlib._Decompress | None = None

    def feed(self, data: bytes, limit: int) -> bytes:
        if not data:
            return b""
        if self._inflate is None:
            # "deflate" is zlib's format; some servers send the bare one (RFC 9110, 8.4.1.2).
            self._inflate = zlib.decompressobj(15 if data[0] & 0x0F == 8 else -15)
        out = b""
        try:
            while data and not self._inflate.eof and len(out) < limit:
                out += self._inflate.decompress(data, min(limit - len(out), _PIECE))
                data = self._inflate.unconsumed_tail
        except zlib.error:
            raise DecodeError from None
        return out

    def finish(self) -> None:
        if self._inflate is not None and not self._inflate.eof:
            raise DecodeError


class _Brotli:
    def __init__(self) -> None:
        self._decompress = brotli.Decompressor()
        self._began = False

    def feed(self, data: bytes, limit: int) -> bytes:
        self._began = self._began or bool(data)
        out = b""
        try:
            while len(out) < limit and not self._decompress.is_finished():
                piece = self._decompress.process(data, output_buffer_limit=min(limit - len(out), _PIECE))
                data = b""
                if not piece:
                    break
                out += piece
        except brotli.error:
            raise DecodeError from None
        return out

    def finish(self) -> None:
        if self._began and not self._decompress.is_finished():
            raise DecodeError


class _Zstd:
    def __init__(self) -> None:
        self._decompress = self._fresh()
        self._began = False

    @staticmethod
    def _fresh() -> "zstd.ZstdDecompressor":
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})

    def feed(self, data: bytes, limit: int) -> bytes:
        self._began = self._began or bool(data)
        out = b""
        try:
            while len(out) < limit:
                if self._decompress.eof:
                    # Frames follow one another (RFC 8878, 3.1); anything else after the end is ignored.
                    data = self._decompress.unused_data or data
                    if not data.startswith((b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18")):
                        break
                    self._decompress = self._fresh()
                piece = self._decompress.decompress(data, max_length=min(limit - len(out), _PIECE))
                data = b""
                out += piece
                if not piece and not self._decompress.eof:
                    break
        except zstd.ZstdError:
            raise DecodeError from None
        return out

    def finish(self) -> None:
        if self._began and not self._decompress.eof:
            raise DecodeError


_DECODERS: dict[bytes, type[Decoder]] = {
    b"gzip": _Gzip,
    b"x-gzip": _Gzip,
    b"deflate": _Deflate,
    b"br": _Brotli,
    b"zstd": _Zstd,
}
