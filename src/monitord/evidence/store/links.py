"""Links to screenshots: they can't be guessed, and they expire (T15)."""

import base64
import hmac
import re
from collections.abc import Callable

from monitord.domain.instant import SECOND, Instant

_TOKEN = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{9,11})-([A-Za-z0-9_-]{22})")
_MAC_BYTES = 16
_PURPOSE = "screenshot"


class Links:
    """Makes and reads the tokens: ``<name>-<expiry in seconds>-<signature of 128 bits>``.

    The signature is HMAC-SHA-256 (RFC 2104), truncated; a rotated master key keeps old links valid.
    """

    def __init__(
        self, derive: Callable[[str], tuple[bytes, ...]], base: str, *, lifetime_s: int, now: Callable[[], Instant]
    ) -> None:
        """Take where keys come from, what stands before ``/screenshots/`` (it may be set later), and how long."""
        self._derive = derive
        self._now = now
        self.base = base
        self.lifetime_s = lifetime_s

    def url(self, name: str) -> str:
        """Return a link to a picture that is valid from now on, for its lifetime."""
        expiry = self._now() // SECOND + self.lifetime_s
        return f"{self.base.rstrip('/')}/screenshots/{name}-{expiry}-{_sign(self._derive(_PURPOSE)[0], name, expiry)}"

    def read(self, token: str) -> str | None:
        """Return the name in a token; None: it wasn't made here, or is over."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        name, expiry = match[1], int(match[2])
        good = [hmac.compare_digest(_sign(key, name, expiry), match[3]) for key in self._derive(_PURPOSE)]
        return name if any(good) and self._now() < expiry * SECOND else None


def _sign(key: bytes, name: str, expiry: int) -> str:
    mac = hmac.digest(key, f"screenshot/{name}/{expiry}".encode(), "sha256")[:_MAC_BYTES]
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
