"""Answers for people: tables and cards."""

from collections.abc import Iterable
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from monitord_client.monitorctl.kinds import field_lines, measured, measured_words
from monitord_client.monitorctl.printing import short, visible
from monitord_client.monitorctl.spans import age_words, clock_words, length_words, milliseconds, span_text
from monitord_client.monitorctl.targets import target_text
from monitord_client.times import moment_of
from monitord_client.v1.auth_pb2 import ApiKey, Scope
from monitord_client.v1.check_log_pb2 import CHECK_TRIGGER_GAP, CheckLog, CheckTrigger, Verdict
from monitord_client.v1.heartbeat_service_pb2 import Ping, PingKind
from monitord_client.v1.monitor_pb2 import Monitor, MonitorStatus
from monitord_client.v1.monitor_service_pb2 import GetMonitorMetricsResponse

_STYLES = {
    "UP": "green",
    "DEGRADED": "yellow",
    "DOWN": "bold red",
    "INCONCLUSIVE": "magenta",
    "BLOCKED": "magenta",
    "FAULTED": "bold magenta",
    "PENDING": "cyan",
    "MAINTENANCE": "blue",
    "UNREACHABLE": "red",
    "UNKNOWN": "magenta",
}


def badge(name: str) -> Text:
    """Return a status or verdict in its colour."""
    return Text(name, style=_STYLES.get(name, "dim"))


def status_of(monitor: Monitor) -> str:
    """Return a monitor's status as a word."""
    return short(MonitorStatus.Name, monitor.status)


def verdict_of(row: CheckLog) -> str:
    """Return a row's verdict as a word; GAP for a gap."""
    return "GAP" if row.trigger == CHECK_TRIGGER_GAP else short(Verdict.Name, row.verdict)


def target_of(monitor: Monitor) -> str:
    """Return what a monitor looks at."""
    return visible(target_text(monitor))


def grid(*headers: str) -> Table:
    """Return an empty table in the style of all of them."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, justify="right" if header in ("ID", "RESPONSE", "SEQ") else "left", overflow="fold")
    return table


def monitors_table(monitors: Iterable[Monitor], now: datetime) -> Table:
    """Return one line per monitor."""
    table = grid("ID", "NAME", "STATUS", "SINCE", "RESPONSE", "CHECKED", "EVERY", "TARGET")
    for monitor in monitors:
        last = monitor.last_check if monitor.HasField("last_check") else None
        table.add_row(
            str(monitor.id),
            Text(visible(monitor.name)),
            badge(status_of(monitor)),
            age_words(moment_of(monitor.status_time), now) if monitor.HasField("status_time") else "-",
            response_of(last),
            age_words(moment_of(last.start_time), now) if last is not None else "-",
            span_text(monitor.interval.ToNanoseconds()),
            Text(target_of(monitor)),
        )
    return table


def response_of(row: CheckLog | None) -> str:
    """Return a row's response time to read."""
    return milliseconds(row.response_time_ms) if row is not None and row.HasField("response_time_ms") else "-"


def monitor_card(monitor: Monitor, now: datetime) -> RenderableType:
    """Return all there is to know of a monitor."""
    card = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    card.add_column(style="bold")
    card.add_column(overflow="fold")

    def line(name: str, value: RenderableType) -> None:
        card.add_row(name, Text(visible(value)) if isinstance(value, str) else value)

    status = badge(status_of(monitor))
    if monitor.HasField("status_time"):
        moment = moment_of(monitor.status_time)
        status.append(f" since {clock_words(moment, now)} ({age_words(moment, now)})", style="default not bold")
    line("Name", monitor.name)
    line("Id", str(monitor.id))
    line("Status", status)
    line("Target", target_of(monitor))
    if monitor.heartbeat.ping_url:
        line("Ping URL", Text(visible(monitor.heartbeat.ping_url), style="bold cyan"))
        line("", Text("Whoever knows it can tell that the job ran: curl -fsS URL, URL/start, URL/fail", style="dim"))
    if monitor.HasField("last_check"):
        line("Last check", row_text(monitor.last_check, now, figures=False))
        if monitor.last_check.measurements:
            line("Measured", ", ".join(f"{name} {value}" for name, value in measured(monitor.last_check)))
    line("Every", span_text(monitor.interval.ToNanoseconds()))
    line("Timeout", span_text(monitor.timeout.ToNanoseconds()))
    line("Thresholds", f"{monitor.failure_threshold} bad make it DOWN, {monitor.success_threshold} good end it")
    if monitor.recheck_interval.ToNanoseconds():
        line("While in doubt", f"every {span_text(monitor.recheck_interval.ToNanoseconds())}")
    if monitor.parent_ids:
        line("Depends on", ", ".join(f"monitor {parent_id}" for parent_id in monitor.parent_ids))
    if monitor.labels:
        line("Labels", ", ".join(f"{key}={value}" for key, value in sorted(monitor.labels.items())))
    lines = list(field_lines(monitor))
    for index, (name, value) in enumerate(lines):
        line(name if index == 0 or name != lines[index - 1][0] else "", value)
    line("Created", clock_words(moment_of(monitor.create_time)))
    line("Changed", clock_words(moment_of(monitor.update_time)))
    return card


def row_text(row: CheckLog, now: datetime, *, figures: bool = True) -> Text:
    """Return a row of the log on one line; ``figures``: where nothing is to be said, with what was measured."""
    text = Text.assemble(clock_words(moment_of(row.start_time), now), " ", badge(verdict_of(row)))
    if row.HasField("response_time_ms"):
        text.append(f" {milliseconds(row.response_time_ms)}")
    if row.HasField("status_code"):
        text.append(f" [{row.status_code}]")
    if detail := _detail(row, figures=figures):
        text.append(f" {visible(detail)}")
    return text


def _detail(row: CheckLog, *, figures: bool = True) -> str:
    said = " - ".join(part for part in (row.category, row.message) if part)
    return said or (measured_words(row) if figures else "")


def logs_table(rows: Iterable[CheckLog], now: datetime) -> Table:
    """Return one line per row of the log."""
    table = grid("SEQ", "TIME", "VERDICT", "RESPONSE", "CODE", "WHY", "DETAIL")
    for row in rows:
        table.add_row(
            str(row.sequence),
            clock_words(moment_of(row.start_time), now),
            badge(verdict_of(row)),
            response_of(row),
            str(row.status_code) if row.HasField("status_code") else "-",
            short(CheckTrigger.Name, row.trigger).lower(),
            Text(visible(_detail(row))),
        )
    return table


def stats_card(name: str, stats: GetMonitorMetricsResponse) -> RenderableType:
    """Return uptime and response times."""
    times = stats.response_times
    card = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    window = f"{clock_words(moment_of(stats.start_time))} to {clock_words(moment_of(stats.end_time))}"
    uptime = Text("unknown", style="dim")
    if stats.HasField("uptime_percent"):
        uptime = Text(percent(stats.uptime_percent), style="green" if stats.uptime_percent >= 99.9 else "yellow")
    card.add_row(Text("Uptime", style="bold"), uptime)
    for label, length in (
        ("Up", stats.up_duration),
        ("Degraded", stats.degraded_duration),
        ("Down", stats.down_duration),
        ("Paused", stats.paused_duration),
        ("Maintenance", stats.maintenance_duration),
        ("Unknown", stats.unknown_duration),
        ("Down, last 24 h", stats.downtime_last_24h),
    ):
        if length.ToNanoseconds() or label in ("Up", "Down"):
            card.add_row(Text(label, style="bold"), length_words(length.ToMilliseconds() / 1000))
    for label, present, value in (
        ("Average", times.HasField("average_ms"), times.average_ms),
        ("Median", times.HasField("p50_ms"), times.p50_ms),
        ("95 %", times.HasField("p95_ms"), times.p95_ms),
        ("99 %", times.HasField("p99_ms"), times.p99_ms),
    ):
        card.add_row(Text(label, style="bold"), milliseconds(value) if present else "-")
    card.add_row(Text("Checks", style="bold"), f"{stats.check_count:,}, of which {stats.down_check_count:,} DOWN")
    return Group(Text(f"{visible(name)}, {window}"), card)


def percent(value: float) -> str:
    """Return a share without rounding an outage away: only a flawless window reads 100 %."""
    if value >= 100:
        return "100 %"
    return f"{min(value, 99.999):.3f} %"


def keys_table(keys: Iterable[ApiKey], now: datetime) -> Table:
    """Return one line per API key."""
    table = grid("ID", "NAME", "SCOPE", "CREATED", "EXPIRES", "LAST USED", "MONITORS", "FROM")
    for key in keys:
        table.add_row(
            key.id,
            Text(visible(key.display_name)),
            short(Scope.Name, key.scope).lower(),
            clock_words(moment_of(key.create_time)),
            clock_words(moment_of(key.expire_time)) if key.HasField("expire_time") else "never",
            age_words(moment_of(key.last_use_time), now) if key.HasField("last_use_time") else "never",
            Text(visible(", ".join(f"{name}={value}" for name, value in sorted(key.labels.items()))) or "all"),
            visible(", ".join(key.allowed_networks)) or "everywhere",
        )
    return table


def pings_table(words: Iterable[Ping], now: datetime) -> Table:
    """Return one line per word of a job, with the first line of what it sent along."""
    table = grid("TIME", "TOLD", "EXIT", "FROM", "BODY")
    for word in words:
        first, *_ = word.body.decode(errors="replace").splitlines() or [""]
        table.add_row(
            clock_words(moment_of(word.receive_time), now),
            short(PingKind.Name, word.kind).lower(),
            str(word.exit_code) if word.HasField("exit_code") else "-",
            visible(word.source),
            Text(visible(first[:80])),
        )
    return table
