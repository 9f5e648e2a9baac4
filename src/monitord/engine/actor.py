"""One monitor's actor: its timer, its mailbox, its state."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from monitord.domain.check import Category, CheckResult, Gap, GapReason, Trigger
from monitord.domain.errors import FailedPreconditionError, UnavailableError
from monitord.domain.health import Health, Status, suspicious
from monitord.domain.instant import SECOND, Instant
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Assignment, Monitor
from monitord.domain.schedule import Grid, next_due
from monitord.engine.checker import Checker, Flight, host_of, internal_error
from monitord.engine.clock import STEP, Clock


class Recorder(Protocol):
    """Keeps what the actors find. Only ``record_and_wait`` and ``park`` may wait, or fail."""

    def adopt(self, assignment: Assignment) -> None:
        """Begin, or replace, what is known of a monitor."""

    def forget(self, monitor_id: int) -> None:
        """Drop what is known of a monitor that runs no more."""

    def record(self, result: CheckResult) -> None:
        """Take a result for the log; never blocks."""

    async def record_and_wait(self, result: CheckResult) -> LogEntry:
        """Take a result and return its row once it is committed."""

    def record_gap(self, gap: Gap) -> None:
        """Take the record of slots that went unchecked; never blocks."""

    async def park(self, monitor: Monitor, message: str) -> None:
        """Make the monitor FAULTED, durably, and alert."""


class Meter(Protocol):
    """Counts what happens, in memory."""

    def observe(self, result: CheckResult) -> None:
        """Count a check."""

    def lag(self, seconds: float) -> None:
        """Note how long after its slot a scheduled check began."""

    def restarted(self) -> None:
        """Count the restart of a crashed actor."""


class Tools:
    """What all actors share."""

    __slots__ = ("answer", "backoff", "checker", "clock", "closed", "loop", "meter", "recorder", "since")

    def __init__(
        self,
        *,
        checker: Checker,
        recorder: Recorder,
        meter: Meter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        answer: Callable[[CheckResult, Sequence[asyncio.Future[LogEntry]]], None],
        backoff: Callable[[int], float],
    ) -> None:
        self.checker = checker
        self.recorder = recorder
        self.meter = meter
        self.clock = clock
        self.loop = loop
        self.answer = answer
        """Stores a result, then gives its row to those who asked for it."""
        self.backoff = backoff
        """From the number of crashes in a row to the seconds to wait before the next start."""
        self.since = clock.now()
        """Slots before this fell into a time when monitord was not running."""
        self.closed = False
        """Set at shutdown: no check begins from then on."""


CRASHES_TO_PARK = 5

_NEVER: Instant = 1 << 62
_LATE_AT_MOST = SECOND
"""A check that ran into the next slot by less than this (and a tenth of the interval) does not cost that slot."""


class Actor:
    """Checks one monitor until told to stop.

    The mailbox is one field per kind of message, and the newest message of a kind wins: it is bounded whatever is
    sent (I16). ``tell`` methods write to it and wake the actor; ``run`` reads it before each decision.

    Every slot ends as exactly one result or part of one gap (I5): ``_due`` is the first slot not yet accounted
    for, and it moves on before the check of a slot begins, so that a crash cannot fire a slot twice; what was
    in the air then is in ``_flight`` until it is recorded.

    Steps of the wall clock (I18). Forward, as after a sleep: the last missed slot is checked at once, those before it
    are a gap. Back: slots already checked are not checked again; the next check waits for the next unchecked slot. So
    that a step back by more than half an interval does not blind the monitor, checks off the grid (RECHECK)
    stand in, an interval apart on the monotonic clock, until the wall clock has caught up.
    """

    __slots__ = (
        "_asked",
        "_began",
        "_cause",
        "_crashes",
        "_cut",
        "_due",
        "_failure",
        "_flight",
        "_grid",
        "_host",
        "_late_ok",
        "_next",
        "_offset",
        "_parked",
        "_stop_at",
        "_suspicious",
        "_tools",
        "_waiter",
        "monitor",
        "status",
        "task",
    )

    def __init__(self, tools: Tools, monitor: Monitor) -> None:
        """Make an actor without a schedule: until it is assigned one, it only answers CheckNow, then ends."""
        self._tools = tools
        self.monitor = monitor
        self.status = Status.UNKNOWN
        self.task: asyncio.Task[None] | None = None
        self._grid: Grid | None = None
        self._host: str | None = None
        self._due: Instant = _NEVER
        self._began = 0.0  # the last start of a check, on the monotonic clock
        self._offset = 0  # wall minus monotonic clock when last looked at
        self._cause: GapReason | None = None  # what kept us from being on time, if we know
        self._late_ok = True  # whether a slot that this cost is made up for
        self._suspicious = False
        self._parked = False
        self._crashes = 0
        self._failure: str | None = None
        self._flight: Flight | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._cut = False
        # the mailbox
        self._next: Assignment | None = None
        self._asked: list[tuple[Monitor, asyncio.Future[LogEntry]]] | None = None
        self._stop_at: Instant | None = None

    # Messages

    def tell_assignment(self, assignment: Assignment) -> None:
        """Reconfigure: a check under way ends with its old version; every later one has the new one (I10)."""
        if assignment.monitor.version > self.version:
            self._next = assignment
            self.wake()

    def tell_health(self, health: Health) -> None:
        """Settled: the committed health changed, so re-checks begin or end."""
        self.status = health.status
        if self._suspicious != suspicious(health):
            self._suspicious = not self._suspicious
            self.wake()

    def tell_check(self, monitor: Monitor, answer: "asyncio.Future[LogEntry]") -> None:
        """CheckNow: one check as soon as none is under way; its row goes to ``answer``."""
        self._asked = [*(self._asked or ()), (monitor, answer)]
        self.wake()

    def tell_stop(self, grace_s: float) -> None:
        """Stop: no check begins from now on (I13); one under way has ``grace_s`` to end, then it is cancelled."""
        if self._stop_at is not None:
            return
        self._stop_at = self._tools.clock.now()
        if self._waiter is not None:
            self.wake()
        elif self._flight is not None and self._flight.began is None:
            self._cut_short()
        elif self.task is not None:
            self._tools.loop.call_later(grace_s, self._cut_short)

    def wake(self) -> None:
        """Look at the mailbox and the clock again (Realign is this alone)."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _cut_short(self) -> None:
        if self.task is not None and not self.task.done() and not self._cut:
            self._cut = True
            self.task.cancel()

    # What others may know

    @property
    def version(self) -> int:
        """The newest version this actor was told of; 0 while it has no schedule."""
        if self._next is not None:
            return self._next.monitor.version
        return self.monitor.version if self._grid is not None else 0

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop_at is not None

    @property
    def checking(self) -> bool:
        """Whether a check is under way or waits at the gate."""
        return self._flight is not None

    def overdue(self, now: Instant) -> bool:
        """Return whether a slot has waited for longer than its timeout, and more than a second."""
        flight, due = self._flight, self._due
        if flight is not None and flight.began is None and flight.trigger is Trigger.SCHEDULED:
            due = flight.scheduled_at
        return now - due > max(SECOND, self.monitor.spec.timeout_ms * 1000)

    # Life

    async def run(self) -> None:
        """Check until stopped. Raises what breaks; called again, it goes on from there."""
        try:
            if self._failure is not None:
                await self._recover()
            await self._work()
        except asyncio.CancelledError:
            if not self._cut or self.task is None or self.task.uncancel():
                raise
        self._leave()

    async def _work(self) -> None:
        clock = self._tools.clock
        while self._stop_at is None and not self._tools.closed:
            if self._next is not None:
                self._assign(self._next)
            now, mono = clock.now(), clock.monotonic()
            wait_s = (self._due - now) * 1e-6
            if wait_s <= 0.0:
                flight = self._claim(now, mono)
                if flight is not None:
                    await self._check(flight)
                continue
            self._offset = now - int(mono * SECOND)
            if self._asked is not None:
                await self._check_asked(now, mono)
            elif self._grid is None:
                return
            else:
                extra_s = self._off_grid(mono, wait_s)
                if extra_s <= 0.0:
                    await self._check(Flight(self.monitor, self._key(), Trigger.RECHECK, now, mono))
                else:
                    await self._sleep(min(wait_s, extra_s))

    async def _sleep(self, seconds: float) -> None:
        """Wait until then, or until a message comes."""
        tools = self._tools
        waiter = self._waiter = tools.loop.create_future()
        timer = tools.loop.call_later(seconds + tools.clock.tick_s, _set, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
            self._cause = None

    def _off_grid(self, mono: float, wait_s: float) -> float:
        """Return in how many seconds a check off the grid is wanted; the next slot is ``wait_s`` away."""
        if self._parked or self._grid is None:
            return wait_s
        since_s = mono - self._began
        recheck_s = self.monitor.spec.recheck_interval_s
        if self._suspicious and recheck_s > 0:
            return recheck_s - since_s
        interval_s = self._grid.interval * 1e-6
        if since_s + wait_s > 1.5 * interval_s:  # the wall clock was set back (I18)
            return interval_s - since_s
        return wait_s

    # Checks

    def _claim(self, now: Instant, mono: float) -> Flight | None:
        """Account for the slots that came due: record those missed, and return the one to check, if any."""
        grid = self._grid
        assert grid is not None
        late = now - self._due
        offset = now - int(mono * SECOND)
        stepped = offset - self._offset > max(STEP, late // 2)
        self._offset = offset
        if self._parked:
            self._skip(grid.after(now), GapReason.PARKED)
            return None
        catch_up = self._cause is None or stepped or self._late_ok or late <= min(_LATE_AT_MOST, grid.interval // 10)
        slot = self._due
        if late >= grid.interval or not catch_up:
            reason = GapReason.SUSPENDED if stepped else self._cause or GapReason.OVERLOAD
            slot = next_due(grid, self._due, now, catch_up=catch_up).slot
            self._skip(slot, reason)
            if slot > now:
                return None
        self._due = slot + grid.interval  # before the work: a crash cannot fire the slot twice
        lag_s = 0.0 if stepped else (now - slot) * 1e-6
        return Flight(self.monitor, self._key(), Trigger.SCHEDULED, slot, mono, lag_s)

    async def _check(self, flight: Flight) -> None:
        tools = self._tools
        self._flight = flight
        result = await tools.checker.check(flight)
        if flight.answers:
            tools.answer(result, flight.answers)
        else:
            tools.recorder.record(result)
        self._flight = None
        began = flight.began
        assert began is not None
        self._began = began
        queued_s = began - flight.asked
        on_grid = flight.trigger is Trigger.SCHEDULED
        self._late_ok = not on_grid
        self._cause = GapReason.OVERLOAD if queued_s * 1000.0 > result.duration_ms else GapReason.OVERRUN
        if result.observation.category is not Category.ENGINE_INTERNAL:
            self._crashes = 0
        if on_grid:
            tools.meter.lag(flight.late_s + queued_s)
        tools.meter.observe(result)

    async def _check_asked(self, now: Instant, mono: float) -> None:
        """Make one check for all who asked before it began, unless all of them went away."""
        asked, self._asked = self._asked or [], None
        asked = [(monitor, answer) for monitor, answer in asked if not answer.done()]
        if not asked:
            return
        newest = max((monitor for monitor, _ in asked), key=lambda monitor: monitor.version)
        if newest.version <= self.monitor.version:
            newest = self.monitor
        flight = Flight(newest, host_of(newest.spec.check), Trigger.MANUAL, now, mono)
        flight.answers = [answer for _, answer in asked]
        await self._check(flight)

    def _key(self) -> str:
        if self._host is None:
            self._host = host_of(self.monitor.spec.check)
        return self._host

    # Changes

    def _assign(self, assignment: Assignment) -> None:
        tools = self._tools
        monitor, grid, old = assignment.monitor, assignment.monitor.grid, self._grid
        now, mono = tools.clock.now(), tools.clock.monotonic()
        cause = self._cause or GapReason.OVERRUN
        covered = assignment.covered_until
        if old is None:
            self._due, cause = covered, GapReason.RESTART
        elif old != grid:
            self._skip(min(now, covered), cause)  # slots of the old schedule that its end left behind
            self._due = covered
        self.monitor, self._grid, self._host = monitor, grid, None
        self.tell_health(assignment.health)
        self._parked = assignment.health.status is Status.FAULTED
        self._crashes, self._failure = 0, None
        if old != grid:
            # After a restart, catching up would fire every monitor at once.
            plan = next_due(grid, self._due, now, catch_up=old is not None or covered >= tools.since)
            self._due = plan.missed_from
            self._skip(plan.slot, cause)
            self._offset = now - int(mono * SECOND)
            # No check of ours is known yet: spread the first ones off the grid like the grid itself.
            period_s = monitor.spec.recheck_interval_s if self._suspicious else monitor.spec.interval_s
            self._began = mono - period_s + (grid.after(now) - now) * 1e-6 % max(period_s, 1)
        self._next = None

    def _skip(self, until: Instant, reason: GapReason) -> None:
        """Record the slots from ``_due`` on and before ``until`` as a gap, if there are any, and move on (I5)."""
        grid = self._grid
        assert grid is not None
        slots = grid.count(self._due, until)
        if slots:
            self._record_gap(grid.at_or_after(self._due), until, slots, reason)
        self._due = max(self._due, grid.at_or_after(until))

    def _record_gap(self, first: Instant, until: Instant, slots: int, reason: GapReason) -> None:
        monitor = self.monitor
        self._tools.recorder.record_gap(
            Gap(
                monitor_id=monitor.id,
                org_id=monitor.org_id,
                monitor_version=monitor.version,
                first_slot=first,
                until=until,
                slots=slots,
                reason=reason,
            )
        )

    # Ends

    def crashed(self, failure: str) -> None:
        """Note that ``run`` raised. ``failure`` is shown to people: it holds no secrets of the configuration."""
        self._crashes += 1
        self._failure = failure

    async def _recover(self) -> None:
        """Record what was in the air at the crash; wait; after too many crashes in a row, park."""
        tools = self._tools
        pending = self._next  # not None where the new configuration itself is what breaks us
        self._account(GapReason.CRASHED)
        if self._crashes != CRASHES_TO_PARK:
            await self._back_off(tools.backoff(self._crashes), pending)
        if self._crashes >= CRASHES_TO_PARK and not self._parked and self._next is pending and self._stop_at is None:
            await self._park(pending.monitor if pending is not None else self.monitor)
        self._failure, self._cause, self._late_ok = None, GapReason.CRASHED, True
        self._began = tools.clock.monotonic()

    async def _back_off(self, seconds: float, pending: Assignment | None) -> None:
        clock = self._tools.clock
        until = clock.monotonic() + seconds
        while self._stop_at is None and self._next is pending and (rest_s := until - clock.monotonic()) > 0.0:
            await self._sleep(rest_s)

    async def _park(self, monitor: Monitor) -> None:
        if self.version:  # an actor that only answers CheckNow ends instead
            message = f"monitord's own fault: {self._crashes} crashes in a row, the last one {self._failure}"
            await self._tools.recorder.park(monitor, message)
            self._parked, self.status = True, Status.FAULTED

    def _account(self, reason: GapReason) -> None:
        """Record the check that was under way when something broke."""
        flight = self._flight
        if flight is None:
            return
        tools = self._tools
        if flight.began is not None and reason is GapReason.CRASHED:
            seen = internal_error(f"monitord's own fault: {self._failure}")
            result = flight.result(tools.clock.monotonic() - flight.began, seen)
            if flight.answers:
                tools.answer(result, flight.answers)
            else:
                tools.recorder.record(result)
            tools.meter.observe(result)
        elif flight.trigger is Trigger.SCHEDULED:
            until = flight.scheduled_at + flight.monitor.spec.interval_s * SECOND
            self._record_gap(flight.scheduled_at, until, 1, reason)
            flight.answers = []
        if flight.began is None or reason is not GapReason.CRASHED:  # not made: ask again, or abandon
            self._asked = [*(self._asked or ()), *((flight.monitor, answer) for answer in flight.answers)] or None
        self._flight = None

    def _leave(self) -> None:
        """Account for the slots up to the stop (I5)."""
        stop_at = self._stop_at
        if stop_at is None:
            return
        self._account(GapReason.STOPPED)
        if self._grid is not None:
            self._skip(stop_at, self._cause or GapReason.STOPPED)

    def abandon(self) -> None:
        """Tell those who still wait for a check that it will not come."""
        answers = [answer for _, answer in self._asked or ()]
        if self._flight is not None:
            answers += self._flight.answers
        for answer in answers:
            if not answer.done():
                answer.set_exception(
                    FailedPreconditionError("The monitor was paused or deleted before the check was over.")
                    if self.stopping
                    else UnavailableError("monitord is stopping.")
                )


def _set(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
