"""(I5) Whatever happens, every slot has exactly one of: a result, a part of a gap, a pause."""

import asyncio
import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from monitord.domain.check import Gap, Observation, Trigger
from monitord.domain.instant import Instant
from monitord.domain.monitor import Monitor
from monitord.domain.schedule import Grid
from monitord.engine.gate import Gate
from tests.support.clock import VirtualClock
from tests.support.engine_fakes import UP, Call, FakeProbe, FakeRecorder, assign, changed, monitor
from tests.support.virtual_time import VirtualTimeLoop
from tests.unit.engine.conftest import Engine, build, running


@dataclass
class Span:
    """Which grid of slots held when: what the store keeps, and the audit compares with the log."""

    grid: Grid
    start: Instant
    until: Instant | None = None


@dataclass
class History:
    """Drives one monitor through changes, and keeps the spans as the store would."""

    rnd: random.Random
    clock: VirtualClock
    recorder: FakeRecorder = field(default_factory=FakeRecorder)
    probe: FakeProbe = field(default_factory=FakeProbe)
    spans: list[Span] = field(default_factory=list)
    monitor: Monitor = field(default_factory=lambda: monitor(interval_s=10, timeout_ms=8000))
    changed_at: float = 0.0
    intervals: dict[int, int] = field(default_factory=dict)
    """By version: a gap's slots are those of its version."""
    held: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.probe.script = self._probe

    async def _probe(self, call: Call, n: int) -> Observation:
        match self.rnd.randrange(10):
            case 0:
                await asyncio.sleep(self.rnd.uniform(0, 40))  # past its own timeout: a bug of the probe
            case 1:
                raise RuntimeError("a bug of the probe")
            case 2:
                await asyncio.sleep(self.rnd.uniform(0, 8))
        return UP

    def covered_until(self) -> Instant:
        return self.recorder.covered_until(1, self.spans[-1].start)

    async def process(self, seconds: float) -> None:
        """Run monitord for a while, then kill it: what was in flight is lost (I6)."""
        engine = build(
            clock=self.clock, probe=self.probe, recorder=self.recorder, limit=2, per_host=2, seed=self.rnd.randrange(99)
        )
        until = self.clock.monotonic() + seconds
        async with running(engine):
            if self.spans[-1].until is None:
                engine.supervisor.adopt(assign(self.monitor, self.covered_until()))
            while self.clock.monotonic() < until:
                await asyncio.sleep(self.rnd.uniform(0.0, 15))
                await self._event(engine)
            # What the last change found in flight belongs to a schedule that is over: see that it ends.
            await asyncio.sleep(max(0.0, 60 - (self.clock.monotonic() - self.changed_at)))
            rows = len(self.recorder.rows)
            for holder in self.held:
                holder.cancel()
            await asyncio.gather(*self.held, return_exceptions=True)
            self.held.clear()
        del self.recorder.rows[rows:]  # a process that is killed says nothing more

    async def _event(self, engine: Engine) -> None:
        now = self.clock.now()
        self.intervals[self.monitor.version] = self.monitor.grid.interval
        before = len(self.spans), self.spans[-1].until
        await self._one_of_many(engine, now)
        if before != (len(self.spans), self.spans[-1].until):
            self.changed_at = self.clock.monotonic()
            self.intervals[self.monitor.version] = self.monitor.grid.interval

    async def _one_of_many(self, engine: Engine, now: Instant) -> None:
        paused = self.spans[-1].until is not None
        match self.rnd.randrange(9):
            case 0 if not paused:  # change
                spec = {"interval_s": self.rnd.choice([5, 10, 10, 30, 60])}
                self._next(changed(self.monitor, **spec))
                await asyncio.sleep(self.rnd.choice([0, 0.3]))
                engine.supervisor.adopt(assign(self.monitor, now))
            case 1 if not paused:  # pause
                self.spans[-1].until = now
                self.monitor = changed(self.monitor)
                engine.supervisor.release(1)
                if self.rnd.random() < 0.5:
                    await engine.supervisor.stop(1)
            case 2 | 3 if paused:  # resume
                self.monitor = changed(self.monitor)
                self.spans.append(Span(self.monitor.grid, now))
                engine.supervisor.adopt(assign(self.monitor, now))
            case 4:
                self.clock.step(self.rnd.choice([1, 7, 100, 3600]))
            case 5:
                loop = asyncio.get_running_loop()
                assert isinstance(loop, VirtualTimeLoop)
                loop.advance(self.rnd.uniform(0, 30))  # the loop stands still
            case 6 if not paused:
                caller = asyncio.create_task(engine.supervisor.check_now(self.monitor))
                caller.add_done_callback(lambda task: task.cancelled() or task.exception())
            case 7:
                for host in ("x", "y"):  # others hold the gate
                    if engine.gate.try_enter(host):
                        self.held.append(asyncio.create_task(self._hold(engine.gate, host, self.rnd.uniform(0, 25))))

    async def _hold(self, gate: Gate, host: str, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        finally:
            gate.leave(host)

    def _next(self, monitor: Monitor) -> None:
        self.spans[-1].until = self.clock.now()
        self.monitor = monitor
        self.spans.append(Span(monitor.grid, self.clock.now()))

    def audit(self) -> None:
        self.intervals[self.monitor.version] = self.monitor.grid.interval
        until = self.covered_until()
        times: dict[Instant, int] = {}
        for row in self.recorder.rows:
            if isinstance(row, Gap):
                interval = self.intervals[row.monitor_version]
                for slot in range(row.first_slot, row.until, interval):
                    times[slot] = times.get(slot, 0) + 1
                assert row.slots == len(range(row.first_slot, row.until, interval))
            elif row.trigger is Trigger.SCHEDULED:
                times[row.scheduled_at] = times.get(row.scheduled_at, 0) + 1
        for span in self.spans:
            end = min(span.until or until, until)
            first = span.grid.at_or_after(span.start)
            for slot in range(first, end, span.grid.interval):
                assert times.get(slot, 0) == 1, (slot, times.get(slot, 0), span)
        assert self.probe.overlaps == 0


@given(st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_every_slot_has_exactly_one_row_whatever_happens(seed: int) -> None:
    async def main() -> None:
        rnd = random.Random(seed)
        history = History(rnd, VirtualClock())
        history.spans.append(Span(history.monitor.grid, history.clock.now()))
        for _ in range(3):
            await history.process(rnd.uniform(50, 600))
            await asyncio.sleep(rnd.uniform(0, 200))  # down
        if history.spans[-1].until is not None:
            history.monitor = changed(history.monitor)
            history.spans.append(Span(history.monitor.grid, history.clock.now()))
        await history.process(100)
        history.audit()
        assert len(history.recorder.rows) > 3

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
