"""What a MySQL says, byte by byte, for servers that are scripted."""

import struct

from monitord.probes import mysql_packets as packets
from tests.support.targets import Peer

NONCE = bytes(range(65, 85))
DEFAULT = packets.WANTED | packets.CONNECT_WITH_DB
OLD = DEFAULT & ~packets.DEPRECATE_EOF


def packet(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def greeting(
    plugin: str = "mysql_native_password",
    capabilities: int = DEFAULT,
    nonce: bytes = NONCE,
    version: bytes = b"8.4.3",
) -> bytes:
    return packet(
        0,
        b"\x0a"
        + version
        + b"\0"
        + struct.pack("<I", 42)
        + nonce[:8]
        + b"\0"
        + struct.pack("<HBHH", capabilities & 0xFFFF, 45, 2, capabilities >> 16)
        + bytes([len(nonce) + 1])
        + bytes(10)
        + nonce[8:]
        + b"\0"
        + plugin.encode()
        + b"\0",
    )


def error(number: int, text: str, state: str = "HY000") -> bytes:
    return b"\xff" + struct.pack("<H", number) + (b"#" + state.encode() if state else b"") + text.encode()


def switch(plugin: str, nonce: bytes = NONCE) -> bytes:
    return b"\xfe" + plugin.encode() + b"\0" + nonce + b"\0"


OK = b"\0\0\0\x02\0\0\0"
END = b"\xfe\0\0\x02\0\0\0"
"""An OK packet under the header of an EOF."""
EOF = b"\xfe\0\0\x02\0"
COLUMN = b"\x03def\0\0\0\x05state\0\x0c" + bytes(12)


def text(value: bytes | None) -> bytes:
    """Return a length-encoded string."""
    if value is None:
        return b"\xfb"
    return (bytes([len(value)]) if len(value) < 0xFB else b"\xfd" + len(value).to_bytes(3, "little")) + value


def series(*payloads: bytes, first: int = 1) -> bytes:
    return b"".join(packet((first + i) % 256, payload) for i, payload in enumerate(payloads))


SIGNED_IN = greeting() + packet(2, OK)
BEGUN = series(OK) * 3
"""To the settings, and to the two statements that forbid writing."""
ANSWERED = series(b"\x01", COLUMN, text(b"done"), END)
WHOLE = SIGNED_IN + BEGUN + ANSWERED


async def said(peer: Peer) -> tuple[int, bytes]:
    """Read a packet of a client: its number, and its payload."""
    head = await peer.reader.readexactly(4)
    return head[3], await peer.reader.readexactly(int.from_bytes(head[:3], "little"))
