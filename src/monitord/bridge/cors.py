"""Which pages may call: the browser's same-origin policy, and the exceptions that the operator lists.

Credentials are a header that a page has to send itself, never a cookie: no answer allows credentials, and a page can
use no more than what its user gave it (https://fetch.spec.whatwg.org/#http-cors-protocol).
"""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

ANY: Final = "*"

_REQUEST_HEADERS = (
    "Authorization, Connect-Protocol-Version, Connect-Timeout-Ms, Content-Type, X-Monitord-Organisation, X-User-Agent"
)
_EXPOSED = "Retry-After"
_MAX_AGE_S = "7200"
"""How long a browser may keep the answer to its question: as long as Chromium does at most."""


class Cors:
    """Judges origins. Exact ones: nothing that a page says of itself is ever sent back unless it is in the list."""

    def __init__(self, origins: Collection[str], public_url: str | None = None) -> None:
        """Take what is listed, or ``*`` alone; ``public_url`` is where this server is seen, if not where it listens."""
        self._any = ANY in origins
        self._origins = frozenset(origins)
        parts = urlsplit(public_url or "")
        self._own = f"{parts.scheme}://{parts.netloc}".lower() if parts.netloc else None

    def headers(self, request: web.Request) -> dict[str, str]:
        """Return what every answer carries, so that no cache gives one page's answer to another."""
        if self._any:
            return {"Access-Control-Allow-Origin": ANY, "Access-Control-Expose-Headers": _EXPOSED}
        origin = request.headers.get("Origin")
        if origin not in self._origins:
            return {"Vary": "Origin"}
        return {"Vary": "Origin", "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED}

    def allows(self, request: web.Request) -> bool:
        """Return whether a call may come from where it comes from. What is no browser names no origin."""
        origin = request.headers.get("Origin")
        if origin is None or self._any or origin in self._origins:
            return True
        return origin in (f"{request.scheme}://{request.host}", self._own)

    def preflight(self, request: web.Request) -> web.Response:
        """Answer a browser that asks whether a page may call."""
        headers = {**self.headers(request), "Allow": "POST, OPTIONS"}
        if "Access-Control-Allow-Origin" in headers:
            headers |= {
                "Access-Control-Allow-Methods": "POST",
                "Access-Control-Allow-Headers": _REQUEST_HEADERS,
                "Access-Control-Max-Age": _MAX_AGE_S,
            }
            return web.Response(status=204, headers=headers)
        return web.Response(status=204 if self.allows(request) else 403, headers=headers)
