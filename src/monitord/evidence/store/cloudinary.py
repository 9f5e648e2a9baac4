"""Screenshots kept on Cloudinary: https://cloudinary.com/documentation/image_upload_api_reference.

The signature is made by the vendor's own package. Its upload is not used: it blocks, and dials around the policy.
"""

import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp

from monitord.domain.instant import SECOND, Instant
from monitord.evidence.shot import PNG, Image, LimitedError, StoreError
from monitord.evidence.vendor import read_object, tell, wait_of, went_wrong

BASE = "https://api.cloudinary.com"
FOLDER = "monitord"

_LIMITED = {420, 429}
"""The vendor's own word for it, and everyone's."""


class Cloudinary:
    """Keeps screenshots in an account's folder ``monitord``, under names that can't be guessed."""

    name = "cloudinary"

    def __init__(
        self,
        session: Callable[[], aiohttp.ClientSession],
        cloud: str,
        key: str,
        secret: str,
        *,
        now: Callable[[], Instant],
        base: str = BASE,
    ) -> None:
        """Take how to get the HTTP client that the policy guards, and the account."""
        # Here, as it takes 0.3 s, and most have no account.
        from cloudinary.utils import api_sign_request

        self._sign: Callable[[dict[str, str], str], str] = api_sign_request
        self._session = session
        self._key = key
        self._secret = secret
        self._now = now
        self._upload = f"{base.rstrip('/')}/v1_1/{cloud}/image/upload"

    async def keep(self, image: Image) -> str:
        """Return where the picture can be seen. Raises StoreError, or LimitedError when to wait for a while."""
        try:
            async with self._session().post(self._upload, data=self._form(image), allow_redirects=False) as response:
                return await self._read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StoreError(f"Cloudinary: {went_wrong(error)}") from None

    def _form(self, image: Image) -> aiohttp.FormData:
        signed = {
            "folder": FOLDER,
            "public_id": secrets.token_hex(16),
            "timestamp": str(self._now() // SECOND),
        }
        form = aiohttp.FormData()
        for name, value in signed.items():
            form.add_field(name, value)
        form.add_field("api_key", self._key)
        form.add_field("signature", self._sign(signed, self._secret))
        suffix = "png" if image.media_type == PNG else "jpg"
        form.add_field("file", image.content, filename=f"screenshot.{suffix}", content_type=image.media_type)
        return form

    async def _read(self, response: aiohttp.ClientResponse) -> str:
        told = await read_object(response)
        if response.status == 200:
            url = told.get("secure_url")
            if isinstance(url, str) and len(url) <= 2048 and urlsplit(url).scheme == "https":
                return url
            raise StoreError("Cloudinary did not say where the picture is")
        error = told.get("error")
        message = error.get("message", "") if isinstance(error, dict) else ""
        words = tell(f"{response.status}: {message}".rstrip(": "), self._key, self._secret)
        if response.status in _LIMITED:
            raise LimitedError(f"Cloudinary: {words}", wait_of(response))
        raise StoreError(f"Cloudinary: {words}")
