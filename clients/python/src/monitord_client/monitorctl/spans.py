"""Lengths of time and moments, as people write and read them."""

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

_NANOS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|min|s|m|h|d|w)\s*", re.ASCII)
_LIMIT_S = 315_576_000_000  # google.protobuf.Duration: 10,000 years
_EXAMPLES = "such as 500ms, 30s, 1m, 1h30m or 7d"


def parse_span(text: str) -> int:
    """Return a length of time in nanoseconds. Raises ValueError with a sentence that says what would be right."""
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII) and float(text) != 0:
        raise ValueError(f"{text!r} has no unit: write {text}s for seconds, or {text}m for minutes")
    total, position = Fraction(0), 0
    while position < len(text) or not text:
        part = _PART.match(text, position)
        if part is None:
            if text == "0":
                return 0
            raise ValueError(f"{text!r} is not a length of time: write a number with a unit, {_EXAMPLES}")
        total += Fraction(part[1]) * _NANOS[part[2]]
        position = part.end()
    if total.denominator != 1:
        raise ValueError(f"{text!r} is finer than a nanosecond")
    if total > _LIMIT_S * _NANOS["s"]:
        raise ValueError(f"{text!r} is longer than 10,000 years")
    return int(total)


def span_text(nanos: int) -> str:
    """Return a length of time as ``parse_span`` reads it, exactly, in one unit: ``90s``, ``500ms``."""
    for unit in ("s", "ms", "us"):
        if nanos % _NANOS[unit] == 0:
            return f"{nanos // _NANOS[unit]}{unit}"
    return f"{nanos}ns"


def span_words(nanos: int) -> str:
    """Return a length of time as ``parse_span`` reads it, exactly, in the units of people: ``1h30m``, ``7d``."""
    if nanos <= 0 or nanos % _NANOS["ms"]:
        return span_text(nanos)
    rest, parts = nanos, []
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _NANOS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def parse_timedelta(text: str) -> timedelta:
    """Return a length of time, rounded down to microseconds. Raises ValueError as ``parse_span``."""
    try:
        return timedelta(microseconds=parse_span(text) // 1_000)
    except OverflowError:
        raise ValueError(f"{text!r} is too long") from None


def parse_moment(text: str, now: datetime) -> datetime:
    """Return a moment: how long ago (``2h``), or ISO 8601, local time unless it names a zone.

    Raises ValueError with a sentence that says what would be right.
    """
    try:
        return now - parse_timedelta(text)
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a moment: write how long ago (30m, 2h, 7d) or a date and time (2026-01-31, "
            "2026-01-31T14:30, 2026-01-31T14:30+02:00)"
        ) from None


def length_words(seconds: float) -> str:
    """Return a length of time to read, in its two biggest units: ``4 d 3 h``, ``12 min``, ``450 ms``."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms" if seconds > 0 else "0 s"
    rest, parts = round(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def age_words(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was, in its biggest unit: ``5 s ago``."""
    seconds = (now - moment).total_seconds()
    if seconds < 1:
        return "now"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def clock_words(moment: datetime, now: datetime | None = None) -> str:
    """Return a moment in local time: the time of day for today, date and time otherwise."""
    local = moment.astimezone()
    if now is not None and local.date() == now.astimezone().date():
        return local.strftime("%H:%M:%S")
    return local.strftime("%Y-%m-%d %H:%M:%S")


def milliseconds(value: float) -> str:
    """Return a response time to read: ``3.2 ms``, ``250 ms``, ``1.25 s``."""
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)
