"""Maintenance windows, for people."""

from collections.abc import Iterable
from datetime import datetime

from rich.table import Table
from rich.text import Text

from monitord_client.monitorctl.printing import visible
from monitord_client.monitorctl.spans import clock_words, span_words
from monitord_client.monitorctl.tables import grid
from monitord_client.times import moment_of
from monitord_client.v1.maintenance_pb2 import MaintenanceWindow


def windows_table(windows: Iterable[MaintenanceWindow], now: datetime) -> Table:
    """Return one line per window."""
    table = grid("ID", "NAME", "STATE", "NEXT", "WHEN", "FOR")
    for window in windows:
        opens = clock_words(moment_of(window.next_start_time), now) if window.HasField("next_start_time") else "-"
        table.add_row(
            str(window.id), Text(visible(window.name)), _state(window, now), opens, _when(window, now), _whom(window)
        )
    return table


def _state(window: MaintenanceWindow, now: datetime) -> Text:
    if window.open:
        return Text("OPEN", style="bold blue")
    if not window.active:
        return Text("OFF", style="dim")
    if window.HasField("once") and moment_of(window.once.end_time) <= now:
        return Text("OVER", style="dim")
    return Text("WAITING", style="cyan")


def _when(window: MaintenanceWindow, now: datetime) -> str:
    if window.HasField("once"):
        start, end = moment_of(window.once.start_time), moment_of(window.once.end_time)
        return f"{clock_words(start, now)} to {clock_words(end, start)}"
    recurring = window.recurring
    zone = recurring.cron.time_zone or "UTC"
    return visible(f"{recurring.cron.expression} ({zone}), {span_words(recurring.duration.ToNanoseconds())}")


def _whom(window: MaintenanceWindow) -> Text:
    parts = [f"monitor {monitor_id}" for monitor_id in window.monitor_ids]
    parts += [f"{key}={value}" for key, value in sorted(window.labels.items())]
    return Text(visible(", ".join(parts)) or "all monitors")
