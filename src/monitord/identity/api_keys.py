"""API keys: ``mk_<id>_<secret><checksum>``, for machines.

The id is public and names the row. The secret is 256 random bits, so a plain SHA-256 is all that need be stored: there
is nothing to guess, and a slow hash would only slow every call. The checksum lets a key that was cut or mistyped be
told from a wrong one without a query, and scanners for leaked secrets tell it from other text.
"""

import re
import secrets
import string
import zlib
from collections.abc import Mapping
from hashlib import sha256

import msgspec

from monitord.domain.allow_list import Network
from monitord.domain.instant import Instant
from monitord.identity.principal import Scope

PREFIX = "mk_"

_ALPHABET = string.digits + string.ascii_letters
_ID_CHARACTERS = 12
_SECRET_CHARACTERS = 43
"""log2(62^43) = 256 bits."""
_CHECKSUM_CHARACTERS = 6
_SHAPE = re.compile(
    f"{PREFIX}([0-9A-Za-z]{{{_ID_CHARACTERS}}})_([0-9A-Za-z]{{{_SECRET_CHARACTERS}}})"
    f"([0-9A-Za-z]{{{_CHECKSUM_CHARACTERS}}})"
)


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a key."""

    id: str
    display_name: str
    scope: Scope
    created_at: Instant
    expires_at: Instant | None = None
    last_used_at: Instant | None = None
    """To the minute."""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    """It is for the monitors that have all of these; empty: for all of its organisation."""
    networks: tuple[Network, ...] = ()
    """That it may be used from; empty: from everywhere."""


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was just made: the only moment at which its secret is known."""

    key: ApiKey
    secret: str
    """The whole text that its owner sends, id included."""

    def __repr__(self) -> str:
        """Show the secret to nobody, logs and tracebacks included (T15)."""
        return f"NewApiKey({self.key!r}, <secret>)"


def generate() -> tuple[str, str]:
    """Return the id and the whole text of a new key."""
    key_id = _random(_ID_CHARACTERS)
    body = f"{PREFIX}{key_id}_{_random(_SECRET_CHARACTERS)}"
    return key_id, body + _checksum(body)


def parse_id(text: str) -> str | None:
    """Return the id of what may be a key; None for what is none, because its form or its checksum is wrong."""
    match = _SHAPE.fullmatch(text)
    if match is None or text[-_CHECKSUM_CHARACTERS:] != _checksum(text[:-_CHECKSUM_CHARACTERS]):
        return None
    return match[1]


def digest(text: str) -> bytes:
    """Return what is stored of a key in place of its secret."""
    return sha256(text.encode()).digest()


def _random(characters: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(characters))


def _checksum(body: str) -> str:
    number, text = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        text += _ALPHABET[digit]
    return text
