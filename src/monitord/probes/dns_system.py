"""The DNS servers that the system uses, as /etc/resolv.conf names them."""

from pathlib import Path

from monitord.domain.target import InvalidTargetError, parse_endpoint

_FILE = Path("/etc/resolv.conf")
_MAX_BYTES = 64 * 1024


class SystemServers:
    """Reads the file when it has changed."""

    def __init__(self, file: Path = _FILE) -> None:
        self._file = file
        self._changed: float | None = None
        self._first: str | None = None

    def first(self) -> str | None:
        """Return the first server's address; None if there is none."""
        try:
            changed = self._file.stat().st_mtime
            if changed != self._changed:
                with self._file.open("rb") as file:
                    self._first = _first_in(file.read(_MAX_BYTES).decode("utf-8", "replace"))
                self._changed = changed
        except OSError:
            return None
        return self._first


def _first_in(text: str) -> str | None:
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                # A link-local server's zone means something to the kernel only, and the policy forbids it anyway.
                parse_endpoint(words[1], 1)
            except InvalidTargetError:
                continue
            return words[1]
    return None
