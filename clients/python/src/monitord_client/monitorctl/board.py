"""The live table of ``monitorctl watch``: what is known of each monitor, and how it looks."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime

from rich.table import Table
from rich.text import Text

from monitord_client.monitorctl.printing import visible
from monitord_client.monitorctl.spans import age_words
from monitord_client.monitorctl.tables import badge, grid, percent, response_of, status_of, target_of
from monitord_client.times import moment_of
from monitord_client.v1.check_log_pb2 import (
    CHECK_TRIGGER_GAP,
    VERDICT_BLOCKED,
    VERDICT_DEGRADED,
    VERDICT_DOWN,
    VERDICT_INCONCLUSIVE,
    VERDICT_UNREACHABLE,
    VERDICT_UP,
    CheckLog,
)
from monitord_client.v1.monitor_pb2 import (
    MONITOR_STATUS_DEGRADED,
    MONITOR_STATUS_DOWN,
    MONITOR_STATUS_UNREACHABLE,
    MONITOR_STATUS_UP,
    Monitor,
)

STRIP = 20
"""How many checks the history strip shows."""

_MARKS = {
    VERDICT_UP: ("█", "green"),
    VERDICT_DEGRADED: ("▆", "yellow"),
    VERDICT_DOWN: ("▁", "bold red"),
    VERDICT_INCONCLUSIVE: ("?", "magenta"),
    VERDICT_BLOCKED: ("x", "magenta"),
    VERDICT_UNREACHABLE: ("▁", "red"),
}
_SAYS = {
    VERDICT_UP: MONITOR_STATUS_UP,
    VERDICT_DEGRADED: MONITOR_STATUS_DEGRADED,
    VERDICT_DOWN: MONITOR_STATUS_DOWN,
    VERDICT_UNREACHABLE: MONITOR_STATUS_UNREACHABLE,
}


class Board:
    """What the table shows. Statuses are the server's; rows of the tail only fill the columns of single checks."""

    def __init__(self) -> None:
        self._monitors: dict[int, Monitor] = {}
        self._rows: dict[int, deque[CheckLog]] = {}
        self._uptime: dict[int, float | None] = {}
        self.notice = ""
        """What the person should know about the connection; empty when all is well."""

    def know(self, monitors: Iterable[Monitor]) -> None:
        """Take the whole set of monitors; those that are not in it any more disappear."""
        self._monitors = {monitor.id: monitor for monitor in monitors}
        for known in (self._rows, self._uptime):
            for monitor_id in known.keys() - self._monitors.keys():
                del known[monitor_id]

    def saw(self, row: CheckLog) -> bool:
        """Take a row; return whether the monitors should be asked for again, because it doesn't fit what is shown."""
        self._rows.setdefault(row.monitor_id, deque(maxlen=STRIP)).append(row)
        monitor = self._monitors.get(row.monitor_id)
        says = _SAYS.get(row.verdict)
        return monitor is None or (says is not None and says != monitor.status)

    def measured(self, monitor_id: int, uptime_percent: float | None) -> None:
        """Take the uptime of a monitor; None when nothing is known."""
        self._uptime[monitor_id] = uptime_percent

    def monitor_ids(self) -> list[int]:
        """Return the monitors on the board."""
        return list(self._monitors)

    def table(self, now: datetime, limit: int | None = None) -> Table:
        """Return the board, the monitors in trouble first when there is not room for all (``limit`` lines)."""
        table = grid("NAME", "STATUS", "RESPONSE", "CHECKED", "HISTORY", "UPTIME 24 H", "TARGET")
        shown = sorted(self._monitors.values(), key=lambda monitor: monitor.name)
        hidden = 0
        if limit is not None and len(shown) > limit:
            shown = sorted(shown, key=lambda m: m.status in (MONITOR_STATUS_UP,))[:limit]
            hidden = len(self._monitors) - limit
        for monitor in shown:
            table.add_row(*self._cells(monitor, now))
        if hidden:
            table.add_row(Text(f"and {hidden:,} more", style="dim"))
        return table

    def _cells(self, monitor: Monitor, now: datetime) -> tuple[Text | str, ...]:
        rows = self._rows.get(monitor.id, ())
        last = rows[-1] if rows else (monitor.last_check if monitor.HasField("last_check") else None)
        uptime = self._uptime.get(monitor.id)
        return (
            Text(visible(monitor.name)),
            badge(status_of(monitor)),
            response_of(last),
            age_words(moment_of(last.start_time), now) if last is not None else "-",
            _strip(rows),
            percent(uptime) if uptime is not None else "-",
            Text(target_of(monitor)),
        )


def _strip(rows: Iterable[CheckLog]) -> Text:
    strip = Text()
    for row in rows:
        mark, style = ("·", "dim") if row.trigger == CHECK_TRIGGER_GAP else _MARKS.get(row.verdict, ("·", "dim"))
        strip.append(mark, style=style)
    strip.pad_left(STRIP - len(strip))
    return strip
