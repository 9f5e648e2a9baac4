"""The Chrome DevTools Protocol over a pipe: JSON messages, each followed by a NUL byte.

See ``--remote-debugging-pipe`` in Chromium, and https://chromedevtools.github.io/devtools-protocol/. A pipe is ours
alone, where a debugging port would be open to every local process, and to pages.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

MAX_MESSAGE_BYTES = 48 * 1024 * 1024
"""A screenshot comes as one message, in base64. What is longer ends the conversation."""

_CHUNK_BYTES = 256 * 1024

Event = Callable[[str, str, dict[str, Any]], None]
"""Is told the session (empty: the browser's own), the name and the parameters."""


class DevToolsError(Exception):
    """The browser refused a command, or has gone."""


class BrowserGoneError(DevToolsError):
    """It has gone."""


class _Message(msgspec.Struct):
    id: int = 0
    method: str = ""
    params: dict[str, Any] = {}
    result: dict[str, Any] = {}
    error: dict[str, Any] | None = None
    session: str = msgspec.field(default="", name="sessionId")


class Reader(Protocol):
    """What the browser says; ``asyncio.StreamReader``."""

    async def read(self, n: int = -1) -> bytes:
        """Return up to so many bytes; none: it has closed."""


class Writer(Protocol):
    """What it is told; ``asyncio.StreamWriter``."""

    def write(self, data: bytes) -> None:
        """Send."""


class DevTools:
    """A conversation with one browser."""

    def __init__(self, reader: Reader, writer: Writer, on_event: Event) -> None:
        """``on_event`` is called within ``run``, and must not block."""
        self._reader = reader
        self._writer = writer
        self._on_event = on_event
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0
        self._gone = ""

    async def run(self) -> None:
        """Listen until the browser closes the pipe, says something that can't be understood, or we are cancelled."""
        try:
            await self._listen()
            self._gone = "the browser has gone"
        except (OSError, msgspec.DecodeError, DevToolsError) as error:
            self._gone = f"the browser can't be understood: {error}"
        finally:
            self._gone = self._gone or "the conversation was ended"
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(BrowserGoneError(self._gone))

    async def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """Return the result of a command. It has no limit on time: the caller has.

        Raises:
            DevToolsError: the browser refuses.
            BrowserGoneError: it has gone.

        """
        number = self.send(method, session, **params)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            return await future
        finally:
            del self._waiting[number]

    def send(self, method: str, session: str = "", **params: Any) -> int:
        """Give a command whose result nobody waits for. Raises BrowserGoneError."""
        if self._gone:
            raise BrowserGoneError(self._gone)
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self._writer.write(msgspec.json.encode(message) + b"\0")
        return self._last

    async def _listen(self) -> None:
        buffer, searched = bytearray(), 0
        while part := await self._reader.read(_CHUNK_BYTES):
            buffer += part
            while (end := buffer.find(0, searched)) >= 0:
                self._take(msgspec.json.decode(bytes(buffer[:end]), type=_Message))
                del buffer[: end + 1]
                searched = 0
            searched = len(buffer)
            if searched > MAX_MESSAGE_BYTES:
                raise DevToolsError("it says too much at once")

    def _take(self, message: _Message) -> None:
        if not message.id:
            self._on_event(message.session, message.method, message.params)
            return
        future = self._waiting.get(message.id)
        if future is None or future.done():
            return
        if message.error is not None:
            future.set_exception(DevToolsError(str(message.error.get("message", "refused"))[:200]))
        else:
            future.set_result(message.result)
