"""Folders for those who write a lot: in memory where the system has room there, else where temporary ones are.

A database for each test is hundreds of small files. On a disk they cost more than all that the test does.
"""

import functools
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM = 2 * 1024**3
"""In bytes. Containers often have 64 MB there."""


@functools.cache
def root() -> str:
    """Return the folder that they are made in."""
    try:
        return str(_MEMORY) if shutil.disk_usage(_MEMORY).free >= _ROOM else tempfile.gettempdir()
    except OSError:
        return tempfile.gettempdir()


def scratch(prefix: str = "monitord-test-") -> "tempfile.TemporaryDirectory[str]":
    """Return a folder that goes when its block ends. Other users may not enter it unless it is told so."""
    return tempfile.TemporaryDirectory(prefix=prefix, dir=root())
