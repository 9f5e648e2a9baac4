"""The master keys in a file that monitord keeps itself, and how they are spelled there and in a setting."""

import base64
import binascii
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import structlog

from monitord.domain.errors import FailedPreconditionError
from monitord.identity import private_file

KEY_FILE = "secret.key"
KEY_BYTES = 32

_KEY_ID_BYTES = 4
_log = structlog.get_logger(__name__)


class VaultError(FailedPreconditionError):
    """The keys can't be used as they are. The message says what to change, and holds no secret."""


class KeyFile:
    """One key in base64, or several in lines, the current one first. Others may replace it at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None
        self._is_bad = False

    def open(self) -> list[bytes]:
        """Return the keys; the first start makes one. Raises as ``read``."""
        try:
            return self.read()
        except FileNotFoundError:
            private_file.create(self.path, spelled([new_key()]))
            return self.read()

    def read(self) -> list[bytes]:
        """Return the keys.

        Raises VaultError, FileNotFoundError, or PrivateFileError where others may read the file.
        """
        self._seen = self._facts()  # before: what comes while we read is looked at again
        return parse_keys(private_file.read(self.path), str(self.path))

    def newer(self) -> list[bytes] | None:
        """Return the keys if the file was changed since it was last read; None: it was not, or can't be used.

        The latter is told in the log, once for each change: whoever asks goes on with the keys that it has.
        """
        changed = self._facts() != self._seen
        if not changed and not self._is_bad:
            return None
        try:
            keys = self.read()
        except (FailedPreconditionError, OSError) as error:
            self._is_bad = True
            if changed:
                _log.warning("keys_not_reloaded", reason=str(error))
            return None
        self._is_bad = False
        return keys

    def replace(self, keys: Sequence[bytes], *, instead_of: Sequence[bytes]) -> None:
        """Store other keys, whole and durable, in the place of those that are there.

        Raises VaultError when it does not hold ``instead_of`` any more, PrivateFileError where it can't be replaced.
        """
        if self.read() != list(instead_of):
            raise VaultError(f"{self.path} was changed by somebody else at the same time: look at it, and try again")
        try:
            private_file.replace(self.path.resolve(), spelled(keys))
        except OSError as error:
            raise private_file.PrivateFileError(
                f"{self.path} can't be replaced: {error.strerror}. Run this as the user that monitord runs as, and "
                "where the folder of the file may be written to"
            ) from error

    def _facts(self) -> tuple[int, ...] | None:
        try:
            facts = self.path.stat()
        except OSError:
            return None
        return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def new_key() -> bytes:
    """Return a new master key."""
    return os.urandom(KEY_BYTES)


def key_id(key: bytes) -> bytes:
    """Return what tells a master key from others, and says nothing of it: 4 bytes."""
    return sha256(b"monitord key id\x00" + key).digest()[:_KEY_ID_BYTES]


def parse_keys(text: str, source: str) -> list[bytes]:
    """Return the keys in a text, separated by commas or lines; raise VaultError, which names ``source``."""
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


def spelled(keys: Sequence[bytes], separator: str = "\n") -> str:
    """Return the text of keys: a line for each, or as a setting has them."""
    text = separator.join(base64.b64encode(key).decode() for key in keys)
    return text + "\n" if separator == "\n" else text
