"""One monitor's actor: its timer, its mailbox, its checks."""

import asyncio

from monitord.domain.check import Category, CheckResult, GapReason, Trigger
from monitord.domain.errors import FailedPreconditionError, UnavailableError
from monitord.domain.health import Health, Status, suspicious
from monitord.domain.instant import Instant
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Assignment, Monitor, MonitorSpec
from monitord.engine.agenda import Agenda
from monitord.engine.checker import Flight, internal_error
from monitord.engine.tools import Tools
from monitord.engine.witness import Answer, Witness

CRASHES_TO_PARK = 5

_INSTANT_S = 1e-6
"""The wall clock counts microseconds: a shorter wait is none, and might not move the clock at all."""


class Actor:
    """Checks one monitor until told to stop; never twice at the same time.

    The ``tell`` methods are its mailbox: each message is taken into the state at once, so there is no queue that could
    grow (I16), and wakes the actor; ``run`` looks at the state before each decision.

    A check under way is in ``_flight`` until it is recorded, so that a crash, or a stop, loses no slot (I5).
    """

    __slots__ = (
        "_agenda",
        "_asked",
        "_broken",
        "_crashes",
        "_cut",
        "_failure",
        "_flight",
        "_host",
        "_stop_at",
        "_suspicious",
        "_tools",
        "_waiter",
        "_witness",
        "monitor_id",
        "status",
        "task",
    )

    def __init__(self, tools: Tools, monitor: Monitor) -> None:
        """Make an actor without a schedule: until it is assigned one, it only answers CheckNow, then ends."""
        self.monitor_id = monitor.id
        self.status = Status.UNKNOWN
        """As last committed."""
        self.task: asyncio.Task[None] | None = None
        self._tools = tools
        self._agenda = Agenda(monitor, tools.recorder.record_gap)
        self._host: str | None = None
        self._suspicious = False
        self._crashes = 0
        self._failure: str | None = None
        self._flight: Flight | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._cut = False
        self._broken: Assignment | None = None
        self._witness = Witness()
        # the mailbox
        self._asked: tuple[tuple[Monitor, asyncio.Future[LogEntry]], ...] = ()
        self._stop_at: Instant | None = None

    # Messages

    def tell_assignment(self, assignment: Assignment) -> None:
        """Reconfigure: a check under way ends with its old version; every later one has the new one (I10).

        The agenda changes at once, also during a check: of two changes, the schedule in between had its slots, too.
        """
        if assignment.monitor.version <= self.version:
            return
        try:
            self._assign(assignment)
        except (ArithmeticError, TypeError, ValueError):
            self._broken = assignment  # for `run` to meet, inside the guard, as nobody else's trouble (I11)
        self.wake()

    def tell_health(self, health: Health) -> None:
        """Settled: the committed health changed, so re-checks begin or end."""
        self.status = health.status
        if self._suspicious != suspicious(health):
            self._suspicious = not self._suspicious
            self.wake()

    def tell_check(self, monitor: Monitor, answer: "asyncio.Future[LogEntry]") -> None:
        """CheckNow: one check as soon as none is under way; its row goes to ``answer``."""
        self._asked = (*self._asked, (monitor, answer))
        self.wake()

    def tell_verify(self, not_before: float, answer: Answer) -> None:
        """Verify: what says a check that began no earlier than about ``not_before``? One is made if need be."""
        if not self._agenda.scheduled or self._agenda.parked or self.stopping:
            answer.set_result(None)
        elif self._witness.ask(not_before, answer):
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
        if self._waiter is not None:
            _set(self._waiter)

    def _cut_short(self) -> None:
        if self.task is not None and not self.task.done() and not self._cut:
            self._cut = True
            self.task.cancel()

    # What others may know

    @property
    def version(self) -> int:
        """The newest version this actor was told of; 0 while it has no schedule."""
        if self._broken is not None:
            return self._broken.monitor.version
        return self._agenda.monitor.version if self._agenda.scheduled else 0

    @property
    def monitor(self) -> Monitor:
        """What is checked, as last told."""
        return self._agenda.monitor

    @property
    def spec(self) -> MonitorSpec:
        """What is checked, as last told."""
        return self._agenda.monitor.spec

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop_at is not None

    def overdue(self, now: Instant) -> bool:
        """Return whether a slot has waited for longer than its timeout, and for more than a second."""
        flight = self._flight
        at_gate = flight is not None and flight.began is None and flight.trigger is Trigger.SCHEDULED
        return self._agenda.overdue(now, flight.scheduled_at if flight is not None and at_gate else None)

    # Life

    async def run(self) -> None:
        """Check until stopped. Raises whatever breaks; called again, it goes on from there."""
        try:
            if self._failure is not None:
                await self._recover()
            await self._work()
        except asyncio.CancelledError:
            if not self._cut or self.task is None or self.task.uncancel():
                raise
        if self._stop_at is not None:
            self._account(GapReason.STOPPED)
            if not self._tools.closed:  # the next start accounts for what comes after a shutdown has begun
                self._agenda.close(self._stop_at)

    async def _work(self) -> None:
        tools, agenda = self._tools, self._agenda
        clock = tools.clock
        while self._stop_at is None and not tools.closed:
            if self._broken is not None:
                self._assign(self._broken)
            now, mono = clock.now(), clock.monotonic()
            wait_s = agenda.wait_s(now)
            if wait_s <= 0.0:
                claimed = agenda.claim(now, mono)
                if claimed is not None:
                    slot, late_s = claimed
                    await self._check(Flight(agenda.monitor, self._key(), Trigger.SCHEDULED, slot, mono, late_s))
                continue
            agenda.idle(now, mono)
            if self._asked:
                await self._check_asked(now, mono)
                continue
            if self._witness.is_awaited:
                await self._check(Flight(agenda.monitor, self._key(), Trigger.RECHECK, now, mono))
                continue
            if not agenda.scheduled:
                return
            off_grid_s = agenda.off_grid_s(mono, wait_s, self._suspicious)
            if off_grid_s < _INSTANT_S:
                await self._check(Flight(agenda.monitor, self._key(), Trigger.RECHECK, now, mono))
            else:
                await self._sleep(off_grid_s)

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

    async def _check(self, flight: Flight) -> None:
        self._flight = flight
        flight.task = self.task
        flight.settled = self.status is Status.DOWN
        result = await self._tools.checker.check(flight)
        self._record(flight, result)
        self._flight = None
        began = flight.began
        assert began is not None
        on_grid = flight.trigger is Trigger.SCHEDULED
        queued_s = began - flight.asked
        self._agenda.busy(began, queued_s, on_grid=on_grid)
        if result.observation.category is not Category.ENGINE_INTERNAL:
            self._crashes = 0
        self._witness.testify(began, result.observation.verdict)
        if on_grid:
            self._tools.meter.lag(flight.late_s + queued_s)
        self._tools.meter.observe(result)

    async def _check_asked(self, now: Instant, mono: float) -> None:
        """Make one check for all who asked before it began, unless all of them went away."""
        asked = [(monitor, answer) for monitor, answer in self._asked if not answer.done()]
        self._asked = ()
        if not asked:
            return
        # Whoever asks may have read a newer version than the reconciler has told us of.
        newest = max((self._agenda.monitor, *(monitor for monitor, _ in asked)), key=_version)
        flight = Flight(newest, newest.spec.check.peer, Trigger.MANUAL, now, mono)
        flight.answers = [answer for _, answer in asked]
        await self._check(flight)

    def _record(self, flight: Flight, result: CheckResult) -> None:
        if flight.answers:
            self._tools.answer(result, flight.answers)
        else:
            self._tools.recorder.record(result)

    def _key(self) -> str:
        if self._host is None:
            self._host = self._agenda.monitor.spec.check.peer
        return self._host

    def _assign(self, assignment: Assignment) -> None:
        tools, agenda = self._tools, self._agenda
        now, mono = tools.clock.now(), tools.clock.monotonic()
        first = not agenda.scheduled
        agenda.assign(assignment, now, mono, tools.since)
        agenda.parked = assignment.health.status is Status.FAULTED
        self.tell_health(assignment.health)
        if first and self._suspicious:
            agenda.spread_rechecks(now, mono)
        self._host = None
        self._crashes = 0
        self._broken = None
        self._witness.fall_silent()

    # Crashes

    def crashed(self, failure: str) -> None:
        """Note that ``run`` raised. ``failure`` is shown to people: it holds no secrets of the configuration."""
        self._crashes += 1
        self._failure = failure

    async def _recover(self) -> None:
        """Record what was in the air at the crash; wait; after too many crashes in a row, park."""
        tools = self._tools
        self._witness.fall_silent()  # a crash says nothing of the target
        self._account(GapReason.CRASHED)
        if self._crashes != CRASHES_TO_PARK:
            await self._back_off(tools.backoff(self._crashes))
        parkable = self.version and not self._agenda.parked and self._stop_at is None
        if parkable and self._crashes >= CRASHES_TO_PARK:
            monitor = self._agenda.monitor if self._broken is None else self._broken.monitor
            message = f"monitord's own fault: {self._crashes} crashes in a row, the last one {self._failure}"
            await tools.recorder.park(monitor, message)
            self._agenda.parked, self.status = True, Status.FAULTED
        self._failure = None
        self._agenda.down(tools.clock.monotonic())

    async def _back_off(self, seconds: float) -> None:
        """Wait, unless stopped or given another configuration."""
        clock = self._tools.clock
        until = clock.monotonic() + seconds
        while self._stop_at is None and self._crashes and (rest_s := until - clock.monotonic()) > _INSTANT_S:
            await self._sleep(rest_s)

    def _account(self, reason: GapReason) -> None:
        """Record the check that was under way when we crashed, or were stopped."""
        flight = self._flight
        if flight is None:
            return
        tools = self._tools
        if flight.began is not None and reason is GapReason.CRASHED:
            seen = internal_error(f"monitord's own fault: {self._failure}")
            result = flight.result(tools.clock.monotonic() - flight.began, seen)
            self._record(flight, result)
            tools.meter.observe(result)
        else:
            if flight.trigger is Trigger.SCHEDULED:
                self._agenda.lose(flight.monitor, flight.scheduled_at, reason)
            self._asked += tuple((flight.monitor, answer) for answer in flight.answers)
        self._flight = None

    def abandon(self) -> None:
        """Tell those who still wait for a check that it will not come."""
        self._witness.fall_silent()
        in_flight = self._flight.answers if self._flight is not None else ()
        for answer in (*(answer for _, answer in self._asked), *in_flight):
            if answer.done():
                continue
            if self._tools.closed:
                answer.set_exception(UnavailableError("monitord is stopping."))
            else:
                answer.set_exception(FailedPreconditionError("The monitor was stopped before its check was over."))


def _set(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _version(monitor: Monitor) -> int:
    return monitor.version
