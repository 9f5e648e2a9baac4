"""The heads of messages that pass the browser's proxy, read strictly and written anew (T3, T5).

What is sent on is made from what was understood, never copied: there is nothing in which a server could read another
request than the one that was judged. RFC 9112 for the syntax, RFC 9110, 7.6 for what a proxy passes on.
"""

import base64
import hmac
import re

import msgspec

from monitord.domain.target import InvalidTargetError, Target, parse_server, resolve_redirect

MAX_HEAD_BYTES = 64 * 1024

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105
_REQUEST = re.compile(rf"({_TOKEN}) ([\x21-\x7e]+) HTTP/1\.1".encode())
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n\x00]*)?")
_FIELD = re.compile(rf"({_TOKEN}):[ \t]*([^\r\n\x00]*?)[ \t]*".encode(), re.DOTALL)
_LENGTH = re.compile(rb"[0-9]{1,15}")
_HOP = {b"connection", b"proxy-connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"proxy-authorization"}

_NOWHERE = Target(scheme="http", host="nowhere.invalid", port=80, path_query="/")

Fields = list[tuple[bytes, bytes]]


class BadHeadError(ValueError):
    """It is no head that we understand, or one that we don't pass on."""


class Request(msgspec.Struct, frozen=True):
    """What a browser asks its proxy for."""

    host: str
    """In its canonical form."""
    port: int
    authorised: bool
    """It carries the credential."""
    head: bytes = b""
    """What to send on; empty: this is a CONNECT."""
    body_bytes: int = 0
    """How much follows."""


def credential(password: str) -> bytes:
    """Return the value of ``Proxy-Authorization`` for a password (RFC 7617)."""
    return b"Basic " + base64.b64encode(f"shot:{password}".encode())


def read_request(head: bytes, expected: bytes) -> Request:
    """Read a request, its empty line included. Raises BadHeadError."""
    start, fields = _split(head)
    match = _REQUEST.fullmatch(start)
    if match is None:
        raise BadHeadError("no request of HTTP/1.1")
    method, target = match[1], match[2].decode()
    given = [value for name, value in fields if name == b"proxy-authorization"]
    authorised = len(given) == 1 and hmac.compare_digest(given[0], expected)
    try:
        if method == b"CONNECT":
            endpoint = parse_server(target, 0)  # 0 is no port: one has to be given
            return Request(endpoint.host, endpoint.port, authorised)
        parsed = resolve_redirect(_NOWHERE, target)
    except InvalidTargetError as error:
        raise BadHeadError(str(error)) from None
    if not target.lower().startswith("http://"):  # https comes in a tunnel, and there is nothing else (T4)
        raise BadHeadError("only http is asked for in the clear")
    lines = [method + b" " + parsed.path_query.encode() + b" HTTP/1.1", b"Host: " + parsed.authority.encode()]
    lines += [
        name + b": " + value for name, value in fields if name not in _HOP and name not in (b"host", b"content-length")
    ]
    length = _length(fields)
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    lines += [b"Connection: close", b"", b""]
    return Request(parsed.host, parsed.port, authorised, b"\r\n".join(lines), length or 0)


def read_answer(head: bytes) -> tuple[int, bytes]:
    """Return the status of an answer, and the head to give to the browser. Raises BadHeadError."""
    start, fields = _split(head)
    match = _STATUS.fullmatch(start)
    if match is None:
        raise BadHeadError("no answer of HTTP/1.x")
    lines = [start, *(name + b": " + value for name, value in fields if name not in _HOP)]
    return int(match[1]), b"\r\n".join([*lines, b"Connection: close", b"", b""])


def _split(head: bytes) -> tuple[bytes, Fields]:
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    fields: Fields = []
    for line in lines[1:]:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise BadHeadError("a header line that is none")
        fields.append((match[1].lower(), match[2]))
    return lines[0], fields


def _length(fields: Fields) -> int | None:
    """Return how long a request's body is. One whose end two parsers could see in two places is refused."""
    if any(name == b"transfer-encoding" for name, _ in fields):
        raise BadHeadError("a body of unknown length")
    lengths = {value for name, value in fields if name == b"content-length"}
    if not lengths:
        return None
    if len(lengths) > 1 or not _LENGTH.fullmatch(value := lengths.pop()):
        raise BadHeadError("no length of a body")
    return int(value)
