"""The WebSocket check: the handshake, a message to send, and one to expect (RFC 6455).

``websockets`` is the machine, without its I/O: the connection, the deadline, the bounds and the words are ours.
"""

import asyncio
import contextlib
import logging
from collections import deque

from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from monitord import __version__
from monitord.domain.check import Category, Observation
from monitord.domain.kinds.websocket import WebsocketCheck
from monitord.domain.rules.patterns import compiled
from monitord.domain.target import WEBSOCKET, parse_target
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure
from monitord.probes.service import ServiceChecks
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial
from monitord.probes.websocket_handshake import judge, receive_answer, request_of

MAX_EXPECT_BYTES = 64 * 1024
"""So much of the messages is looked at, and no single one may be longer."""
MAX_CONTROL_FRAMES = 256
MAX_DATA_FRAMES = 10_000

_AT_ONCE = 1024
"""So many bytes are taken apart before others have their turn: at most 512 frames, about 8 ms."""
_GOODBYE_S = 0.2
_EXCERPT = 1024
_HIGHEST_LENGTH = 1 << 63

# Everything that is sent and received is logged at its most talkative, secret headers too (T15).
_quiet = logging.getLogger(f"{__name__}.wire")
_quiet.setLevel(logging.INFO)


class WebsocketProber:
    """Runs WebSocket checks. One instance serves the process."""

    def __init__(self, services: ServiceChecks, *, operator_url: str = "about:blank") -> None:
        """Make a prober that names the operator as its User-Agent."""
        self._services = services
        self._user_agent = f"monitord/{__version__} (+{operator_url})"

    async def __call__(self, check: WebsocketCheck, timeout_s: float, *, trace: bool = False) -> Observation:
        """Run one check; see ``probes.table.Prober``."""
        return await self._services.converse(
            check, lambda: parse_target(check.url, WEBSOCKET), timeout_s, self._talk, trace=trace
        )

    async def _talk(self, channel: Channel, check: WebsocketCheck, trial: Trial) -> Failure | None:
        target = parse_target(check.url, WEBSOCKET)
        if target.scheme == "wss":
            await self._services.secure(channel, check)
        protocol = ClientProtocol(
            WebSocketURI(target.scheme == "wss", target.host, target.port, target.path_query, ""),
            subprotocols=[Subprotocol(name) for name in check.subprotocols] or None,
            max_size=MAX_EXPECT_BYTES,
            logger=_quiet,
        )
        with trial.phase("ttfb"):
            await channel.send(request_of(check, target, protocol.key, self._user_agent))
            trial.note("ttfb", f"Asked for a WebSocket at {shown(target.path_query.partition('?')[0])}.")
            head, rest = await receive_answer(channel, trial)
        protocol.receive_data(head)
        failure = judge(protocol, check.subprotocols, channel.peer.authority)
        if failure is not None:
            return failure
        chosen = f" with the subprotocol {protocol.subprotocol}" if protocol.subprotocol else ""
        trial.note("ttfb", f"The WebSocket is open{chosen}.")
        return await _converse(_Socket(channel, protocol, rest, trial), check, trial)


async def _converse(socket: "_Socket", check: WebsocketCheck, trial: Trial) -> Failure | None:
    try:
        if check.send:
            await socket.send(check.send)
            trial.note("transfer", f"Sent a message of {len(check.send.encode())} bytes.")
        failure = None
        if check.expect:
            trial.content_ok = False
            with trial.phase("transfer"):
                failure = await _await_match(socket, check, trial)
            trial.content_ok = failure is None
        trial.settle()
        await socket.say_goodbye()
    finally:
        # The last message means more to people than frames.
        trial.excerpt = socket.last[:_EXCERPT]
    return failure


async def _await_match(socket: "_Socket", check: WebsocketCheck, trial: Trial) -> Failure | None:
    pattern, total = compiled(check.expect), 0
    while total < MAX_EXPECT_BYTES:
        message = await socket.next_message()
        total += len(message)
        if pattern.search(message) is not None:
            trial.note("transfer", f"{shown(check.expect, 80)!r} matches a message that the server sent.")
            return None
    return Failure(
        Category.ASSERT_REGEX,
        f"{shown(check.expect, 80)!r} matches none of the messages in the first {MAX_EXPECT_BYTES // 1024} KiB; "
        f"the last begins with {shown(socket.last[:80])!r}.",
    )


class _Socket:
    """An open WebSocket. Whatever goes wrong is raised as ``StepError``."""

    def __init__(self, channel: Channel, protocol: ClientProtocol, rest: bytes, trial: Trial) -> None:
        """Take a connection after the handshake, and what has come behind that."""
        self.last = b""
        """The last message that came whole."""
        self._channel = channel
        self._protocol = protocol
        self._rest = rest
        self._trial = trial
        self._frames: deque[Frame] = deque()
        self._message = bytearray()
        self._is_text = False
        self._data_frames = 0
        self._control_frames = 0

    async def send(self, text: str) -> None:
        """Send a text message."""
        self._protocol.send_text(text.encode())
        await self._flush()

    async def next_message(self) -> bytes:
        """Return the next message, whole; pings on the way are answered."""
        while True:
            while not self._frames:
                await self._step()
            frame = self._frames.popleft()
            if self._take(frame):
                self.last = bytes(self._message)
                return self.last

    async def say_goodbye(self) -> None:
        """Close it properly; wait a moment for the server to agree, as it may otherwise note an error."""
        with contextlib.suppress(StepError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                if self._protocol.state is State.OPEN:
                    self._protocol.send_close(1000)
                    await self._flush()
                while self._protocol.close_rcvd is None and self._protocol.parser_exc is None:
                    await self._step()

    # Within

    async def _flush(self) -> None:
        if data := b"".join(self._protocol.data_to_send()):
            await self._channel.send(data)

    async def _step(self) -> None:
        """Take some bytes, of those that are here, or else of those that come next."""
        protocol = self._protocol
        if protocol.parser_exc is not None:
            raise StepError(self._broken(protocol.parser_exc))
        if self._rest:
            await self._channel.pause()
        else:
            self._rest = await self._channel.receive()
            if not self._rest:
                raise StepError(self._hung_up())
        data, self._rest = self._rest[:_AT_ONCE], self._rest[_AT_ONCE:]
        protocol.receive_data(data)
        for frame in protocol.events_received():
            if isinstance(frame, Frame):
                self._count(frame)
                self._frames.append(frame)
        await self._flush()

    def _count(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._data_frames += 1
        else:
            self._control_frames += 1
        if self._control_frames > MAX_CONTROL_FRAMES or self._data_frames > MAX_DATA_FRAMES:
            raise StepError(
                self._invalid(
                    f"flooded the connection (more than {MAX_CONTROL_FRAMES} pings and the like, "
                    f"or {MAX_DATA_FRAMES} pieces of messages)"
                )
            )

    def _take(self, frame: Frame) -> bool:
        """Return whether the frame completes a message."""
        if frame.opcode is Opcode.CLOSE:
            raise StepError(self._closed())
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            return False
        if frame.opcode is not Opcode.CONT:
            self._message = bytearray()
            self._is_text = frame.opcode is Opcode.TEXT
        self._message += frame.data
        if frame.fin and self._is_text:
            try:
                self._message.decode()
            except UnicodeDecodeError:
                raise StepError(self._invalid("sent a text message that is not UTF-8")) from None
        return frame.fin

    # How it goes wrong

    def _invalid(self, what: str) -> Failure:
        return Failure(Category.PROTOCOL_INVALID, f"{self._channel.peer.authority} {what}.")

    def _broken(self, error: Exception) -> Failure:
        if isinstance(error, PayloadTooBig) and (error.size or 0) < _HIGHEST_LENGTH:
            return Failure(
                Category.BODY_TOO_LARGE,
                f"{self._channel.peer.authority} sent a message of more than {MAX_EXPECT_BYTES // 1024} KiB; "
                "no more was read.",
            )
        return self._invalid(f"broke the rules of WebSocket: {shown(str(error), 120)}")

    def _closed(self) -> Failure:
        close = self._protocol.close_rcvd
        code = f"code {int(close.code)}" if close is not None and close.code != 1005 else "no code"
        reason = f" ({shown(close.reason)!r})" if close is not None and close.reason else ""
        return Failure(
            Category.PROTOCOL_CLOSED,
            f"{self._channel.peer.authority} closed the WebSocket with {code}{reason} before the expected message.",
        )

    def _hung_up(self) -> Failure:
        return Failure(
            Category.PROTOCOL_CLOSED,
            f"{self._channel.peer.authority} hung up, without closing the WebSocket, before the expected message.",
        )
