"""A live table for the person at the terminal: the monitors that need looking at, and how monitord itself fares."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import groupby
from time import perf_counter
from typing import TextIO

import msgspec
import structlog
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from monitord.console.board import STRIP, Board, Row
from monitord.console.feed import Commit
from monitord.console.glyphs import COLOURS, STATUS_COLOURS, Glyphs, glyphs_for
from monitord.console.offload import Offload
from monitord.domain.check import Verdict
from monitord.domain.health import Status
from monitord.domain.instant import SECOND, Instant, Micros
from monitord.domain.monitor import Assignment

PERIOD_S = 0.25

SHARE = 0.1
"""At most this part of the time goes into drawing, however slow the terminal is."""

_HEADER_ROWS = 6

_log = structlog.get_logger(__name__)


class LiveTable:
    """Draws a table at most four times a second, in a thread; the event loop only keeps its rows."""

    def __init__(self, out: TextIO, now: Callable[[], Instant]) -> None:
        self._now = now
        self._glyphs = glyphs_for(out)
        self._board = Board()
        self._console = Console(file=out)

    def adopt(self, assignment: Assignment) -> None:
        """Begin to show a monitor, or show its new configuration."""
        self._board.adopt(assignment, self._now())

    def forget(self, monitor_id: int) -> None:
        """Show a monitor no more."""
        self._board.forget(monitor_id)

    def committed(self, commit: Commit) -> None:
        """Take what was stored."""
        self._board.committed(commit)

    async def run(self) -> None:
        """Draw until cancelled. What was drawn last stays on the terminal."""
        # Logs that go to the same terminal have to appear above the table, not in it.
        live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),
            vertical_overflow="crop",
        )
        offload = Offload("console")
        live.start()
        try:
            while True:
                began = perf_counter()
                picture = self.picture(self._console.size.height - _HEADER_ROWS)
                await offload(partial(live.update, picture, refresh=True))
                await asyncio.sleep(max(PERIOD_S, (perf_counter() - began) / SHARE))
        except (OSError, ValueError) as error:
            _log.warning("the terminal is gone; checks go on unseen", reason=str(error))
            await asyncio.Event().wait()
        finally:
            offload.close()
            with suppress(OSError, ValueError):
                live.stop()

    def picture(self, height: int) -> Group:
        """Return what to draw now with at most ``height`` monitors."""
        now = self._now()
        # A copy: the thread that draws must not see rows change under it.
        rows = [msgspec.structs.replace(row) for row in self._board.worst(max(height, 1))]
        hidden = len(self._board) - len(rows)
        parts: list[RenderableType] = [self._summary(now), _table(rows, now, self._glyphs)]
        if hidden:
            parts.append(Text(f"{self._glyphs.ellipsis} and {hidden:,} more, none of them worse", style="dim"))
        return Group(*parts)

    def _summary(self, now: Instant) -> Text:
        text = Text(f"{len(self._board):,} monitors", style="bold")
        for status, count in self._board.counts():
            text.append(f"  {count:,} {status.name.lower()}", style=STATUS_COLOURS.get(status, "default"))
        rate, late_ms = self._board.rate(now)
        text.append(f"   {rate:,.1f} checks/s, at most {late_ms:,.0f} ms late", style="not bold dim")
        return text


def _table(rows: list[Row], now: Instant, glyphs: Glyphs) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("name", no_wrap=True, overflow="ellipsis", min_width=12, max_width=40)
    table.add_column("target", no_wrap=True, overflow="ellipsis", max_width=50, style="dim")
    table.add_column("status", no_wrap=True)
    table.add_column("response", no_wrap=True, justify="right")
    table.add_column("history", no_wrap=True, min_width=STRIP)
    table.add_column("uptime", no_wrap=True, justify="right")
    table.add_column("since", no_wrap=True, justify="right")
    for row in rows:
        share = row.uptime(now)
        table.add_row(
            Text(row.name),
            Text(row.target),
            Text(row.status.name, style=STATUS_COLOURS.get(row.status, "dim")),
            "" if row.response_ms is None else f"{row.response_ms:,.0f} ms",
            _strip(row.strip, glyphs),
            "" if share is None else f"{share * 100:.2f} %",
            age(now - row.since) if row.status is not Status.PENDING else "",
        )
    return table


def _strip(codes: bytes, glyphs: Glyphs) -> Text:
    text = Text()
    for code, run in groupby(codes):
        verdict = Verdict(code) if code else None
        text.append(glyphs.blocks[verdict] * len(list(run)), style=COLOURS[verdict])
    return text


def age(length: Micros) -> str:
    """Return a length of time in its largest unit, as people say it."""
    seconds = max(0, length // SECOND)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
