"""Folders for those who write a lot: in memory where the system has room there, else where temporary ones are.

A database for each test is hundreds of small files. On a disk they cost more than all that the test does.
"""

import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM = 2 * 1024**3
"""In bytes. Containers often have 64 MB there."""
_NAME = "monitord-scratch-"
_YOUNG_S = 60.0


@functools.cache
def root() -> str:
    """Return the folder that they are made in."""
    try:
        if shutil.disk_usage(_MEMORY).free < _ROOM:
            return tempfile.gettempdir()
    except OSError:
        return tempfile.gettempdir()
    _sweep(_MEMORY)
    return str(_MEMORY)


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """Return a folder that goes when its block ends. Other users may not enter it unless it is told so."""
    with tempfile.TemporaryDirectory(prefix=_NAME, dir=root()) as name, _held(Path(name)) as held:
        assert held
        yield name


def _sweep(folder: Path) -> None:
    """Take away what tests left that were killed: in memory nobody else would, until the machine starts anew."""
    for left in folder.glob(f"{_NAME}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _YOUNG_S:  # or it may be about to be held
                with _held(left) as held:
                    if held:
                        shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a folder, and tell whether nobody else did. The system lets go of it when the process ends, however."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)
