"""What a time zone may be."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from monitord.domain.errors import Violation
from monitord.domain.rules.wording import quoted


def of_zone(name: str, field: str) -> Iterator[Violation]:
    """Yield what is wrong with the name of a time zone."""
    if zone_of(name) is None:
        yield Violation(
            field, f"must be a name of the IANA time zone database such as Europe/Berlin, not {quoted(name)}"
        )


def zone_of(name: str) -> ZoneInfo | None:
    """Return the zone of a name; None if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
