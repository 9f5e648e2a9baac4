"""What a Postgres says, byte by byte, for servers that are scripted."""

import struct

from tests.support.targets import Peer


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def authentication(code: int, data: bytes = b"") -> bytes:
    return message("R", struct.pack("!i", code) + data)


def error(code: str, text: str) -> bytes:
    return message("E", b"SFATAL\0VFATAL\0C" + code.encode() + b"\0M" + text.encode() + b"\0\0")


def row(*columns: bytes | None) -> bytes:
    body = struct.pack("!h", len(columns))
    for column in columns:
        body += struct.pack("!i", -1) if column is None else struct.pack("!i", len(column)) + column
    return message("D", body)


def ready(state: str) -> bytes:
    return message("Z", state.encode())


NOTICE = message("N", b"SNOTICE\0C00000\0Mby the way\0\0")
SIGNED_IN = (
    authentication(0)
    + message("S", b"server_version\x0018.6\0")
    + NOTICE
    + message("K", struct.pack("!ii", 7, 9))
    + ready("I")
)
BEGUN = (
    message("C", b"BEGIN\0")
    + message("T", struct.pack("!h", 1) + b"set_config\0" + bytes(18))
    + row(b"1900ms")
    + message("C", b"SELECT 1\0")
    + ready("T")
)
PARSED = message("1") + message("2")
ANSWERED = PARSED + row(b"done", None) + message("s") + ready("T")
ROLLED_BACK = message("C", b"ROLLBACK\0") + ready("I")
WHOLE = SIGNED_IN + BEGUN + ANSWERED + ROLLED_BACK


async def startup(peer: Peer) -> bytes:
    """Read the first message of a client."""
    size = int.from_bytes(await peer.reader.readexactly(4), "big")
    return await peer.reader.readexactly(size - 4)


async def said(peer: Peer) -> tuple[bytes, bytes]:
    """Read a further message."""
    head = await peer.reader.readexactly(5)
    return head[:1], await peer.reader.readexactly(int.from_bytes(head[1:], "big") - 4)
