"""Pages of lists, after AIP-158: opaque tokens that carry a keyset key and fit one query only.

A token is no secret and grants nothing: the caller's organisation stands in every WHERE, whatever the key says. The
digest is there to tell a damaged or foreign token from a good one, so that it gets an answer instead of an odd page.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from copy import deepcopy
from hashlib import blake2b
from typing import Annotated, Protocol, TypeVar

import msgspec
from google.protobuf.message import Message

from monitord.domain.errors import InvalidArgumentError, Violation

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000

KeyNumber = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer of a keyset key: whatever a forged token says, it fits Postgres' bigint."""
KeyText = Annotated[str, msgspec.Meta(max_length=1000, pattern=r"^[^\x00]*$")]
"""A text of a keyset key: no NUL, which Postgres' text can't hold."""

MAX_PAGE_BYTES = 3 * 1024 * 1024
"""Clients of gRPC refuse messages above 4 MiB unless told otherwise."""

_DIGEST_BYTES = 8
_LONGEST_TOKEN = 8192

KeyT = TypeVar("KeyT", bound=msgspec.Struct)
RowT = TypeVar("RowT")
MessageT = TypeVar("MessageT", bound=Message)


class PagedRequest(Protocol):
    """A protobuf request of a List method."""

    page_size: int
    page_token: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...  # noqa: N802, D102 (protobuf's own)


def page_size(requested: int) -> int:
    """Return how many rows a page has: 0 means 50, above 1000 means 1000; negative raises InvalidArgumentError."""
    if requested < 0:
        raise InvalidArgumentError([Violation("page_size", "must be 0 (for 50) or more")])
    return min(requested, MAX_PAGE_SIZE) or DEFAULT_PAGE_SIZE


def fill(rows: Sequence[RowT], size: int, message_of: Callable[[RowT], MessageT]) -> list[MessageT]:
    """Return the messages of a page. Where they are fewer than ``rows``, the next page begins after the last of them.

    ``rows`` are those of the page and one more, if there is one. A page ends early, as AIP-158 allows, where it would
    outgrow what clients receive by default.
    """
    messages: list[MessageT] = []
    room = MAX_PAGE_BYTES
    for row in rows[:size]:
        message = message_of(row)
        room -= message.ByteSize()
        if room < 0 and messages:
            break
        messages.append(message)
    return messages


def fingerprint(org_id: int, request: PagedRequest) -> bytes:
    """Return what tells a query from every other: the caller's organisation and all conditions of the request."""
    query = deepcopy(request)
    query.page_size = 0
    query.page_token = ""
    name = type(request).__name__
    return f"{name}:{org_id}:".encode() + query.SerializeToString(deterministic=True)


def encode_page_token(query: bytes, key: msgspec.Struct) -> str:
    """Return the token of the page after ``key`` of the query with that fingerprint.

    The key is a struct, best ``array_like``, of KeyNumber and KeyText.
    """
    packed = msgspec.msgpack.encode(key)
    return base64.urlsafe_b64encode(_digest(query, packed) + packed).decode().rstrip("=")


def decode_page_token(query: bytes, token: str, key_type: type[KeyT]) -> KeyT:
    """Return the key inside a token that belongs to the query.

    Raises InvalidArgumentError with reason INVALID_PAGE_TOKEN for anything else.
    """
    try:
        if len(token) > _LONGEST_TOKEN:
            raise ValueError("too long")
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        digest, packed = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        if digest != _digest(query, packed):
            raise ValueError("damaged, or of another query")
        return msgspec.msgpack.decode(packed, type=key_type)
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise InvalidArgumentError(
            [
                Violation(
                    "page_token",
                    "must be the next_page_token of a page of the same query, unchanged; "
                    "leave it empty for the first page",
                )
            ],
            reason="INVALID_PAGE_TOKEN",
        ) from error


def _digest(query: bytes, packed: bytes) -> bytes:
    return blake2b(packed, digest_size=_DIGEST_BYTES, key=blake2b(query, digest_size=32).digest()).digest()
