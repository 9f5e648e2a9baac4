"""A server of HTTP/2 that behaves, on h2; and the raw frames for those that do not."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError

from tests.support.targets import Peer, Script

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS = 4
STATUS_200 = b"\x88"
"""``:status: 200`` by its index in HPACK's static table."""

Headers = list[tuple[str, str]]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """One frame (RFC 9113, 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header field without indexing or Huffman (RFC 7541, 6.2.2); up to 126 bytes each."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def goaway(code: int = 0, last: int = 0, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, payload=last.to_bytes(4, "big") + code.to_bytes(4, "big") + debug)


@dataclass
class Asked:
    """One request, as it came."""

    headers: Headers
    body: bytes = b""

    def __getitem__(self, name: str) -> str:
        return dict(self.headers)[name]


@dataclass
class Answer:
    status: int | str = 200
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    trailers: Headers = field(default_factory=list)
    interim: Iterable[int] = ()


class Http2Site:
    """Answers each request by a function; remembers what was asked, and how much of its bodies it could send."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.asked: list[Asked] = []
        self.sent = 0
        self._answer = answer

    async def __call__(self, peer: Peer) -> None:
        connection = H2Connection(H2Configuration(client_side=False, validate_outbound_headers=False))
        connection.initiate_connection()
        await peer.send(connection.data_to_send())
        requests: dict[int, Asked] = {}
        bodies: dict[int, tuple[bytes, Headers]] = {}
        with contextlib.suppress(ProtocolError):
            while data := await peer.reader.read(65536):
                for event in connection.receive_data(data):
                    self._take(connection, event, requests, bodies)
                for stream in list(bodies):
                    self._send_body(connection, stream, bodies)
                await peer.send(connection.data_to_send())

    def _take(
        self,
        connection: H2Connection,
        event: events.Event,
        requests: dict[int, Asked],
        bodies: dict[int, tuple[bytes, Headers]],
    ) -> None:
        if isinstance(event, events.RequestReceived):
            found = [(str(name), str(value)) for name, value in decoded(event.headers or ())]
            requests[event.stream_id or 0] = Asked(found)
        elif isinstance(event, events.DataReceived):
            stream = event.stream_id or 0
            requests[stream].body += bytes(event.data or b"")
            connection.acknowledge_received_data(event.flow_controlled_length or 0, stream)
        elif isinstance(event, events.StreamEnded):
            stream = event.stream_id or 0
            asked = requests.pop(stream)
            self.asked.append(asked)
            answer = self._answer(asked)
            for status in answer.interim:
                connection.send_headers(stream, [(":status", str(status))])
            is_whole = not answer.body and not answer.trailers
            connection.send_headers(stream, [(":status", str(answer.status)), *answer.headers], end_stream=is_whole)
            if not is_whole:
                bodies[stream] = (answer.body, answer.trailers)

    def _send_body(self, connection: H2Connection, stream: int, bodies: dict[int, tuple[bytes, Headers]]) -> None:
        body, trailers = bodies.pop(stream)
        while body and (room := min(connection.local_flow_control_window(stream), 16384)) > 0:
            piece, body = body[:room], body[room:]
            self.sent += len(piece)
            connection.send_data(stream, piece, end_stream=not body and not trailers)
        if body:
            bodies[stream] = (body, trailers)
        elif trailers:
            connection.send_headers(stream, trailers, end_stream=True)


def decoded(headers: Iterable[tuple[str | bytes, str | bytes]]) -> Headers:
    return [
        (n.decode() if isinstance(n, bytes) else n, v.decode("utf-8", "replace") if isinstance(v, bytes) else v)
        for n, v in headers
    ]


async def request(peer: Peer) -> None:
    """Read the preface of a client, and what came with it."""
    await peer.reader.readexactly(len(PREFACE))
    await peer.reader.read(65536)


def raw(*parts: bytes, then: str = "close", settings: bool = True) -> Script:
    """Read a request; send SETTINGS and the parts; then ``close``, ``reset`` or stay in ``silence``."""

    async def script(peer: Peer) -> None:
        await request(peer)
        if settings:
            await peer.send(frame(SETTINGS))
        for part in parts:
            await peer.send(part)
        if then == "reset":
            peer.reset()
        elif then == "silence":
            await peer.silence()

    return script


def endless(flood: bytes, first: bytes = b"", every_s: float = 0.0) -> Script:
    """Read a request; send SETTINGS, ``first``, and ``flood`` again and again."""

    async def script(peer: Peer) -> None:
        await request(peer)
        await peer.send(frame(SETTINGS) + first)
        while not peer.writer.is_closing():
            await peer.send(flood)
            await asyncio.sleep(every_s)

    return script
