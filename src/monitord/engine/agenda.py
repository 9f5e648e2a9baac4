"""Which slots of a monitor are accounted for, and when its next check is wanted. It is told the time: no clock here."""

from collections.abc import Callable

from monitord.domain.check import Gap, GapReason
from monitord.domain.instant import SECOND, Instant
from monitord.domain.monitor import Assignment, Monitor
from monitord.domain.schedule import Grid, next_due
from monitord.engine.clock import STEP

_NEVER: Instant = 1 << 62
_LATE_AT_MOST = SECOND
"""A check that ran into the next slot by no more than this (and a tenth of the interval) does not cost that slot."""


class Agenda:
    """One monitor's slots.

    Every slot ends as exactly one check or as part of one gap (I5): ``_due`` is the first slot not yet accounted for,
    and it moves on when the slot is claimed, before its check begins, so that a crash cannot fire a slot twice.

    Steps of the wall clock (I18). Forward, as after a sleep: the last missed slot is checked at once, those before it
    are a gap. Back: slots already checked are not checked again; the next check waits for the next unchecked slot. So
    that a step back by more than an interval does not blind the monitor, checks off the grid (RECHECK) stand in,
    an interval apart on the monotonic clock, until the wall clock has caught up.
    """

    __slots__ = (
        "_began",
        "_cause",
        "_due",
        "_grid",
        "_late_ok",
        "_offset",
        "_queued_s",
        "_record_gap",
        "monitor",
        "parked",
    )

    def __init__(self, monitor: Monitor, record_gap: Callable[[Gap], None]) -> None:
        """Make an agenda without a schedule; ``assign`` gives it one."""
        self.monitor = monitor
        self.parked = False
        """While parked, each slot is recorded as a gap when it comes due."""
        self._record_gap = record_gap
        self._grid: Grid | None = None
        self._due: Instant = _NEVER
        self._began = 0.0  # the last start of a check, on the monotonic clock
        self._offset = 0  # wall minus monotonic clock when last looked at
        self._cause: GapReason | None = None  # what has kept us busy since the last sleep
        self._queued_s = 0.0  # how long the check before waited at the gate
        self._late_ok = True  # whether the last slot that this cost is checked after all, late

    @property
    def scheduled(self) -> bool:
        """Whether there is a schedule."""
        return self._grid is not None

    def assign(self, assignment: Assignment, now: Instant, mono: float, running_since: Instant) -> None:
        """Take a new configuration.

        Slots of the old schedule that nobody checked before its end are recorded. Of the new schedule, those
        before ``now`` are made up for by one check, unless they date from before ``running_since``: after a restart,
        catching up would fire every monitor at once.
        """
        monitor, old = assignment.monitor, self._grid
        grid, covered = monitor.grid, assignment.covered_until
        if old != grid:
            # What a broken configuration breaks, it breaks here, before anything has changed.
            due = next_due(grid, covered, now, catch_up=old is not None or covered >= running_since)
            first_s = (grid.after(now) - now) * 1e-6
            reason = GapReason.RESTART
            if old is not None:
                reason = self._cause or GapReason.OVERRUN
                self.skip(min(now, covered), reason)
            self.monitor, self._grid, self._due = monitor, grid, covered
            self.skip(due.slot, reason)
            self._offset = now - int(mono * SECOND)
            self._began = mono - monitor.spec.interval_s + first_s
        self.monitor = monitor

    def spread_rechecks(self, now: Instant, mono: float) -> None:
        """Forget the last start: the first re-check is at a moment of the monitor's own within its period.

        After a restart, those under suspicion are then not all checked at once.
        """
        period = self.monitor.spec.recheck_interval_s
        if self._grid is not None and period > 0:
            self._began = mono - period + (self._grid.after(now) - now) * 1e-6 % period

    def wait_s(self, now: Instant) -> float:
        """Return the seconds until the next slot; not positive when it is due."""
        return (self._due - now) * 1e-6

    def off_grid_s(self, mono: float, wait_s: float, suspicious: bool) -> float:
        """Return in how many seconds a check off the grid is wanted; ``wait_s`` when the next slot comes first."""
        if self.parked or self._grid is None:
            return wait_s
        spec = self.monitor.spec
        since_s = mono - self._began
        if suspicious and spec.recheck_interval_s > 0:
            return min(wait_s, spec.recheck_interval_s - since_s)
        set_back = wait_s > spec.interval_s  # the slots until then have been checked already (I18)
        if set_back and since_s + wait_s > 1.5 * spec.interval_s:
            return spec.interval_s - since_s
        return wait_s

    def idle(self, now: Instant, mono: float) -> None:
        """Note that nothing is due: whatever comes late from now on, it is not for what was done before."""
        self._offset = now - int(mono * SECOND)
        self._cause = None

    def busy(self, began: float, queued_s: float, *, on_grid: bool) -> None:
        """Note a check that has just ended, and how long it had waited at the gate."""
        self._began = began
        self._queued_s = queued_s
        self._cause = GapReason.OVERRUN
        self._late_ok = not on_grid

    def down(self, mono: float) -> None:
        """Note that the monitor's task was down after a crash until now."""
        self._began = mono
        self._cause, self._late_ok = GapReason.CRASHED, True

    def claim(self, now: Instant, mono: float) -> tuple[Instant, float] | None:
        """Account for the slots that came due: return the one to check, and its lateness in seconds; record others.

        None: all of them were missed, and the next one is in the future. The lateness is 0 after a step of the
        clock: nothing was late but the clock.
        """
        grid = self._grid
        assert grid is not None
        slot = self._due
        late = now - slot
        offset = now - int(mono * SECOND)
        stepped = offset - self._offset > max(STEP, late // 2)
        self._offset = offset
        if self.parked:
            self.skip(grid.after(now), GapReason.PARKED)
            return None
        catch_up = self._cause is None or stepped or self._late_ok or late <= min(_LATE_AT_MOST, grid.interval // 10)
        if late >= grid.interval or not catch_up:
            reason = GapReason.SUSPENDED if stepped else self._busy_with(late)
            slot = next_due(grid, slot, now, catch_up=catch_up).slot
            self.skip(slot, reason)
            if slot > now:
                return None
        self._due = slot + grid.interval  # before the work: a crash cannot fire the slot twice
        return slot, 0.0 if stepped else (now - slot) * 1e-6

    def _busy_with(self, late: int) -> GapReason:
        """Return what kept us from being on time, by ``late`` microseconds."""
        queue_alone = self._cause is GapReason.OVERRUN and self._queued_s * SECOND > late
        return GapReason.OVERLOAD if queue_alone or self._cause is None else self._cause

    def skip(self, until: Instant, reason: GapReason) -> None:
        """Record the slots not accounted for before ``until`` as a gap, if there are any (I5)."""
        grid = self._grid
        if grid is None:
            return
        slots = grid.count(self._due, until)
        if slots:
            self._record(self.monitor, grid.at_or_after(self._due), until, slots, reason)
        self._due = max(self._due, grid.at_or_after(until))

    def lose(self, monitor: Monitor, slot: Instant, reason: GapReason) -> None:
        """Record a slot that was claimed, and whose check, with this version of the monitor, came to nothing."""
        self._record(monitor, slot, slot + monitor.spec.interval_s * SECOND, 1, reason)

    def close(self, stop_at: Instant) -> None:
        """Account for the slots before the end of the schedule."""
        self.skip(stop_at, self._cause or GapReason.STOPPED)

    def _record(self, monitor: Monitor, first: Instant, until: Instant, slots: int, reason: GapReason) -> None:
        gap = Gap(
            monitor_id=monitor.id,
            org_id=monitor.org_id,
            monitor_version=monitor.version,
            first_slot=first,
            until=until,
            slots=slots,
            reason=reason,
        )
        self._record_gap(gap)

    def overdue(self, now: Instant, waiting: Instant | None) -> bool:
        """Return whether a slot has waited for longer than its timeout, and for more than a second.

        ``waiting`` is the slot whose check waits at the gate, if one does.
        """
        due = self._due if waiting is None else waiting
        return now - due > max(SECOND, self.monitor.spec.timeout_ms * 1000)
