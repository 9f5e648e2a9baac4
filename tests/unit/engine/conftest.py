"""A supervisor under virtual time, with fakes around it."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from monitord.engine.checker import Checker
from monitord.engine.clock import ClockWatch
from monitord.engine.gate import Gate
from monitord.engine.supervisor import Supervisor
from tests.support.clock import VirtualClock
from tests.support.engine_fakes import FakeMeter, FakeProbe, FakeRecorder


@dataclass
class Engine:
    clock: VirtualClock
    probe: FakeProbe
    recorder: FakeRecorder
    meter: FakeMeter
    gate: Gate
    supervisor: Supervisor
    watch: ClockWatch
    loop_lags: list[float] = field(default_factory=list)

    async def until(self, seconds: float) -> None:
        """Let the monotonic clock reach this many seconds."""
        await asyncio.sleep(seconds - self.clock.monotonic())

    def slots(self, monitor_id: int = 1) -> list[float]:
        return [self.clock.since_epoch(result.scheduled_at) for result in self.recorder.of(monitor_id)]

    def starts(self, monitor_id: int = 1) -> list[float]:
        return [self.clock.since_epoch(result.started_at) for result in self.recorder.of(monitor_id)]


def build(
    *,
    clock: VirtualClock | None = None,
    probe: FakeProbe | None = None,
    recorder: FakeRecorder | None = None,
    limit: int = 500,
    per_host: int = 500,
    seed: int = 1,
) -> Engine:
    clock = clock or VirtualClock()
    probe, recorder, meter = probe or FakeProbe(), recorder or FakeRecorder(), FakeMeter()
    gate = Gate(limit, per_host)
    lags: list[float] = []

    async def realign() -> None:
        await supervisor.realign()

    watch = ClockWatch(clock, on_step=realign, on_lag=lags.append, tick_s=1.0)
    checker = Checker(probe=probe, gate=gate, clock=clock, stalled_since=watch.stalled_since)
    supervisor = Supervisor(
        checker=checker, recorder=recorder, meter=meter, clock=clock, jitter=random.Random(seed), stop_grace_s=1.0
    )
    return Engine(clock, probe, recorder, meter, gate, supervisor, watch, lags)


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[Engine]:
    """Run the supervisor and the watch over the clock, as the root task group of the process would."""
    tasks = [asyncio.create_task(engine.supervisor.run()), asyncio.create_task(engine.watch.run())]
    await asyncio.sleep(0)
    try:
        yield engine
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome
        assert engine.gate.in_flight == engine.gate.waiting == 0


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """Keep the lines that the engine logs: rendering the tracebacks of intended crashes is slow."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with running(build()) as engine:
        yield engine
