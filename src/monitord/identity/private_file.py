"""Files that only the user who runs monitord may read: keys."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from monitord.domain.errors import FailedPreconditionError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class PrivateFileError(FailedPreconditionError):
    """A file with a secret in it can't be used as it is; the message says what to do about it."""


def create(path: Path, text: str) -> bool:
    """Write a new file with mode 0600, whole and durable or not at all; return False if there is one already.

    Of several processes that do this at the same moment one succeeds, and the others find its file.
    """
    written = _write_beside(path, text)
    try:
        # Unlike a rename, a link never replaces what is there.
        path.hardlink_to(written)
    except FileExistsError:
        return False
    finally:
        written.unlink()
    _sync_folder(path.parent)
    return True


def replace(path: Path, text: str) -> None:
    """Write a file with mode 0600, whole and durable, over the one that may be there, whose owner it keeps."""
    written = _write_beside(path, text)
    try:
        _give_to_the_owner_of(path, written)
        written.replace(path)
    except OSError:
        written.unlink()
        raise
    _sync_folder(path.parent)


def read(path: Path) -> str:
    """Return what the file holds.

    Raises FileNotFoundError, and PrivateFileError where others may read it too, we may not, or it is no plain file.
    """
    try:
        file = path.open(encoding="utf-8")
    except PermissionError:
        raise PrivateFileError(
            f"{path} can't be read: run monitord as its owner, or give it to who runs monitord"
        ) from None
    with file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise PrivateFileError(f"{path} is not a plain file: put the key in one, with mode 0600")
        if facts.st_mode & _OTHERS:
            mode = stat.S_IMODE(facts.st_mode)
            raise PrivateFileError(
                f"{path} holds a secret and has mode {mode:04o}: others may read or change it. "
                f"If nobody has, run: chmod 600 {path}"
            )
        return file.read()


def _write_beside(path: Path, text: str) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 (a descriptor, not a path)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        with suppress(FileNotFoundError):
            beside.unlink()
        raise
    return beside


def _give_to_the_owner_of(path: Path, written: Path) -> None:
    """Let root, who may write any file, not take it away from the user that monitord runs as."""
    with suppress(FileNotFoundError):
        before, now = path.stat(), written.stat()
        if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid) and os.geteuid() == 0:
            os.chown(written, before.st_uid, before.st_gid)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
