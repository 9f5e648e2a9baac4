"""Echo requests and what comes back, as they stand on the wire (RFC 792, RFC 4443)."""

import struct

import msgspec

TOKEN_BYTES = 8
"""So much of a payload proves that a reply is to our request: whoever can't see it can't guess it."""

_HEADER = struct.Struct("!BBHHH")
_IPV4_HEADER_BYTES = 20
_ECHO = {4: (8, 0), 6: (128, 129)}
"""The types of request and reply, by the version of IP."""


class Reply(msgspec.Struct, frozen=True):
    """An echo reply."""

    sequence: int
    payload: bytes
    hop_limit: int | None
    """What is left of it; None where the system does not tell."""


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def request(version: int, identifier: int, sequence: int, payload: bytes) -> bytes:
    """Return an echo request. For IPv6 the kernel fills in the checksum, which covers addresses too (RFC 3542, 3.1)."""
    kind = _ECHO[version][0]
    blank = _HEADER.pack(kind, 0, 0, identifier, sequence) + payload
    total = checksum(blank) if version == 4 else 0
    return _HEADER.pack(kind, 0, total, identifier, sequence) + payload


def payload(token: bytes, size: int) -> bytes:
    """Return ``size`` bytes that begin with the token, as far as it fits."""
    filler = bytes(index & 0xFF for index in range(size))
    return (token + filler)[:size] if size >= len(token) else token[:size]


def read(version: int, data: bytes, hop_limit: int | None) -> Reply | None:
    """Return the echo reply that a packet holds; None for any other.

    Raw sockets, and those of some systems without rights, bring the IPv4 header too.
    """
    if version == 4 and data and data[0] >> 4 == 4:
        size = (data[0] & 0x0F) * 4
        if size < _IPV4_HEADER_BYTES or len(data) < size:
            return None
        hop_limit, data = data[8], data[size:]
    if len(data) < _HEADER.size:
        return None
    kind, code, _, _, sequence = _HEADER.unpack_from(data)
    if kind != _ECHO[version][1] or code:
        return None
    return Reply(sequence=sequence, payload=data[_HEADER.size :], hop_limit=hop_limit)
