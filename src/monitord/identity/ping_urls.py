"""The URLs by which jobs tell of themselves: signed, so that a wrong one costs no look into the database."""

import base64
import hmac
import re
from collections.abc import Callable

import structlog

_TOKEN = re.compile(r"([1-9][0-9]{0,18})-([0-9]{1,7})-([A-Za-z0-9_-]{22})")
_MAC_BYTES = 16
_PURPOSE = "ping"
_log = structlog.get_logger(__name__)


class PingUrls:
    """Makes and reads the tokens in ping URLs: ``<monitor>-<version>-<signature of 128 bits>`` (T15).

    The signature is HMAC-SHA-256 (RFC 2104), truncated; a rotated master key keeps old URLs valid.
    """

    def __init__(self, derive: Callable[[str], tuple[bytes, ...]], base: str) -> None:
        """Take where keys come from, and what stands before ``/ping/``; the base may be set later."""
        self._derive = derive
        self.base = base
        self._outdated: set[int] = set()

    def url(self, monitor_id: int, version: int) -> str:
        """Return the URL for a monitor's job."""
        return f"{self.base.rstrip('/')}/ping/{self.token(monitor_id, version)}"

    def token(self, monitor_id: int, version: int) -> str:
        """Return the secret part of it."""
        return f"{monitor_id}-{version}-{_sign(self._derive(_PURPOSE)[0], monitor_id, version)}"

    def read(self, token: str) -> tuple[int, int] | None:
        """Return the monitor and version of a token; None if it wasn't made here."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        monitor_id, version = int(match[1]), int(match[2])
        good = [hmac.compare_digest(_sign(key, monitor_id, version), match[3]) for key in self._derive(_PURPOSE)]
        if not any(good):
            return None
        if not good[0]:
            self._tell_of_an_older_key(monitor_id)
        return monitor_id, version

    def _tell_of_an_older_key(self, monitor_id: int) -> None:
        """Say, once for each monitor, that its job uses a URL that ends when an older master key is retired."""
        if monitor_id not in self._outdated:
            self._outdated.add(monitor_id)
            _log.info("ping_url_of_an_older_key", monitor_id=monitor_id)


def _sign(key: bytes, monitor_id: int, version: int) -> str:
    mac = hmac.digest(key, f"ping/{monitor_id}/{version}".encode(), "sha256")[:_MAC_BYTES]
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
