"""Secrets at rest: sealed with AES-256-GCM under keys that can be told apart, so that they can be rotated (T15).

A sealed value is ``version (1) | key id (4) | nonce (12) | ciphertext and tag``. The header is authenticated with the
context, a name for the place the value belongs to: a sealed value copied to another row doesn't open there.
"""

import base64
import binascii
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from monitord.domain.errors import FailedPreconditionError
from monitord.identity import private_file

KEY_FILE = "secret.key"
KEY_BYTES = 32

_VERSION = b"\x01"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
"""The nonce is random: with 96 bits, good for 2^32 values a key (NIST SP 800-38D, 8.3)."""
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES


class VaultError(FailedPreconditionError):
    """The keys can't be used as they are. The message says what to change, and holds no secret."""


class UnsealError(VaultError):
    """A sealed value doesn't open: sealed with a key that is not here, for another place, or damaged."""


class Vault:
    """The master keys. The first seals and derives; each opens what was sealed with it.

    No master key is used directly: sealing and each purpose of ``derive`` have keys of their own (RFC 5869).
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise VaultError(f"a master key must be {KEY_BYTES} bytes")
        self._masters = tuple(keys)
        self._ciphers = {_key_id(key): AESGCM(_derive(key, "seal")) for key in reversed(self._masters)}
        self._current = _key_id(self._masters[0])

    @classmethod
    def open(cls, state_dir: Path, key: str | None) -> Self:
        """Return the vault of a setting, or else of ``secret.key`` in the state folder, made on the first start.

        Either holds one key in base64, or several separated by commas or lines, the current one first. Raises
        VaultError, or PrivateFileError where others may read the file.
        """
        if key is not None:
            return cls(_parse(key, "the key of the settings"))
        path = state_dir / KEY_FILE
        try:
            text = private_file.read(path)
        except FileNotFoundError:
            private_file.create(path, base64.b64encode(os.urandom(KEY_BYTES)).decode() + "\n")
            text = private_file.read(path)
        return cls(_parse(text, str(path)))

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt ``plain`` for the place that ``context`` names. The same value twice gives two different results."""
        header = _VERSION + self._current
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + self._ciphers[self._current].encrypt(nonce, plain, header + context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Return what was sealed with the same context by any of the keys. Raises UnsealError."""
        header, nonce = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        cipher = self._ciphers.get(header[len(_VERSION) :])
        if header[: len(_VERSION)] != _VERSION or len(nonce) != _NONCE_BYTES:
            raise UnsealError("this is not a sealed value, or one of a newer monitord")
        if cipher is None:
            raise UnsealError(f"sealed with the key {header[1:].hex()}, which is not among the keys of this monitord")
        try:
            return cipher.decrypt(nonce, sealed[_HEADER_BYTES + _NONCE_BYTES :], header + context)
        except InvalidTag:
            raise UnsealError("damaged, or sealed for another place") from None

    def derive(self, purpose: str) -> tuple[bytes, ...]:
        """Return a 256-bit key per master key for one purpose, the current one first: sign with it, verify with any."""
        return tuple(_derive(key, f"purpose/{purpose}") for key in self._masters)

    def __repr__(self) -> str:
        """Tell the current key by its id, which says nothing of the key."""
        return f"Vault({self._current.hex()}, {len(self._masters)} keys)"


def _parse(text: str, source: str) -> list[bytes]:
    try:
        keys = [base64.b64decode(part, validate=True) for part in text.replace(",", " ").split()]
    except (binascii.Error, ValueError):
        keys = []
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        # Not `from` the error: its text may quote a part of the key.
        raise VaultError(
            f"{source} must be {KEY_BYTES} random bytes in base64, such as `openssl rand -base64 {KEY_BYTES}` prints; "
            "after a rotation, the old keys follow, separated by commas"
        ) from None
    return keys


def _key_id(key: bytes) -> bytes:
    return sha256(b"monitord key id\x00" + key).digest()[:_KEY_ID_BYTES]


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"monitord/v1/" + purpose.encode()).derive(key)
