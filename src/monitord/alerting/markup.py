"""Texts of others, made safe for the markup and the limits of where they go (T19, I12).

Whatever a user or a target wrote is escaped character by character, so that a limit never cuts an escape in two, and
counted as the strictest vendor counts: in UTF-16 code units, of which an emoji has two.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from monitord.domain.notice import Notice, NoticeKind, clean
from monitord.domain.wording import digest_line, facts

Marks = Mapping[str, str]
"""What stands for a character that the markup would take for its own."""

NONE: Marks = {}
_LINK = re.compile(r"https?://[^\s<>\"'`|\\^{}()\[\]]+")
_GOOD = frozenset({NoticeKind.UP, NoticeKind.OUTAGE_OVER, NoticeKind.SLOW_OVER, NoticeKind.TEST})
_BAD = frozenset({NoticeKind.DOWN, NoticeKind.REMINDER, NoticeKind.ESCALATION})


def units(text: str) -> int:
    """Return the length of a text in UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def fit(text: str, limit: int, marks: Marks = NONE) -> str:
    """Return a text on one line, escaped, of at most ``limit`` code units; it ends in ``…`` where it was cut."""
    pieces = [marks.get(char, char) for char in clean(text, limit + 1)]
    whole = "".join(pieces)
    if units(whole) <= limit:
        return whole
    sizes = [units(piece) for piece in pieces]
    kept, left = 0, limit - 1
    while sizes[kept] <= left:
        left -= sizes[kept]
        kept += 1
    return "".join(pieces[:kept]) + "…"


def join_within(lines: Iterable[str], limit: int) -> str:
    """Return as many whole lines as fit into ``limit`` code units; ``…`` stands for the rest."""
    kept: list[str] = []
    used = 0
    for line in lines:
        if used + units(line) + 3 > limit:  # its own line break, and the one and the sign that may have to follow
            kept.append("…")
            break
        used += units(line) + 1
        kept.append(line)
    return "\n".join(kept)


def shown_facts(notice: Notice, limit: int, marks: Marks = NONE) -> list[tuple[str, str]]:
    """Return the facts of a notice, each value of at most ``limit`` code units; those that are empty are left out."""
    return [(label, value) for label, raw in facts(notice) if (value := fit(raw, limit, marks)).strip()]


def changes(notice: Notice, limit: int, marks: Marks = NONE) -> list[str]:
    """Return the changes of a digest, a line each of at most ``limit`` code units, and how many more there are."""
    lines = [fit(digest_line(line, notice.time_zone), limit, marks) for line in notice.lines]
    return [*lines, f"… {notice.more_lines} more"] if notice.more_lines else lines


def web_link(url: str, limit: int = 2000, marks: Marks = NONE) -> str:
    """Return a URL of the web, escaped; empty: it is none, or has more than ``limit`` characters then.

    Only ``&`` can need it: a URL with any other sign that some markup takes for its own counts as none.
    """
    if len(url) > limit or not url.isascii() or not _LINK.fullmatch(url):
        return ""
    escaped = url.replace("&", marks.get("&", "&"))
    return escaped if len(escaped) <= limit else ""


def coloured(notice: Notice, *, bad: str, warning: str, good: str) -> str:
    """Return what a vendor calls the colour of such news."""
    if notice.kind in _BAD:
        return bad
    return good if notice.kind in _GOOD else warning


def shrink(parts: Sequence[str], render: Callable[[Sequence[str]], bytes], limit: int) -> bytes:
    """Return what ``render`` makes of as many of the first parts as fit into ``limit`` bytes."""
    count = len(parts)
    while len(whole := render(parts[:count])) > limit and count:
        count -= max(1, count // 8)
    return whole
