"""What a caller sends: headers, a body within its bounds, and the envelope around a stream's one message."""

import asyncio
import struct
from collections.abc import Sequence

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from monitord.bridge.doors import CALLER_KEY, ORGANISATION_KEY, Metadata
from monitord.domain.errors import (
    DomainError,
    InvalidArgumentError,
    ResourceExhaustedError,
    UnauthenticatedError,
    Violation,
)

MAX_BYTES = 256 * 1024
"""The most that a message may have, as over gRPC (T18)."""

BODY_S = 10.0
"""How long a caller may take to send it."""

COMPRESSED, END = 0x01, 0x02
"""The two flags of an envelope."""

_PREFIX = struct.Struct(">BI")
_LONGEST_TIMEOUT_DIGITS = 10


class UnsupportedEncodingError(DomainError):
    """The body is compressed, which the protocol lets a server refuse as unimplemented."""


def check_version(request: web.Request) -> None:
    """Raise InvalidArgumentError for a version of the protocol that is not this one. curl need not name any."""
    if request.headers.get("Connect-Protocol-Version", "1") != "1":
        raise _invalid("Connect-Protocol-Version", "must be 1")


def check_encoding(request: web.Request, header: str) -> None:
    """Raise UnsupportedEncodingError for a body that has to be decompressed: a small one could become endless (T8)."""
    encoding = request.headers.get(header, "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedEncodingError(f"{header}: {encoding[:40]} is not supported here; supported: identity")


def timeout_s(request: web.Request) -> float | None:
    """Return the caller's own deadline in seconds; None without one."""
    text = request.headers.get("Connect-Timeout-Ms")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_TIMEOUT_DIGITS):
        raise _invalid("Connect-Timeout-Ms", f"must be a whole number of at most {_LONGEST_TIMEOUT_DIGITS} digits")
    return int(text) / 1000


def metadata(request: web.Request, caller: str) -> Metadata:
    """Return what goes along: who calls from where, and the proof. No other header gets that far (T10)."""
    proofs: Sequence[str] = request.headers.getall("Authorization", ())
    if not all(proof.isascii() and proof.isprintable() for proof in proofs):
        raise UnauthenticatedError("the header `Authorization` has characters that no credential has")
    named: Sequence[str] = request.headers.getall(ORGANISATION_KEY, ())
    if not all(one.isascii() and one.isprintable() for one in named):
        raise _invalid(ORGANISATION_KEY, "must be an organisation's id")
    return (
        (CALLER_KEY, caller),
        *(("authorization", proof) for proof in proofs),
        *((ORGANISATION_KEY, one) for one in named),
    )


async def body_of(request: web.Request, room: int = MAX_BYTES) -> bytes:
    """Return the whole body.

    Raises:
        ResourceExhaustedError: it has more than ``room`` bytes.
        InvalidArgumentError: it breaks off, or does not come within ``BODY_S`` seconds.
    """
    if (request.content_length or 0) > room:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while part := await request.content.readany():
                body += part
                if len(body) > room:
                    raise _too_large()
    except TimeoutError:
        raise _invalid("", f"the body has to be here within {BODY_S:g} s") from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        raise _invalid("", "the body does not end as its headers say") from error
    return bytes(body)


async def enveloped(request: web.Request) -> bytes:
    """Return the one message of a call that is answered with a stream."""
    body = await body_of(request, MAX_BYTES + _PREFIX.size)
    if len(body) < _PREFIX.size:
        raise _invalid("", f"the body must be one message in an envelope: {_PREFIX.size} bytes and the message")
    flags, length = _PREFIX.unpack_from(body)
    if flags & COMPRESSED:
        raise _invalid("", "the envelope says that its message is compressed, and the headers name no encoding")
    if flags:
        raise _invalid("", f"the envelope has flags that mean nothing in a request: {flags:#04x}")
    if length != len(body) - _PREFIX.size:
        raise _invalid("", "the body must be one message in an envelope whose length is the message's")
    return body[_PREFIX.size :]


def envelope(message: bytes, flags: int = 0) -> bytes:
    """Return a message in its envelope."""
    return _PREFIX.pack(flags, len(message)) + message


def _too_large() -> ResourceExhaustedError:
    return ResourceExhaustedError(f"the request has more than {MAX_BYTES // 1024} KiB, the most there may be")


def _invalid(field: str, description: str) -> InvalidArgumentError:
    return InvalidArgumentError([Violation(field, description)])
