"""The messages of Postgres, as bytes.

Source: the chapter "Frontend/Backend Protocol" of Postgres' documentation, version 3.0 of the protocol: a message is a
byte for its kind, its length in four bytes (which count themselves), and its fields; the first one has no kind.
"""

import struct

import msgspec

from monitord.domain.check import Category
from monitord.probes.answer import MAX_ANSWER_BYTES, fail, whole
from monitord.probes.channel import MAX_RECEIVED, Channel
from monitord.probes.foreign import not_spoken
from monitord.probes.trial import StepError, Trial

MAX_MESSAGES = 1000
"""In one conversation: a sign-in has about 20, a query 10; notices and notifications may come between."""

_PROTOCOL_3_0 = 196_608
_KINDS = frozenset(b"ACDEGHIKNRSTVWZcdnstv123")
_MAX_BYTES = 64 * 1024
"""Of any message but a row: the longest are errors with their context."""
_MAX_COLUMNS = 1664
"""A result has no more (MaxTupleAttributeNumber)."""
_OLD_ERRORS = (b"EFATAL", b"Ecould not")


class ServerError(msgspec.Struct, frozen=True):
    """An error that the server told (ErrorResponse)."""

    code: str
    """SQLSTATE: five letters or digits."""
    message: bytes


class Messages:
    """Reads the messages of one conversation, each whole, all of them bounded."""

    def __init__(self, channel: Channel, trial: Trial) -> None:
        self._channel = channel
        self._trial = trial
        self._count = 0

    async def next(self) -> tuple[bytes, bytes]:
        """Return the kind and the fields of the next message; raise ``StepError`` if it is none."""
        first = self._count == 0
        head = await self._channel.exactly(5)
        kind, size = head[:1], int.from_bytes(head[1:], "big", signed=True) - 4
        if head[0] not in _KINDS or size < 0 or (first and kind not in b"RENv"):
            raise StepError(not_spoken(self._channel, "Postgres", self._trial.excerpt if first else head))
        if kind == b"D":
            if size > MAX_RECEIVED:
                raise StepError(self._channel.too_much())
        elif size > _MAX_BYTES:
            if first and self._trial.excerpt.startswith(_OLD_ERRORS):
                # A postmaster that cannot even fork says so without a length, as protocol 2 did.
                raise fail(Category.PROTOCOL_REFUSED, f"{self._channel.peer.authority} cannot serve: it is overloaded.")
            raise StepError(not_spoken(self._channel, "Postgres", self._trial.excerpt if first else head))
        self._count += 1
        if self._count > MAX_MESSAGES:
            raise fail(
                Category.PROTOCOL_INVALID,
                f"{self._channel.peer.authority} sent more than {MAX_MESSAGES} messages where a few were due.",
            )
        return kind, await whole(self._channel, size)

    def malformed(self, what: str) -> StepError:
        """Return the error of a message that is not what the protocol says; ``what`` goes on after "it sent"."""
        return fail(
            Category.PROTOCOL_INVALID,
            f"{self._channel.peer.authority} does not keep to Postgres' protocol: it sent {what}.",
        )

    def error(self, body: bytes) -> ServerError:
        """Read an ErrorResponse."""
        fields = {part[:1]: part[1:] for part in reversed(body.split(b"\0")) if part}
        code = fields.get(b"C", b"").decode("latin-1")
        if not body.endswith(b"\0\0") or len(code) != 5 or not (code.isascii() and code.isalnum()):
            raise self.malformed("an error without a code")
        return ServerError(code, fields.get(b"M", b""))

    def first_column(self, row: bytes) -> bytes | None:
        """Return the first column of a DataRow, at most one byte more than is looked at; None for NULL."""
        count = int.from_bytes(row[:2], "big", signed=True)
        if len(row) < 2 or not 0 <= count <= _MAX_COLUMNS:
            raise self.malformed("a row without a count of columns")
        position, found = 2, None
        for column in range(count):
            if position + 4 > len(row):
                raise self.malformed("a row that is cut off")
            size = int.from_bytes(row[position : position + 4], "big", signed=True)
            position += 4
            if size < -1 or position + size > len(row):
                raise self.malformed("a column of an impossible length")
            if size >= 0:
                if column == 0:
                    found = row[position : position + min(size, MAX_ANSWER_BYTES + 1)]
                position += size
        if position != len(row):
            raise self.malformed("a row that is longer than its columns")
        return found


def startup(user: str, database: str) -> bytes:
    """Return the first message: who wants to talk with which database; an empty one means the user's own."""
    names = {"user": user, "database": database, "application_name": "monitord", "client_encoding": "UTF8"}
    fields = b"".join(_text(name) + _text(value) for name, value in names.items() if value)
    return struct.pack("!ii", len(fields) + 9, _PROTOCOL_3_0) + fields + b"\0"


def password(value: bytes) -> bytes:
    """Return an answer to a request for a password: the password itself, or its MD5, each ending in NUL."""
    return _message(b"p", value + b"\0")


def sasl_first(mechanism: str, data: bytes) -> bytes:
    """Return the choice of a SASL mechanism, with its first message."""
    return _message(b"p", _text(mechanism) + struct.pack("!i", len(data)) + data)


def sasl(data: bytes) -> bytes:
    """Return a further message of SASL."""
    return _message(b"p", data)


def simple(statements: str) -> bytes:
    """Return a simple query."""
    return _message(b"Q", _text(statements))


def one_row_of(statement: str) -> bytes:
    """Return an extended query: one statement, and a second one in the same text is the server's syntax error.

    Parse, Bind with all results as text, Execute for at most one row, and Sync.
    """
    return (
        _message(b"P", b"\0" + _text(statement) + struct.pack("!h", 0))
        + _message(b"B", b"\0\0" + struct.pack("!hhh", 0, 0, 0))
        + _message(b"E", b"\0" + struct.pack("!i", 1))
        + _message(b"S")
    )


COPY_FAIL = b"f\0\0\0\x0dmonitord\0"
TERMINATE = b"X\0\0\0\x04"


def _message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _text(text: str) -> bytes:
    return text.encode() + b"\0"
