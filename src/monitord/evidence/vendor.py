"""What the two vendors' clients have in common: bounded answers, and being told to wait."""

import asyncio
from typing import Any

import aiohttp
import msgspec

DEFAULT_WAIT_S = 60.0
MAX_WAIT_S = 900.0
_MAX_JSON_BYTES = 256 * 1024
_SHOWN = 160


async def read(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """Return a body; None: it is longer than ``limit`` bytes. Raises aiohttp.ClientError and TimeoutError."""
    body = bytearray()
    async for part in response.content.iter_chunked(64 * 1024):
        body += part
        if len(body) > limit:
            return None
    return bytes(body)


async def read_object(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """Return a body that is a JSON object; an empty one if it is none. Raises as ``read`` does."""
    body = await read(response, _MAX_JSON_BYTES)
    try:
        found = msgspec.json.decode(body or b"")
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def wait_of(response: aiohttp.ClientResponse) -> float:
    """Return how long the vendor wants to be left alone, in seconds (RFC 9110, 10.2.3: seconds, or a date)."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit() and len(value) < 8:
        return min(float(value), MAX_WAIT_S)
    return DEFAULT_WAIT_S


def tell(text: object, *secrets: str) -> str:
    """Return what a vendor says as it may be shown: short, on one line, without our secrets (T15, T19)."""
    shown = str(text)
    for secret in secrets:
        if secret:
            shown = shown.replace(secret, "...")
    return "".join(char if char.isprintable() else " " for char in shown)[:_SHOWN]


def went_wrong(error: BaseException) -> str:
    """Return why a request failed. aiohttp's own text may hold the URL, and so what is secret in it."""
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "it did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"it can't be reached ({error.os_error.strerror or error.os_error})"
    return f"the connection failed ({type(error).__name__})"
