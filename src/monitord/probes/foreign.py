"""What it is that answers, where another protocol was expected: people mistake ports more often than servers break."""

from monitord.domain.check import Category
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure
from monitord.probes.text import shown

# How servers of other kinds begin: RFCs 9112 (4), 4253 (4.2), 8446 (5.1), 5321 (4.2), 1939 (3), 9051 (7.1).
_BEGINNINGS = (
    (b"HTTP/", "HTTP"),
    (b"SSH-", "SSH"),
    (b"\x15\x03", "TLS"),
    (b"\x16\x03", "TLS"),
    (b"220 ", "SMTP or FTP"),
    (b"220-", "SMTP or FTP"),
    (b"+OK ", "POP3"),
    (b"* OK", "IMAP"),
    (b"-ERR ", "Redis"),
    (b"-NOAUTH ", "Redis"),
    (b"-DENIED ", "Redis"),
)


def not_spoken(channel: Channel, protocol: str, data: bytes) -> Failure:
    """Return the failure of a server that answers with ``data``, which is not of ``protocol``."""
    words = f"What answers at {channel.peer.authority} does not speak {protocol}: it says {shown(data[:32])!r}"
    known = recognised(data)
    return Failure(
        Category.PROTOCOL_INVALID, f"{words}, which is {known}." if known and known != protocol else f"{words}."
    )


def recognised(data: bytes) -> str:
    """Return the name of the protocol that a server's first bytes belong to; empty when they tell nothing."""
    # A packet of MySQL: its length in three bytes, number 0, and version 10 of the protocol (or an error).
    if len(data) > 4 and data[2] == 0 and data[3] == 0 and data[4] in (10, 0xFF):
        return "MySQL"
    return next((name for beginning, name in _BEGINNINGS if data.startswith(beginning)), "")
