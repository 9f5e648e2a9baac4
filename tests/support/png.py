"""As much of PNG as a test needs: https://www.w3.org/TR/png-3/."""

import struct
import zlib


def size(content: bytes) -> tuple[int, int]:
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content[12:16] == b"IHDR"
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def first_pixel(content: bytes) -> tuple[int, int, int]:
    """Return red, green and blue of the upper left pixel: no filter changes it, as all its neighbours are 0."""
    assert content[24] == 8, "8 bits a sample"
    data, at = b"", 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        if content[at + 4 : at + 8] == b"IDAT":
            data += content[at + 8 : at + 8 + length]
        at += 12 + length
    pixels = zlib.decompressobj().decompress(data, 4)
    return pixels[1], pixels[2], pixels[3]


def make(width: int, height: int, red: int, green: int, blue: int) -> bytes:
    """Return a picture of one colour."""
    rows = (b"\0" + bytes((red, green, blue)) * width) * height
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
