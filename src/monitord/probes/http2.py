"""One request on one fresh HTTP/2 connection (RFC 9113), over a channel, with h2 as the machine.

h2 does no I/O of its own; the deadline, the bounds and the words are here. What the server may send at once is what is
still wanted of it: the window of flow control is the cap of the body.
"""

import logging
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

import msgspec
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import DenialOfServiceError, InvalidBodyLengthError, ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import NeverIndexedHeaderTuple

from monitord.domain.check import Category
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure, ours
from monitord.probes.http2_fields import Fields, checked
from monitord.probes.http2_frames import (
    MAX_BLOCK_BYTES,
    MAX_FRAME_BYTES,
    STREAM,
    BlockTooLargeError,
    FrameError,
    Frames,
    name_of,
)
from monitord.probes.text import shown
from monitord.probes.trial import StepError

ALPN = "h2"
"""What HTTP/2 over TLS is called in the handshake."""

_DEFAULT_WINDOW = 65_535
_MAX_WINDOW = 2**31 - 1
_FRAMES_AT_ONCE = 32
"""So many frames are taken apart before others have their turn: about 2 ms."""

# At its most talkative hpack logs the headers that it encodes, secret ones too (T15).
logging.getLogger("hpack").setLevel(logging.INFO)


class Headers(msgspec.Struct, frozen=True):
    """A list of header fields has come; ``:status`` is the first unless they are trailers."""

    fields: Fields
    is_interim: bool = False
    is_trailing: bool = False


class Data(msgspec.Struct, frozen=True):
    """A piece of the body has come, of one byte at least."""

    data: bytes


class End(msgspec.Struct, frozen=True):
    """The answer is whole."""


Event: TypeAlias = Headers | Data | End


class Categories(msgspec.Struct, frozen=True):
    """What the kind of check calls the ways in which HTTP/2 goes wrong."""

    invalid: Category
    headers_too_large: Category
    truncated: Category


class Http2Call:
    """One request and its answer, event by event. Whatever goes wrong is raised as ``StepError``."""

    def __init__(self, channel: Channel, categories: Categories, *, window: int) -> None:
        """Take a connection on which nothing was said yet.

        Args:
            channel: a connection, with TLS where that is wanted.
            categories: what to call failures.
            window: how many bytes of the body may come; 1 at least. See ``allow``.
        """
        self._channel = channel
        self._categories = categories
        self._window = max(1, min(window, _MAX_WINDOW))
        self._frames = Frames()
        self._taken = 0
        self._events: deque[Event] = deque()
        self._ended = False
        # What is wrong with headers is judged by ``checked``: h2 does not tell the sloppy from the misleading.
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None, validate_inbound_headers=False))
        self._h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: self._window,
                SettingCodes.MAX_HEADER_LIST_SIZE: MAX_BLOCK_BYTES,
                SettingCodes.MAX_FRAME_SIZE: MAX_FRAME_BYTES,
            },
        )

    async def request(self, pseudo: Fields, fields: Fields, body: bytes = b"") -> None:
        """Send the request.

        Args:
            pseudo: ``:method``, ``:scheme``, ``:authority`` and ``:path``.
            fields: all others, by their names in lower case; nobody on the way is to keep them in a table.
            body: sent as far as the server's flow control lets it, and until the answer is whole.
        """
        try:
            self._h2.initiate_connection()
            if self._window > _DEFAULT_WINDOW:
                self._h2.increment_flow_control_window(self._window - _DEFAULT_WINDOW)
            headers = [*pseudo, *(NeverIndexedHeaderTuple(name, value) for name, value in fields)]
            self._h2.send_headers(STREAM, headers, end_stream=not body)
        except ProtocolError as error:
            raise StepError(
                ours(Category.ENGINE_INTERNAL, f"This check cannot be run as it is stored: {shown(str(error))}.")
            ) from None
        await self._flush()
        while body and not self._ended:
            room = min(self._h2.local_flow_control_window(STREAM), self._h2.max_outbound_frame_size)
            if room <= 0:
                await self._step()
                continue
            piece, body = body[:room], body[room:]
            self._h2.send_data(STREAM, piece, end_stream=not body)
            await self._flush()

    async def next(self) -> Event:
        """Return what comes next; nothing comes after ``End``."""
        while not self._events:
            await self._step()
        return self._events.popleft()

    async def allow(self, count: int) -> None:
        """Let ``count`` more bytes of the body come, if fewer may by now."""
        more = min(count, _MAX_WINDOW) - self._window
        if more > 0 and not self._ended:
            self._h2.increment_flow_control_window(more)
            self._h2.increment_flow_control_window(more, STREAM)
            self._window += more
            await self._flush()

    # Within

    async def _flush(self) -> None:
        if data := self._h2.data_to_send():
            await self._channel.send(data)

    async def _step(self) -> None:
        try:
            frame = self._frames.next()
        except FrameError as error:
            raise self._failed(error) from None
        if frame is None:
            data = await self._channel.receive()
            if not data:
                raise StepError(self._channel.closed())
            self._frames.feed(data)
            return
        self._taken += 1
        if self._taken % _FRAMES_AT_ONCE == 0:
            await self._channel.pause()
        self._take(frame)
        await self._flush()

    def _take(self, frame: bytes) -> None:
        try:
            for event in self._h2.receive_data(frame):
                self._translate(event)
        except InvalidBodyLengthError as error:
            if error.actual_length < error.expected_length:
                raise StepError(self._truncated(error.actual_length, error.expected_length)) from None
            raise self._broke("its body is longer than its Content-Length") from None
        except DenialOfServiceError:
            raise self._failed(BlockTooLargeError(f"sent headers of more than {MAX_BLOCK_BYTES // 1024} KiB")) from None
        except (ProtocolError, ValueError) as error:
            # A ValueError comes of what h2 asks hpack and hyperframe to read.
            raise self._broke(shown(str(error), 120).rstrip(".")) from None

    def _translate(self, event: events.Event) -> None:
        if isinstance(event, events.ResponseReceived | events.InformationalResponseReceived | events.TrailersReceived):
            is_trailing = isinstance(event, events.TrailersReceived)
            fields = checked(event.headers or (), is_trailing=is_trailing)
            is_interim = isinstance(event, events.InformationalResponseReceived)
            self._events.append(Headers(fields, is_interim=is_interim, is_trailing=is_trailing))
        elif isinstance(event, events.DataReceived):
            self._window -= event.flow_controlled_length or 0
            if event.data:
                self._events.append(Data(bytes(event.data)))
        elif isinstance(event, events.StreamEnded):
            self._ended = True
            self._events.append(End())
        elif isinstance(event, events.StreamReset):
            code = int(event.error_code if event.error_code is not None else ErrorCodes.INTERNAL_ERROR)
            raise self._failed(FrameError(f"broke the answer off with the error {name_of(code)} (RST_STREAM)"))

    # How it goes wrong

    def _failed(self, error: FrameError) -> StepError:
        category = self._categories.invalid
        if isinstance(error, BlockTooLargeError):
            category = self._categories.headers_too_large
        return StepError(Failure(category, f"{self._channel.peer.authority} {error}."))

    def _broke(self, why: str) -> StepError:
        return self._failed(FrameError(f"broke the rules of HTTP/2: {why}"))

    def _truncated(self, actual: int, expected: int) -> Failure:
        return Failure(
            self._categories.truncated,
            f"The body ended after {actual} bytes where Content-Length promised {expected}.",
        )


def not_chosen(channel: Channel, offered: Sequence[str], chosen: str, category: Category) -> Failure:
    """Return the failure of a server that agreed to TLS, but not to HTTP/2."""
    instead = f"it chose {shown(chosen)!r}" if chosen else "it chose no protocol"
    return Failure(
        category,
        f"{channel.peer.authority} did not agree to HTTP/2 in the TLS handshake: offered {', '.join(offered)} (ALPN), "
        f"{instead}.",
    )
