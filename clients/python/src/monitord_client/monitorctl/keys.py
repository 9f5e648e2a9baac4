"""Which key monitorctl proves its user with, and where it was found."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from monitord_client.monitorctl.exits import CommandError


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key and, for error messages, where it comes from."""

    secret: str
    origin: str

    def __repr__(self) -> str:
        return f"FoundKey(<secret>, {self.origin!r})"


def explicit_key(key_file: Path | None, environ: Mapping[str, str] = os.environ) -> FoundKey | None:
    """Return the key that the user named: ``--key-file``, MONITORD_API_KEY, MONITORD_API_KEY_FILE, in this order.

    Raises CommandError when the named file cannot be read or is empty.
    """
    if key_file is not None:
        return _read(key_file, "--key-file")
    if key := environ.get("MONITORD_API_KEY", "").strip():
        return FoundKey(key, "MONITORD_API_KEY")
    if path := environ.get("MONITORD_API_KEY_FILE"):
        return _read(Path(path), "MONITORD_API_KEY_FILE")
    return None


def state_key(environ: Mapping[str, str] = os.environ) -> FoundKey | None:
    """Return the administrator's key that a monitord on this machine keeps in its state folder; None without one.

    It opens that monitord alone: never send it to another machine.
    """
    for folder in _state_folders(environ):
        path = folder / "admin.key"
        try:
            secret = path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            continue
        if secret:
            return FoundKey(secret, str(path))
    return None


def state_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder in which programs keep their state (XDG)."""
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


def _state_folders(environ: Mapping[str, str]) -> list[Path]:
    if folder := environ.get("MONITORD_STATE_DIR"):
        return [Path(folder)]
    return [Path("state"), state_home(environ) / "monitord"]  # the first is where `make run` keeps it


def _read(path: Path, origin: str) -> FoundKey:
    try:
        secret = path.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read the key from {path} ({origin}): {_why(error)}") from None
    if not secret:
        raise CommandError(f"{path} ({origin}) is empty: it should hold an API key")
    return FoundKey(secret, f"{path} ({origin})")


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not text"
