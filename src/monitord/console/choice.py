"""Which console a process gets."""

import os
from collections.abc import Callable
from typing import Literal, TextIO

from monitord.console.feed import Console
from monitord.console.lines import Lines
from monitord.domain.instant import Instant


def console_for(
    mode: Literal["auto", "table", "lines", "none"], out: TextIO, now: Callable[[], Instant]
) -> Console | None:
    """Return the console for ``out``; None for ``none``. ``auto`` is a table in a terminal, else lines."""
    if mode == "none":
        return None
    # A terminal that cannot move its cursor shows lines (the convention of terminfo).
    can_draw = out.isatty() and os.environ.get("TERM") != "dumb"
    if mode == "table" or (mode == "auto" and can_draw):
        # rich takes a tenth of a second to import: only where it is used.
        from monitord.console.table import LiveTable

        return LiveTable(out, now)
    return Lines(out, colour=can_draw and not os.environ.get("NO_COLOR"))
