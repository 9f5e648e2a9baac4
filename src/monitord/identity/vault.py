"""Secrets at rest: sealed with AES-256-GCM under keys that can be told apart, so that they can be rotated (T15).

A sealed value is ``version (1) | key id (4) | nonce (12) | ciphertext and tag``. The header is authenticated with the
context, a name for the place the value belongs to: a sealed value copied to another row doesn't open there.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, Self

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from monitord.identity.key_file import KEY_BYTES, KEY_FILE, KeyFile, VaultError, key_id, parse_keys

LOOK_S = 1.0
"""How long another first key in the file may go unnoticed, in seconds: from then on it seals."""

_VERSION = b"\x01"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
"""The nonce is random: with 96 bits, good for 2^32 values a key (NIST SP 800-38D, 8.3)."""
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES

_log = structlog.get_logger(__name__)


class UnsealError(VaultError):
    """A sealed value doesn't open: sealed with a key that is not here, for another place, or damaged."""


class KeySource(Protocol):
    """Where the keys come from, if they may change there."""

    def newer(self) -> Sequence[bytes] | None:
        """Return the keys if they have changed since they were last asked for; None: they have not."""
        ...


class Vault:
    """The master keys. The first seals and derives; each opens what was sealed with it.

    No master key is used directly: sealing and each purpose of ``derive`` have keys of their own (RFC 5869).

    With a ``source`` it follows a rotation while it runs: at most ``LOOK_S`` later the new key seals, and a value of a
    key that is not known yet has it look at once. A key that the source has no more signs and verifies nothing, but
    goes on opening what it sealed for as long as the process lives.
    """

    def __init__(
        self,
        keys: Sequence[bytes],
        *,
        source: KeySource | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._searched_at = -LOOK_S
        self._ciphers: dict[bytes, AESGCM] = {}
        self._take(keys)

    @classmethod
    def open(cls, state_dir: Path, key: str | None) -> Self:
        """Return the vault of a setting, or else of ``secret.key`` in the state folder, made on the first start.

        Either holds one key in base64, or several separated by commas or lines, the current one first. Raises
        VaultError, or PrivateFileError where others may read the file.
        """
        if key is not None:
            return cls(parse_keys(key, "the key of the settings"))
        file = KeyFile(state_dir / KEY_FILE)
        return cls(file.open(), source=file)

    @property
    def current(self) -> bytes:
        """The id of the key that seals."""
        return self._current

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt ``plain`` for the place that ``context`` names. The same value twice gives two different results."""
        self._look()
        header = _VERSION + self._current
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + self._ciphers[self._current].encrypt(nonce, plain, header + context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Return what was sealed with the same context by any of the keys. Raises UnsealError."""
        header, nonce = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        if header[: len(_VERSION)] != _VERSION or len(nonce) != _NONCE_BYTES:
            raise UnsealError("this is not a sealed value, or one of a newer monitord")
        cipher = self._cipher(header[len(_VERSION) :])
        if cipher is None:
            raise UnsealError(f"sealed with the key {header[1:].hex()}, which is not among the keys of this monitord")
        try:
            return cipher.decrypt(nonce, sealed[_HEADER_BYTES + _NONCE_BYTES :], header + context)
        except InvalidTag:
            raise UnsealError("damaged, or sealed for another place") from None

    def derive(self, purpose: str) -> tuple[bytes, ...]:
        """Return a 256-bit key per master key for one purpose, the current one first: sign with it, verify with any.

        To be asked for with each use, as a rotation changes them.
        """
        self._look()
        if purpose not in self._derived:
            self._derived[purpose] = tuple(_derive(key, f"purpose/{purpose}") for key in self._masters)
        return self._derived[purpose]

    def __repr__(self) -> str:
        """Tell the current key by its id, which says nothing of the key."""
        return f"Vault({self._current.hex()}, {len(self._masters)} keys)"

    def _take(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise VaultError(f"a master key must be {KEY_BYTES} bytes")
        self._masters = tuple(keys)
        self._current = key_id(keys[0])
        self._ciphers |= {key_id(key): AESGCM(_derive(key, "seal")) for key in keys if key_id(key) not in self._ciphers}
        self._derived: dict[str, tuple[bytes, ...]] = {}

    def _cipher(self, wanted: bytes) -> AESGCM | None:
        if wanted not in self._ciphers and self._monotonic() - self._searched_at >= LOOK_S:
            self._searched_at = self._monotonic()
            self._reload()
        return self._ciphers.get(wanted)

    def _look(self) -> None:
        if self._monotonic() - self._looked_at >= LOOK_S:
            self._reload()

    def _reload(self) -> None:
        self._looked_at = self._monotonic()
        keys = None if self._source is None else self._source.newer()
        if keys is not None and tuple(keys) != self._masters:
            self._take(keys)
            _log.info("keys_reloaded", current=self._current.hex(), keys=len(keys))


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"monitord/v1/" + purpose.encode()).derive(key)
