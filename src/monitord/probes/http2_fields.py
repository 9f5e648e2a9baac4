"""The header fields of HTTP/2: what an answer may hold, and what a request turns into (RFC 9113, 8)."""

import re
from collections.abc import Iterable
from typing import TypeAlias

from monitord.domain.target import Target
from monitord.probes.text import shown

Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]

# RFC 9113, 8.2.1: a token in lower case.
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_NOT_IN_VALUE = re.compile(rb"[\r\n\0]")
_STATUS = re.compile(rb"[1-9][0-9]{2}")

CONNECTION = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""What describes a connection of HTTP/1, and must not stand in HTTP/2 (RFC 9113, 8.2.2)."""


def checked(fields: Iterable[tuple[str | bytes, str | bytes]], *, is_trailing: bool) -> Fields:
    """Return the fields of an answer: a status first, unless they are trailers, and then what HTTP/1.1 could say too.

    Space around values is dropped: servers send it, and it misleads nobody.

    Raises:
        ValueError: a field is one that must not be there; the text says which.
    """
    found: list[tuple[bytes, bytes]] = []
    for raw_name, raw_value in fields:
        name, value = _bytes(raw_name), _bytes(raw_value).strip(b" \t")
        if name.startswith(b":"):
            if is_trailing or found or name != b":status" or not _STATUS.fullmatch(value):
                raise ValueError(f"the field {shown(name, 40)}: {shown(value, 40)} must not stand where it does")
        elif not _NAME.fullmatch(name) or _NOT_IN_VALUE.search(value):
            raise ValueError(f"the field {shown(name, 40)!r} has characters that must not be there")
        elif name in CONNECTION:
            raise ValueError(f"the field {shown(name)} belongs to HTTP/1")
        elif not found and not is_trailing:
            break
        found.append((name, value))
    if not is_trailing and not found:
        raise ValueError("the answer has no :status")
    return tuple(found)


def _bytes(text: str | bytes) -> bytes:
    return text.encode("latin-1", "replace") if isinstance(text, str) else bytes(text)


def lines_of(fields: Fields) -> bytes:
    """Return the fields as HTTP/1.1 would write them, without a status line."""
    return b"".join(name + b": " + value + b"\r\n" for name, value in fields if not name.startswith(b":"))


def from_http1(wire: bytes, target: Target, method: str) -> tuple[Fields, Fields, bytes]:
    """Turn a request of HTTP/1.1 that we wrote into one of HTTP/2.

    Returns the pseudo fields, all others, and the body.
    """
    head, _, body = wire.partition(b"\r\n\r\n")
    authority = target.authority.encode()
    fields: list[tuple[bytes, bytes]] = []
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip(b" \t")
        if name == b"host":
            authority = value or authority
        elif name not in CONNECTION:
            fields.append((name, value))
    pseudo = (
        (b":method", method.encode()),
        (b":scheme", target.scheme.encode()),
        (b":authority", authority),
        (b":path", target.path_query.encode()),
    )
    return pseudo, tuple(fields), body
