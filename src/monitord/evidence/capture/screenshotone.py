"""Screenshots by ScreenshotOne: https://screenshotone.com/docs/getting-started, and /docs/options for what is asked.

A request is a POST with the key in a header, so that it stands in no log on the way. With a signing secret it is a GET
with a signature instead, in which the key stands in the query: an account that demands signatures takes nothing else,
and signatures don't go with POST (https://screenshotone.com/docs/signed-requests).
"""

import hashlib
import hmac
from collections.abc import Callable
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from monitord.evidence.shot import HEIGHT, MAX_IMAGE_BYTES, WIDTH, CaptureError, Image, LimitedError, image_of
from monitord.evidence.vendor import read, read_object, tell, wait_of, went_wrong

BASE = "https://api.screenshotone.com"
RENDER_S = 10
"""How long the vendor may take to render, in seconds; its own default is 60."""

_LIMITS = {"concurrency_limit_reached", "screenshots_limit_reached"}
_QUOTA_WAIT_S = 900.0


class ScreenshotOne:
    """Takes screenshots by the vendor's API."""

    name = "screenshotone"

    def __init__(
        self, session: Callable[[], aiohttp.ClientSession], key: str, secret: str | None = None, *, base: str = BASE
    ) -> None:
        """Take how to get the HTTP client that the policy guards, the access key, and the signing secret if any."""
        self._session = session
        self._key = key
        self._secret = secret
        self._take = f"{base.rstrip('/')}/take"

    async def capture(self, url: str) -> Image:
        """Return a picture of a page. Raises CaptureError, or LimitedError when the account may not for a while."""
        options: dict[str, str | int | bool] = {
            "url": url,
            "format": "png",
            "viewport_width": WIDTH,
            "viewport_height": HEIGHT,
            "block_cookie_banners": True,
            # Pages that say 500 are what this is for.
            "ignore_host_errors": True,
            "timeout": RENDER_S,
        }
        try:
            async with self._ask(options) as response:
                return await self._read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CaptureError(f"ScreenshotOne: {went_wrong(error)}") from None

    def _ask(self, options: dict[str, str | int | bool]) -> "aiohttp.client._RequestContextManager":
        if self._secret is None:
            headers = {"X-Access-Key": self._key}
            return self._session().post(self._take, json=options, headers=headers, allow_redirects=False)
        words = {"access_key": self._key, **{name: _word(value) for name, value in options.items()}}
        query = urlencode(words)
        signature = hmac.new(self._secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        # What is signed is what is sent: it must not be quoted once more, or put in another order.
        target = URL(f"{self._take}?{query}&signature={signature}", encoded=True)
        return self._session().get(target, allow_redirects=False)

    async def _read(self, response: aiohttp.ClientResponse) -> Image:
        if response.status == 200:
            content = await read(response, MAX_IMAGE_BYTES)
            image = None if content is None else image_of(content)
            if image is None:
                raise CaptureError("ScreenshotOne sent no picture, or one that is too large")
            return image
        told = await read_object(response)
        code, message = str(told.get("error_code", "")), told.get("error_message", "")
        # No part of what is said may be a secret of ours: errors are shown to people.
        words = tell(f"{code or response.status}: {message}".rstrip(": "), self._key, self._secret or "")
        if response.status == 429 or code in _LIMITS:
            wait_s = _QUOTA_WAIT_S if code == "screenshots_limit_reached" else wait_of(response)
            raise LimitedError(f"ScreenshotOne: {words}", wait_s)
        raise CaptureError(f"ScreenshotOne: {words}")


def _word(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
