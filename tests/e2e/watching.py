"""What tests look at through the API: statuses, and whether every slot is accounted for."""

from monitord.domain.instant import SECOND
from monitord.domain.schedule import grid_of
from monitord_client import CheckLog, CheckTrigger, Client, Monitor, MonitorStatus
from tests.support.process import until

UP = MonitorStatus.MONITOR_STATUS_UP
DOWN = MonitorStatus.MONITOR_STATUS_DOWN
NOT_RUNNING = "monitord was not running"
"""What the message of a GAP of a restart says."""


async def becomes(
    client: Client, monitor_id: int, status: MonitorStatus.ValueType, *, within_s: float = 15.0
) -> Monitor:
    """Return a monitor once it has a status."""

    async def look() -> Monitor | None:
        monitor = await client.get_monitor(monitor_id)
        return monitor if monitor.status == status else None

    found = await until(look, f"{MonitorStatus.Name(status)} of monitor {monitor_id}", within_s=within_s)
    assert found is not None
    return found


async def log_of(client: Client, monitor: Monitor) -> list[CheckLog]:
    """Return the whole log of a monitor, oldest first."""
    rows = [row async for row in client.list_check_logs(monitor.id, page_size=1000)]
    return rows[::-1]


async def has_more_rows(client: Client, monitors: list[Monitor], *, than: int = 0, within_s: float = 15.0) -> None:
    """Return once each monitor's newest row has a sequence number greater than ``than``."""
    waiting = {monitor.id for monitor in monitors}

    async def look() -> bool:
        async for monitor in client.list_monitors(page_size=1000):
            if monitor.last_check.sequence > than:
                waiting.discard(monitor.id)
        return not waiting

    await until(look, f"rows beyond {than} of each monitor", within_s=within_s)


def is_gap(row: CheckLog) -> bool:
    return row.trigger == CheckTrigger.CHECK_TRIGGER_GAP


def assert_accounted_for(rows: list[CheckLog], monitor: Monitor) -> None:
    """Fail unless a log is numbered without holes (I7) and each slot has one result or a GAP (I5), seen from outside.

    Slots are looked at from the first scheduled row to the last one; the monitor must not have changed in between.
    """
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    scheduled = [
        row.schedule_time.ToMicroseconds() for row in rows if row.trigger == CheckTrigger.CHECK_TRIGGER_SCHEDULED
    ]
    gaps = [(row.schedule_time.ToMicroseconds(), row.gap_end_time.ToMicroseconds()) for row in rows if is_gap(row)]
    assert len(scheduled) == len(set(scheduled)), "no slot is checked twice"
    interval = monitor.interval.seconds * SECOND
    grid = grid_of(monitor.id, interval)
    assert all(grid.at_or_after(slot) == slot for slot in scheduled), "slots are on the grid"
    for slot in range(min(scheduled), max(scheduled), interval):
        covered = (slot in scheduled) + any(begin <= slot < end for begin, end in gaps)
        assert covered == 1, f"slot {slot} of monitor {monitor.id} is covered {covered} times: {scheduled}, {gaps}"
