"""Finds out from ``postmaster.pid`` whether a Postgres runs on a data directory, and ends one that was left over."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from monitord.domain.errors import FailedPreconditionError

_STATUS_LINE = 7
"""Of the lock file, counted from 0: ``LOCK_FILE_LINE_PM_STATUS`` in Postgres' miscadmin.h."""

_SIGNALS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))


def status(data: Path, pid: int) -> str | None:
    """Return what process ``pid`` says of itself in the lock file: ``starting``, ``ready``, ``stopping``; or None."""
    lines = _lock_file(data)
    if len(lines) <= _STATUS_LINE or lines[0].strip() != str(pid):
        return None
    return lines[_STATUS_LINE].strip()


def line_of_ready(data: Path, number: int) -> str | None:
    """Return a line of the lock file, counted from 0, of a Postgres that accepts connections; None: none does."""
    lines = _lock_file(data)
    if len(lines) <= max(number, _STATUS_LINE) or lines[_STATUS_LINE].strip() != "ready":
        return None
    return lines[number].strip()


async def end(data: Path, uid: int, announce: Callable[[str], None]) -> None:
    """End the Postgres that an earlier monitord left running on ``data``, and remove a lock file that means nothing.

    The process id in the file may by now be anyone's: after a reboot, or in a new container. Postgres itself would
    then refuse to start for ever.

    Raises:
        FailedPreconditionError: it doesn't end, even when killed.

    """
    lines = _lock_file(data)
    with contextlib.suppress(ValueError, IndexError):
        pid = int(lines[0])
        if serves(pid, data, uid):
            announce(f"Stopping the database (process {pid}) that an earlier monitord left running.")
            await _stop(pid, data, uid)
    (data / "postmaster.pid").unlink(missing_ok=True)


def serves(pid: int, data: Path, uid: int) -> bool:
    """Return whether ``pid`` is a live postmaster of ``data`` that runs as ``uid``."""
    if pid <= 1:
        return False
    proc = Path(f"/proc/{pid}")
    try:
        if Path("/proc/self/stat").exists():
            if proc.stat().st_uid != uid or (proc / "stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z":
                return False
            arguments = [os.fsdecode(part) for part in (proc / "cmdline").read_bytes().split(b"\0")]
            return Path(arguments[0]).name == "postgres" and arguments[1:3] == ["-D", str(data)]
        # macOS has no /proc.
        listed = subprocess.run(
            ["/bin/ps", "-ww", "-o", "uid=,command=", "-p", str(pid)], capture_output=True, text=True, timeout=5
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return False
    owner, _, command = listed.partition(" ")
    return owner == str(uid) and f"/postgres -D {data} " in command


async def _stop(pid: int, data: Path, uid: int) -> None:
    for number, limit_s in _SIGNALS:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if not serves(pid, data, uid):
                return
            await asyncio.sleep(0.02)
    raise FailedPreconditionError(
        f"The database that an earlier monitord left running (process {pid}) does not end, even when killed."
    )


def _lock_file(data: Path) -> list[str]:
    try:
        descriptor = os.open(data / "postmaster.pid", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(4096).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
