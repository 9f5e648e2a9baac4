"""The words of a notice that every channel shares: headlines, facts, moments and lengths of time. Plain text."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from monitord.domain.instant import Instant, to_datetime
from monitord.domain.notice import Line, Notice, NoticeKind

_BADGES = {
    NoticeKind.DOWN: "DOWN",
    NoticeKind.UP: "UP",
    NoticeKind.OUTAGE_OVER: "WAS DOWN",
    NoticeKind.DEGRADED: "DEGRADED",
    NoticeKind.SLOW: "SLOW",
    NoticeKind.SLOW_OVER: "UP",
    NoticeKind.CERTIFICATE: "CERTIFICATE",
    NoticeKind.FAULTED: "FAULTED",
    NoticeKind.REMINDER: "STILL DOWN",
    NoticeKind.ESCALATION: "STILL DOWN",
    NoticeKind.DIGEST: "DIGEST",
    NoticeKind.OPERATOR: "MONITORD",
    NoticeKind.TEST: "TEST",
    NoticeKind.CONFIRMATION: "CONFIRM",
}
_DOWN = frozenset({NoticeKind.DOWN, NoticeKind.REMINDER, NoticeKind.ESCALATION, NoticeKind.FAULTED})
_RESOLVED = frozenset({NoticeKind.UP, NoticeKind.OUTAGE_OVER, NoticeKind.SLOW_OVER})


def badge(notice: Notice) -> str:
    """Return the one or two words that say what kind of news this is, in capitals."""
    return _BADGES[notice.kind]


def headline(notice: Notice) -> str:
    """Return the news in a line, as a mail's subject: ``[DOWN] name - reason``."""
    return f"[{badge(notice)}] {_news(notice)}"


def _news(notice: Notice) -> str:
    if notice.kind is NoticeKind.DIGEST:
        return _count(notice)
    if notice.kind is NoticeKind.CONFIRMATION:
        return "Do you want alerts sent to this address?"
    name = notice.subject.name if notice.subject is not None else ""
    reason = _reason(notice)
    return f"{name} - {reason}" if name and reason else name or reason


def _reason(notice: Notice) -> str:
    lasted = "" if notice.duration_s is None else duration(notice.duration_s)
    match notice.kind:
        case NoticeKind.UP if lasted:
            return f"works again after {lasted}"
        case NoticeKind.UP:
            return "works again"
        case NoticeKind.OUTAGE_OVER:
            return f"was down for {lasted}, and works again"
        case NoticeKind.REMINDER:
            return f"down for {lasted}: {notice.message}"
        case NoticeKind.ESCALATION:
            return f"down for {lasted}, not acknowledged: {notice.message}"
        case _:
            return notice.message


def _count(notice: Notice) -> str:
    if notice.more_lines:
        return f"{len(notice.lines) + notice.more_lines} monitors changed"
    kinds = [line.kind for line in notice.lines]
    down, up = sum(kind in _DOWN for kind in kinds), sum(kind in _RESOLVED for kind in kinds)
    counts = [(down, "down"), (up, "well again"), (len(kinds) - down - up, "with other news")]
    first, *others = [(count, what) for count, what in counts if count] or [(0, "changed")]
    monitors = "1 monitor" if first[0] == 1 else f"{first[0]} monitors"
    return ", ".join([f"{monitors} {first[1]}", *(f"{count} {what}" for count, what in others)])


def facts(notice: Notice) -> Iterator[tuple[str, str]]:
    """Yield what there is to know, as pairs of a label and a value, the most telling first."""
    if notice.subject is not None:
        yield "Monitor", notice.subject.name
        yield "Target", notice.subject.target
    if notice.message and notice.kind not in _RESOLVED:
        yield "Reason", notice.message
    elif notice.message:
        yield "It was", notice.message
    if notice.category:
        yield "Category", notice.category
    yield from _times(notice)
    if notice.status_code is not None:
        yield "Status code", str(notice.status_code)
    if notice.response_ms is not None:
        yield "Response time", milliseconds(notice.response_ms)
    if notice.phases:
        yield "Phases", ", ".join(f"{phase.name} {milliseconds(phase.ms)}" for phase in notice.phases)


def _times(notice: Notice) -> Iterator[tuple[str, str]]:
    if notice.since:
        yield "Since", moment(notice.since, notice.time_zone)
    if notice.kind in _RESOLVED:
        yield "Until", moment(notice.at, notice.time_zone)
    elif not notice.since or notice.since != notice.at:
        yield "At", moment(notice.at, notice.time_zone)
    if notice.duration_s is not None:
        yield "Lasted" if notice.kind in _RESOLVED else "So far", duration(notice.duration_s)
    if notice.expires_at:
        yield "Expires", moment(notice.expires_at, notice.time_zone)


def digest_line(line: Line, time_zone: str) -> str:
    """Return one change of a digest as a line."""
    news = f"{_BADGES[line.kind]} {line.subject.name}"
    return f"{news} ({moment(line.at, time_zone)})" + (f": {line.message}" if line.message else "")


def moment(at: Instant, time_zone: str) -> str:
    """Return a moment by the wall clock of a place, with the zone's name: ``2026-11-27 19:05:35 CET``.

    ``time_zone`` is a name that was validated when it was stored.
    """
    return to_datetime(at).astimezone(ZoneInfo(time_zone)).strftime("%Y-%m-%d %H:%M:%S %Z")


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units: ``45 s``, ``3 min 20 s``, ``2 h``, ``4 d 6 h``."""
    rest = max(round(seconds), 0)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def milliseconds(ms: float) -> str:
    """Return a length of time of a check: ``0.4 ms``, ``123 ms``, ``1.23 s``."""
    if ms >= 1000:
        return f"{ms / 1000:.2f} s"
    return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
