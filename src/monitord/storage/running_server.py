"""Finds the private Postgres that a monitord beside us has started, for commands that work while it runs."""

import asyncio
import time
from pathlib import Path

from monitord.domain.errors import FailedPreconditionError, UnavailableError
from monitord.storage import private_files, stale_server

_SOCKETS_LINE = 4
"""Of the lock file, counted from 0: ``LOCK_FILE_LINE_SOCKET_DIR`` in Postgres' miscadmin.h."""

_READY_LIMIT_S = 60.0


async def dsn_of_running(state: Path) -> str:
    """Return the connection string of the Postgres whose monitord holds the state folder; wait until it is ready.

    Raises:
        UnavailableError: it does not come up within a minute, or is coming to its end.
        FailedPreconditionError: it is another user's.

    """
    files = private_files.Files(state, (state / "postgres").resolve(), private_files.account())
    deadline = time.monotonic() + _READY_LIMIT_S
    while not (sockets := stale_server.line_of_ready(files.data, _SOCKETS_LINE)):
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"The private database of the monitord that uses {state} does not answer: it is starting or stopping. "
                "Try again."
            )
        await asyncio.sleep(0.05)
    try:
        secret = files.password.read_text("ascii").strip()
    except OSError as error:
        raise FailedPreconditionError(
            f"The password of the private database can't be read ({error.strerror}): run this as the user that "
            "monitord runs as."
        ) from error
    return private_files.dsn(secret, Path(sockets))
