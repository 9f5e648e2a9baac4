"""A unix socket beside the port, for the parts of this process that speak gRPC to it: the bridge for browsers."""

import shutil
import tempfile
from pathlib import Path


class PrivateDoor:
    """A folder of mode 0700 with a socket in it: nobody but this process's user (and root) can get to it.

    It is a new one for each start, in the system's folder for what is temporary; a killed process leaves a dead socket
    there. In the state folder its path could be longer than the 107 bytes that a socket's may have, and gRPC takes a
    socket of the same name from whoever listens on it.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None

    @property
    def target(self) -> str | None:
        """What gRPC calls the socket; None while it is shut."""
        return None if self._folder is None else f"unix:{self._folder / 'rpc.sock'}"

    def open(self) -> str:
        """Make the folder and return the target. Raises OSError when there is no place for it."""
        self._folder = Path(tempfile.mkdtemp(prefix="monitord-"))
        target = self.target
        assert target is not None
        return target

    def shut(self) -> None:
        """Take the folder away; safe twice."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
