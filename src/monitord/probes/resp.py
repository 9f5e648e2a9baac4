"""Replies of Redis, as text.

Source: "Redis serialization protocol specification" (RESP2, and the types of RESP3, which are read if a server sends
them, though they were not asked for). Types of unknown length ("streamed") are not in use, and refused.
"""

import re

import msgspec

from monitord.domain.check import Category
from monitord.probes.answer import MAX_ANSWER_BYTES, fail, whole
from monitord.probes.channel import Channel
from monitord.probes.foreign import not_spoken
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial

MAX_DEPTH = 8
MAX_ELEMENTS = 4096
"""Of all the arrays of one reply: a command of 1 KiB can't ask for as many."""
_MAX_PUSHES = 16

_LENGTH = re.compile(rb"-1|0|[1-9][0-9]{0,9}")
_INTEGER = re.compile(rb"[+-]?[0-9]{1,20}")
_DOUBLE = re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|inf|nan)")
_BIG = re.compile(rb"[+-]?[0-9]+")
_SCALARS = {b":": _INTEGER, b",": _DOUBLE, b"(": _BIG}
_BOOLEANS = {b"t": b"true", b"f": b"false"}
_STRINGS = b"$!="
_PER_ITEM = {b"*": 1, b"~": 1, b">": 1, b"%": 2, b"|": 2}
"""Values for each item that is counted: a map's items are pairs."""
_KINDS = frozenset(b"+-:$*_#,(!=%~>|")


class Reply(msgspec.Struct, frozen=True):
    """One reply."""

    value: bytes = b""
    """Its text: the elements of an array on a line each, nested ones as well."""
    is_error: bool = False
    is_nil: bool = False
    is_cut: bool = False
    """There is more, which was not read: nothing can be read after it."""

    @property
    def code(self) -> str:
        """The first word of an error, such as ``NOAUTH``."""
        return self.value.partition(b" ")[0].decode("latin-1")


class Replies:
    """Reads the replies of one conversation, all of them bounded."""

    def __init__(self, channel: Channel, trial: Trial) -> None:
        self._channel = channel
        self._trial = trial
        self._is_first = True

    async def next(self) -> Reply:
        """Return the next reply; raise ``StepError`` if it is none."""
        for _ in range(_MAX_PUSHES):
            kind, rest = await self._line()
            found = await _Value(self._channel).read(kind, rest)
            # Attributes and pushed messages are not what was asked for.
            if kind not in b"|>":
                return found
        raise malformed(self._channel, f"more than {_MAX_PUSHES} messages that nobody asked for")

    async def _line(self) -> tuple[bytes, bytes]:
        # A first byte that is of another protocol is told as soon as it is there: no line may ever follow.
        kind = await self._channel.exactly(1)
        if kind[0] not in _KINDS:
            said = self._trial.excerpt if self._is_first else kind
            raise StepError(not_spoken(self._channel, "Redis", said))
        self._is_first = False
        return kind, await self._channel.line()


class _Value:
    """Reads one value, with all that it is made of."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._room = MAX_ANSWER_BYTES
        self._elements = 0
        self._is_cut = False

    async def read(self, kind: bytes, rest: bytes) -> Reply:
        """Read the value that begins with ``kind`` and has ``rest`` on its first line."""
        lines: list[bytes] = []
        is_nil = await self._read(kind, rest, lines, 0)
        return Reply(b"\n".join(lines), is_error=kind in b"-!" and not is_nil, is_nil=is_nil, is_cut=self._is_cut)

    async def _read(self, kind: bytes, rest: bytes, lines: list[bytes], depth: int) -> bool:
        """Add the lines of a value; return whether it is nil."""
        if kind in b"+-":
            self._add(rest, lines)
        elif kind in _SCALARS:
            if _SCALARS[kind].fullmatch(rest) is None:
                raise malformed(self._channel, f"{shown(rest, 40)!r} as a number")
            self._add(rest, lines)
        elif kind == b"#":
            if rest not in _BOOLEANS:
                raise malformed(self._channel, f"{shown(rest, 40)!r} as a truth value")
            self._add(_BOOLEANS[rest], lines)
        elif kind == b"_":
            if rest:
                raise malformed(self._channel, f"{shown(rest, 40)!r} as nothing")
            return True
        else:
            return await self._read_sized(kind, rest, lines, depth)
        return False

    async def _read_sized(self, kind: bytes, rest: bytes, lines: list[bytes], depth: int) -> bool:
        if _LENGTH.fullmatch(rest) is None:
            raise malformed(self._channel, f"{shown(rest, 40)!r} as a length")
        size = int(rest)
        if size < 0:
            if kind not in b"$*":
                raise malformed(self._channel, "a negative length")
            return True
        if kind in _STRINGS:
            await self._string(kind, size, lines)
        else:
            await self._elements_of(kind, size * _PER_ITEM[kind], lines, depth)
        return False

    async def _string(self, kind: bytes, size: int, lines: list[bytes]) -> None:
        room = self._room + (4 if kind == b"=" else 0)
        text = await whole(self._channel, min(size, room))
        if size > room:
            self._is_cut = True
        elif await self._channel.exactly(2) != b"\r\n":
            raise malformed(self._channel, "a string that does not end where it should")
        if kind == b"=":
            # Three letters for its format come first: "txt:".
            if text[3:4] != b":":
                raise malformed(self._channel, "a text without its format")
            text = text[4:]
        self._add(text, lines)

    async def _elements_of(self, kind: bytes, count: int, lines: list[bytes], depth: int) -> None:
        self._elements += count
        if self._elements > MAX_ELEMENTS:
            raise malformed(self._channel, f"an array of more than {MAX_ELEMENTS} elements")
        if depth >= MAX_DEPTH:
            raise malformed(self._channel, f"arrays nested more than {MAX_DEPTH} deep")
        for _ in range(count):
            if self._is_cut:
                return
            line = await self._channel.line()
            if not line or line[0] not in _KINDS or line[:1] in b">|":
                raise malformed(self._channel, f"{shown(line, 40)!r} as an element")
            if await self._read(line[:1], line[1:], lines, depth + 1):
                self._add(b"", lines)

    def _add(self, text: bytes, lines: list[bytes]) -> None:
        if len(text) > self._room:
            text, self._is_cut = text[: self._room], True
        lines.append(text)
        # One more for the end of its line.
        self._room = max(0, self._room - len(text) - 1)


def malformed(channel: Channel, what: str) -> StepError:
    """Return the error of a reply that is not what the protocol says; ``what`` goes on after "it sent"."""
    return fail(
        Category.PROTOCOL_INVALID, f"{channel.peer.authority} does not keep to Redis' protocol: it sent {what}."
    )
