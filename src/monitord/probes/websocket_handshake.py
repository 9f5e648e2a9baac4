"""The handshake of a WebSocket (RFC 6455, 4): our request, and what the answer to it says."""

import re
from collections.abc import Sequence

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHeader, InvalidMessage, InvalidUpgrade, NegotiationError
from websockets.http11 import Response as Answer
from websockets.protocol import State

from monitord.domain.check import Category
from monitord.domain.kinds.websocket import WebsocketCheck
from monitord.domain.target import Target
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure
from monitord.probes.http_response import MAX_HEAD_BYTES, MAX_INTERIM, Response
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial

_PREFIX = b"HTTP/1."
_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})( ?)")
_HEAD_END = re.compile(rb"\n\r?\n")
_MAX_HEADER_LINES = 40
_OURS = frozenset({"host", "connection", "upgrade"})


def request_of(check: WebsocketCheck, target: Target, key: str, user_agent: str) -> bytes:
    """Return the request, in our own words: what is sent is exactly what was parsed and judged (T3)."""
    given = {header.name.lower(): header.value for header in check.headers}
    lines = [
        f"GET {target.path_query} HTTP/1.1",
        f"Host: {given.get('host') or target.authority}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    if check.subprotocols:
        lines.append(f"Sec-WebSocket-Protocol: {', '.join(check.subprotocols)}")
    if "user-agent" not in given:
        lines.append(f"User-Agent: {user_agent}")
    lines += [f"{header.name}: {header.value}" for header in check.headers if header.name.lower() not in _OURS]
    return "\r\n".join([*lines, "", ""]).encode()


async def receive_answer(channel: Channel, trial: Trial) -> tuple[bytes, bytes]:
    """Read up to the answer that says 101; return its head, and what came with it.

    Raises:
        StepError: there is no such answer.
    """
    where, buffer = channel.peer.authority, b""
    for _ in range(MAX_INTERIM + 1):
        head, buffer = await _receive_head(channel, buffer)
        line = _STATUS_LINE.match(head)
        status = int(line[2]) if line is not None else 0
        if status == 101 and line is not None:
            trial.status_code, trial.header_lines = status, _lines(head)
            if line[1] != b"1":
                raise StepError(_invalid(where, "agreed in HTTP/1.0, which knows no WebSocket"))
            # Some leave out the space before the reason that they do not give.
            return (head if line[3] else head[: line.end()] + b" " + head[line.end() :]), buffer
        if not 100 <= status < 200:
            trial.excerpt = buffer
            raise StepError(_refusal(where, head, trial))
    raise StepError(_invalid(where, f"sent more than {MAX_INTERIM} interim (1xx) answers and no final one"))


async def _receive_head(channel: Channel, buffer: bytes) -> tuple[bytes, bytes]:
    where, scanned = channel.peer.authority, 0
    while (end := _HEAD_END.search(buffer, scanned)) is None:
        if buffer[: len(_PREFIX)] != _PREFIX[: len(buffer)]:
            break
        if len(buffer) > MAX_HEAD_BYTES:
            raise StepError(
                Failure(
                    Category.HTTP_HEADERS_TOO_LARGE,
                    f"The headers of the answer of {where} are longer than {MAX_HEAD_BYTES // 1024} KiB.",
                )
            )
        scanned = max(0, len(buffer) - 2)
        piece = await channel.receive()
        if not piece:
            raise StepError(channel.closed())
        buffer += piece
    if not buffer.startswith(_PREFIX) or end is None:
        raise StepError(_invalid(where, f"does not speak HTTP/1.1: its answer begins with {shown(buffer[:32])!r}"))
    return buffer[: end.end()], buffer[end.end() :]


def _refusal(where: str, head: bytes, trial: Trial) -> Failure:
    """Return the failure of a server whose answer is not 101."""
    response = Response(head_request=True, max_body_bytes=1)
    failure = response.feed(head)
    if failure is not None or response.status is None:
        return _invalid(where, f"answered the handshake with what is no HTTP/1.1: {shown(head[:64])!r}")
    trial.status_code, trial.header_lines = response.status, _lines(response.head)
    to = ""
    if response.redirects:
        location = shown(response.field(b"location")[0])
        to = f" It points to {location!r}; redirects of a WebSocket are not followed."
    return Failure(
        Category.HTTP_STATUS,
        f"{where} did not open a WebSocket: its answer has status {response.status}; 101 is expected.{to}",
    )


def judge(protocol: ClientProtocol, subprotocols: Sequence[str], where: str) -> Failure | None:
    """Judge the answer that ``protocol`` has taken: None if the WebSocket is open."""
    error = protocol.handshake_exc
    if error is None and protocol.state is State.CONNECTING:
        return _invalid(where, "answered the handshake with headers that have no end")
    if error is None:
        if subprotocols and protocol.subprotocol is None:
            return Failure(
                Category.PROTOCOL_REFUSED,
                f"{where} chose none of the subprotocols that were offered: {shown(', '.join(subprotocols))}.",
            )
        return None
    if isinstance(error, NegotiationError):
        return _disagreement(protocol, subprotocols, where)
    if isinstance(error, InvalidMessage):
        return _invalid(
            where, f"answered the handshake with headers that can't be read ({shown(str(error.__cause__))})"
        )
    if isinstance(error, InvalidHeader):
        what = f"has the header {error.name}: {shown(error.value)!r}" if error.value else f"has no {error.name}"
        wrong = "" if isinstance(error, InvalidUpgrade) or not error.value else ", which is wrong"
        return _invalid(where, f"did not open a WebSocket as RFC 6455 asks: its answer {what}{wrong}")
    return _invalid(where, f"answered the handshake wrongly: {shown(str(error))}")


def _disagreement(protocol: ClientProtocol, subprotocols: Sequence[str], where: str) -> Failure:
    answer = next((each for each in protocol.events_received() if isinstance(each, Answer)), None)
    chosen = ", ".join(answer.headers.get_all("Sec-WebSocket-Protocol")) if answer is not None else ""
    if answer is not None and "Sec-WebSocket-Extensions" in answer.headers:
        found = shown(", ".join(answer.headers.get_all("Sec-WebSocket-Extensions")))
        return _invalid(where, f"agreed to the extension {found!r}, which was not offered")
    if not subprotocols:
        return _invalid(where, f"chose the subprotocol {shown(chosen)!r}, where none was offered")
    return Failure(
        Category.PROTOCOL_REFUSED,
        f"{where} chose the subprotocol {shown(chosen)!r}; offered was {shown(', '.join(subprotocols))}.",
    )


def _lines(head: bytes) -> tuple[str, ...]:
    lines = (line.rstrip(b"\r") for line in head.split(b"\n", _MAX_HEADER_LINES)[:_MAX_HEADER_LINES])
    return tuple(shown(line) for line in lines if line)


def _invalid(where: str, what: str) -> Failure:
    return Failure(Category.PROTOCOL_INVALID, f"{where} {what}.")
