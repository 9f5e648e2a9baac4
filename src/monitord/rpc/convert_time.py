"""Timestamps and Durations, exactly: what can't be held exactly is refused, never rounded in silence."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from monitord.domain.errors import Violation
from monitord.domain.instant import SECOND, Instant, Micros

_FIRST_SECOND = -62_135_596_800
"""0001-01-01T00:00:00Z, where Timestamps begin."""
_LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z, where they end."""
_NEVER: Instant = 32_503_680_000 * SECOND
"""3000-01-01T00:00:00Z: later than any row, and leaves room to reckon with before dates end."""
_NANOS_PER_SECOND = 1_000_000_000
_NANOS_PER_MILLI = 1_000_000
_LONGEST_DURATION_S = 315_576_000_000
"""10,000 years, where Durations end."""


def timestamp_pb(instant: Instant) -> Timestamp:
    """Return an instant as a Timestamp."""
    return Timestamp(seconds=instant // SECOND, nanos=instant % SECOND * 1000)


def duration_pb(length: Micros) -> Duration:
    """Return a length of time, not negative, as a Duration."""
    return Duration(seconds=length // SECOND, nanos=length % SECOND * 1000)


def millis_pb(millis: int) -> Duration:
    """Return milliseconds, not negative, as a Duration."""
    return Duration(seconds=millis // 1000, nanos=millis % 1000 * _NANOS_PER_MILLI)


def bound_of(message: Timestamp, field: str, found: list[Violation]) -> Instant:
    """Return a Timestamp that bounds a window of the log as an instant; add to ``found`` what is wrong with it.

    Instants are whole microseconds, so "at or after" and "before" mean the same for a fraction of one as for the
    next whole one. No row is older than 1970 or newer than 2999, so bounds beyond mean the same as those.
    """
    if not (_FIRST_SECOND <= message.seconds <= _LAST_SECOND and 0 <= message.nanos < _NANOS_PER_SECOND):
        found.append(Violation(field, "must be a time from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z"))
        return 0
    return min(max(message.seconds * SECOND - (-message.nanos // 1000), 0), _NEVER)


def seconds_of(message: Duration, field: str, found: list[Violation]) -> int | None:
    """Return a Duration as whole seconds, which may be negative; None where ``found`` tells why not."""
    if not _is_duration(message) or message.nanos:
        found.append(Violation(field, f"must be a whole number of seconds, not {_spelled(message)}"))
        return None
    return message.seconds


def millis_of(message: Duration, field: str, found: list[Violation]) -> int | None:
    """Return a Duration as whole milliseconds, which may be negative; None where ``found`` tells why not."""
    if not _is_duration(message) or message.nanos % _NANOS_PER_MILLI:
        found.append(Violation(field, f"must be a whole number of milliseconds, not {_spelled(message)}"))
        return None
    return message.seconds * 1000 + message.nanos // _NANOS_PER_MILLI


def _is_duration(message: Duration) -> bool:
    signs_agree = message.seconds == 0 or message.nanos == 0 or (message.seconds < 0) == (message.nanos < 0)
    return signs_agree and abs(message.nanos) < _NANOS_PER_SECOND and abs(message.seconds) <= _LONGEST_DURATION_S


def _spelled(message: Duration) -> str:
    return f"{message.seconds} s and {message.nanos} ns"
