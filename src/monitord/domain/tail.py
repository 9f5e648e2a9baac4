"""What a tail of the check log asks for, and what it is told."""

from enum import IntEnum
from typing import TypeAlias

import msgspec

from monitord.domain.instant import Instant
from monitord.domain.log import LogEntry


class FromNow(msgspec.Struct, frozen=True):
    """Begin with the next row that is stored."""


class FromCursor(msgspec.Struct, frozen=True):
    """Go on after the event that carried this cursor."""

    cursor: str


class FromInstant(msgspec.Struct, frozen=True):
    """Begin at the first row stored whose check began at or after this."""

    at: Instant


class FromLast(msgspec.Struct, frozen=True):
    """Begin with the last ``count`` rows already stored, 1 to 10,000."""

    count: int


TailStart: TypeAlias = FromNow | FromCursor | FromInstant | FromLast


class TailEndReason(IntEnum):
    """Why the server ends a tail. The numbers are sent: never reuse one."""

    SHUTDOWN = 1
    UNAUTHENTICATED = 2
    STORAGE_UNAVAILABLE = 3


class TailRow(msgspec.Struct, frozen=True):
    """A row was stored."""

    cursor: str
    entry: LogEntry


class TailHeartbeat(msgspec.Struct, frozen=True):
    """Nothing new: the reader stands at the end of the log."""

    cursor: str


class TailGap(msgspec.Struct, frozen=True):
    """Rows between the cursor before and this one can't be sent any more."""

    cursor: str
    message: str
    """A sentence that says why."""


class TailEnd(msgspec.Struct, frozen=True):
    """The last event: come back with the cursor."""

    cursor: str
    reason: TailEndReason


TailEvent: TypeAlias = TailRow | TailHeartbeat | TailGap | TailEnd
