"""Between Python's moments and protobuf's."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(moment: datetime | None) -> Timestamp | None:
    """Return a moment as protobuf has it. Raises ValueError for one without a time zone: it could be any of 38."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone: use datetime.now(UTC), or .astimezone()")
    result = Timestamp()
    result.FromDatetime(moment)
    return result


def moment_of(time: Timestamp) -> datetime:
    """Return a protobuf time in UTC, cut to microseconds."""
    return time.ToDatetime(tzinfo=UTC)


def duration(length: timedelta | float | None) -> Duration | None:
    """Return a length of time, a timedelta or a number of seconds, as protobuf has it."""
    if length is None:
        return None
    result = Duration()
    result.FromTimedelta(length if isinstance(length, timedelta) else timedelta(seconds=length))
    return result
