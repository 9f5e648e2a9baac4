"""One readable line per committed check, for pipes, journals and `docker logs`."""

import asyncio
from collections import Counter, deque
from datetime import datetime
from functools import partial
from typing import TextIO

import structlog

from monitord.console.feed import Commit
from monitord.console.glyphs import COLOURS, STATUS_COLOURS, glyphs_for, printable
from monitord.console.offload import Offload
from monitord.domain.check import Verdict
from monitord.domain.health import Transition
from monitord.domain.instant import Instant, to_datetime
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Assignment

PERIOD_S = 0.25

MAX_WAITING = 200
"""Lines kept for the next write. What does not fit is counted and told in one line, so a fast machine with a slow
reader neither grows (I16) nor waits (I11)."""

_NAME_WIDTH = 30
_ANSI = {"green": "32", "yellow": "33", "red": "31", "magenta": "35", "bright_black": "90"}

_log = structlog.get_logger(__name__)


class Lines:
    """Writes a line for each check, gap and change of status."""

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self._out = out
        self._colour = colour
        self._glyphs = glyphs_for(out)
        self._names: dict[int, str] = {}
        self._entries: deque[LogEntry] = deque()
        self._changes: deque[tuple[int, Transition]] = deque()
        self._left_out: Counter[str] = Counter()

    def adopt(self, assignment: Assignment) -> None:
        """Learn a monitor's name."""
        self._names[assignment.monitor.id] = printable(assignment.monitor.spec.name)

    def forget(self, monitor_id: int) -> None:
        """Forget it."""
        self._names.pop(monitor_id, None)

    def committed(self, commit: Commit) -> None:
        """Take what was stored; it is written within a quarter of a second."""
        for entry in commit.entries:
            if len(self._entries) < MAX_WAITING:
                self._entries.append(entry)
            else:
                self._left_out[_verdict(entry)] += 1
        for change in commit.changes:
            for transition in change.transitions:
                if len(self._changes) < MAX_WAITING:
                    self._changes.append((change.monitor_id, transition))
                else:
                    self._left_out["changes of status"] += 1

    async def run(self) -> None:
        """Write until cancelled, or until nobody reads any more."""
        offload = Offload("console")
        try:
            while True:
                await asyncio.sleep(PERIOD_S)
                if text := self.take():
                    await offload(partial(self._write, text))
        except (OSError, ValueError) as error:
            _log.warning("nobody reads standard output any more; checks go on unseen", reason=str(error))
            self._entries.clear()
            await asyncio.Event().wait()
        finally:
            offload.close()

    def take(self) -> str:
        """Return the lines that wait to be written."""
        lines = [self._line(entry) for entry in self._entries]
        lines += [self._change(monitor_id, transition) for monitor_id, transition in self._changes]
        if self._left_out:
            counts = ", ".join(f"{count:,} {what}" for what, count in self._left_out.most_common())
            lines.append(f"          {self._glyphs.ellipsis} and more than fits here: {counts}")
        self._entries.clear()
        self._changes.clear()
        self._left_out.clear()
        return "".join(f"{line}\n" for line in lines)

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()

    def _line(self, entry: LogEntry) -> str:
        mark = self._glyphs.verdicts[entry.verdict]
        took = "" if entry.response_time_ms is None else f"{entry.response_time_ms:,.0f} ms"
        why = ": ".join(filter(None, (entry.category if entry.verdict else None, printable(entry.message))))
        head = self._paint(f"{mark} {_verdict(entry):12}", COLOURS[entry.verdict])
        return f"{_clock(entry.checked_at)}  {head} {self._name(entry.monitor_id)} {took:>9}  {why}".rstrip()

    def _change(self, monitor_id: int, transition: Transition) -> str:
        before, after = transition.before, transition.after
        arrow = self._glyphs.arrow
        news = self._paint(f"{before.name} {arrow} {after.name}", STATUS_COLOURS.get(after, ""))
        return f"{_clock(transition.at)}  {arrow * 2} {self._name(monitor_id).rstrip()}: {news}"

    def _name(self, monitor_id: int) -> str:
        return self._names.get(monitor_id, f"monitor {monitor_id}").ljust(_NAME_WIDTH)

    def _paint(self, text: str, colour: str) -> str:
        code = _ANSI.get(colour.removeprefix("bold "))
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and code else text


def _verdict(entry: LogEntry) -> str:
    return "gap" if entry.verdict is None else Verdict(entry.verdict).name.lower()


def _clock(instant: Instant) -> str:
    """Return the time of day where the reader is."""
    local: datetime = to_datetime(instant).astimezone()
    return f"{local:%H:%M:%S}"
