"""The sessions of ``monitorctl login``, one file per server, shared by every monitorctl of the user."""

import asyncio
import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from google.protobuf import json_format

from monitord_client.monitorctl.exits import CommandError, ExitCode
from monitord_client.v1.auth_service_pb2 import TokenPair

_PATIENCE_S = 15.0
"""Longer than one renewal may take."""


class SessionFile:
    """Tokens in a file of mode 0600, replaced whole, and renewed by one process at a time."""

    def __init__(self, folder: Path, address: str) -> None:
        """Keep the session with the server at ``address`` in ``folder``, which is made when it is needed."""
        self.path = folder / f"session-{name_of(address)}.json"

    async def load(self) -> TokenPair | None:
        """Return the newest tokens, whoever renewed them; None without a session."""
        try:
            return json_format.Parse(self.path.read_text(), TokenPair(), ignore_unknown_fields=True)
        except (OSError, UnicodeDecodeError, json_format.ParseError):
            return None

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Hold the session's lock, which the system drops should this process die.

        Raises CommandError when another process holds it for too long.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await _lock(handle, self.path)
            yield
        finally:
            os.close(handle)

    async def save(self, tokens: TokenPair | None) -> None:
        """Replace the tokens so that no reader ever sees half of them; None removes them."""
        if tokens is None:
            self.path.unlink(missing_ok=True)
            return
        text = json_format.MessageToJson(tokens, preserving_proto_field_name=True)
        replace_file(self.path, text)


def name_of(address: str) -> str:
    """Return what the files about a server have in their names."""
    return hashlib.sha256(address.encode()).hexdigest()[:16]


def replace_file(path: Path, text: str) -> None:
    """Write a file that only its owner may read, so that no reader ever sees half of it."""
    # mkstemp makes the file with mode 0600: the tokens are never readable for others, not even for a moment.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


async def _lock(handle: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two renewals at the same instant end the session, and a login begins a new one
        return
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise CommandError(
                    f"another monitorctl holds {path.with_suffix('.lock')}; try again", ExitCode.UNAVAILABLE
                ) from None
            await asyncio.sleep(0.05)
        else:
            return
