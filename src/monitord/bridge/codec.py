"""Messages as the two content types spell them: protobuf's bytes, which just pass, and its canonical JSON.

https://protobuf.dev/programming-guides/json. Fields that are unknown are refused, as that page says: what is misspelled
in a curl command must not be ignored in silence.
"""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from monitord.domain.errors import InvalidArgumentError, Violation

T = TypeVar("T")

LARGE_BYTES = 16 * 1024
"""JSON costs many times what protobuf does: what is larger is done off the loop, which the checks need."""

_PLACE = re.compile(r' at "?\w+\.([\w.\[\]]*[\w\]])')


class Codec(Protocol):
    """One way to write messages."""

    name: str
    """As it stands in content types, after ``application/`` or ``application/connect+``."""

    async def to_wire(self, request: type[Message], body: bytes) -> bytes:
        """Return what a caller sent as protobuf's bytes. Raises InvalidArgumentError if it is no such message."""
        ...

    async def from_wire(self, response: type[Message], raw: bytes) -> bytes:
        """Return protobuf's bytes as the caller wants them."""
        ...


class ProtoCodec:
    """Passes bytes on: whether they are a message is judged by the server, once it knows who asks."""

    name = "proto"

    async def to_wire(self, request: type[Message], body: bytes) -> bytes:
        """Return the same bytes."""
        return body

    async def from_wire(self, response: type[Message], raw: bytes) -> bytes:
        """Return the same bytes."""
        return raw


class JsonCodec:
    """Translates JSON. What is large goes through one thread: it can be made to wait, the loop can't."""

    name = "json"

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bridge-json")

    async def to_wire(self, request: type[Message], body: bytes) -> bytes:
        """Return the message as bytes. Raises InvalidArgumentError if it is none."""
        return await self._run(lambda: _parse(request, body), len(body))

    async def from_wire(self, response: type[Message], raw: bytes) -> bytes:
        """Return the message as JSON, on one line."""
        return await self._run(lambda: _print(response, raw), len(raw))

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T], size: int) -> T:
        if size <= LARGE_BYTES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _parse(request: type[Message], body: bytes) -> bytes:
    message = request()
    try:
        text = body.decode()
        # Anything but an object would be taken for one, or for nothing.
        if not text.lstrip().startswith("{"):
            raise ValueError("it must be an object, such as {}")
        json_format.Parse(text, message)
    except (ValueError, RecursionError, json_format.ParseError) as error:
        said = " ".join(str(error).split())
        place = _PLACE.findall(said)
        raise InvalidArgumentError(
            [Violation(place[-1] if place else "", f"the JSON is not this request: {said}")]
        ) from None
    return message.SerializeToString()


def _print(response: type[Message], raw: bytes) -> bytes:
    return json_format.MessageToJson(response.FromString(raw), indent=None).encode()
