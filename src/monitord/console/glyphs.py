"""The signs and colours for verdicts and statuses, also for terminals that know ASCII alone."""

from typing import NamedTuple, TextIO

from monitord.domain.check import Verdict
from monitord.domain.health import Status

COLOURS = {
    Verdict.UP: "green",
    Verdict.DEGRADED: "yellow",
    Verdict.DOWN: "red",
    Verdict.INCONCLUSIVE: "magenta",
    Verdict.BLOCKED: "magenta",
    Verdict.UNREACHABLE: "red",
    None: "bright_black",
}
"""By verdict; None is a gap."""

STATUS_COLOURS = {
    Status.UP: "green",
    Status.DEGRADED: "yellow",
    Status.DOWN: "bold red",
    Status.FAULTED: "bold magenta",
    Status.UNKNOWN: "magenta",
    Status.UNREACHABLE: "red",
}


class Glyphs(NamedTuple):
    """One set of signs."""

    verdicts: dict[Verdict | None, str]
    blocks: dict[Verdict | None, str]
    """For a strip of results: as wide as each other."""
    arrow: str
    ellipsis: str


UNICODE = Glyphs(
    verdicts={
        Verdict.UP: "✓",
        Verdict.DEGRADED: "~",
        Verdict.DOWN: "✗",
        Verdict.INCONCLUSIVE: "?",
        Verdict.BLOCKED: "!",
        Verdict.UNREACHABLE: "^",
        None: "·",
    },
    blocks=dict.fromkeys((*Verdict, None), "■"),
    arrow="→",
    ellipsis="…",
)

_LETTERS: dict[Verdict | None, str] = {
    Verdict.UP: "+",
    Verdict.DEGRADED: "~",
    Verdict.DOWN: "x",
    Verdict.INCONCLUSIVE: "?",
    Verdict.BLOCKED: "!",
    Verdict.UNREACHABLE: "^",
    None: ".",
}
ASCII = Glyphs(verdicts=_LETTERS, blocks=_LETTERS, arrow="->", ellipsis="...")


def glyphs_for(out: TextIO) -> Glyphs:
    """Return the signs that ``out`` can encode."""
    text = "".join(UNICODE.verdicts.values()) + "■→…"
    try:
        text.encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def printable(text: str) -> str:
    """Return the text without what could steer a terminal (T19)."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
