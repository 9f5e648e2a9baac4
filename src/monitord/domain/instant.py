"""Wall-clock instants as integers, so that grids of slots are exact and cost no objects.

An ``Instant`` counts whole microseconds since the Unix epoch (UTC), the resolution of Postgres'
``timestamptz``, so a value survives a trip through the database unchanged.
"""

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Instant: TypeAlias = int
Micros: TypeAlias = int

SECOND: Micros = 1_000_000
MINUTE: Micros = 60 * SECOND
HOUR: Micros = 60 * MINUTE
DAY: Micros = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_datetime(instant: Instant) -> datetime:
    """Return the instant as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=instant)


def from_datetime(moment: datetime) -> Instant:
    """Return an aware datetime as an instant."""
    return (moment - _EPOCH) // _MICROSECOND
