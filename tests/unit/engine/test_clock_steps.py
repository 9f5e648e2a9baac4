"""(I18) Steps of the wall clock, and sleeps of the machine."""

import asyncio
import itertools

import pytest

from monitord.domain.check import GapReason, Trigger
from monitord.domain.instant import SECOND
from tests.support.clock import EPOCH
from tests.support.engine_fakes import assign, monitor
from tests.unit.engine.conftest import Engine, build, running
from tests.unit.engine.test_actor import at, close, gap


@pytest.mark.parametrize("step", [3600.0, 86_400.0, 200.0])
async def test_after_a_sleep_one_catch_up_check_and_a_gap(engine: Engine, step: float) -> None:
    m = monitor(interval_s=60)
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 2) + 30.5)
    engine.clock.step(step)
    before = len(engine.recorder.results)
    await engine.until(at(m, 2) + 32)  # noticed at the watch's next tick
    late = [result for result in engine.recorder.results[before:] if result.trigger is Trigger.SCHEDULED]
    assert len(late) == 1
    grid = m.grid
    assert late[0].scheduled_at == grid.at_or_before(engine.clock.now())
    missed = round((late[0].scheduled_at - m.grid.at_or_after(EPOCH)) / SECOND / 60) - 3
    assert [gap(row, engine.clock) for row in engine.recorder.gaps] == [
        (round(at(m, 3), 3), missed, GapReason.SUSPENDED)
    ]
    assert engine.recorder.gaps[0].until == late[0].scheduled_at
    await engine.until(at(m, 2) + 32 + 600)
    assert len(engine.recorder.results) == before + 1 + 10
    assert max(engine.meter.lags) < 1  # the clock was late, not we


async def test_a_step_that_crosses_one_slot_records_no_gap(engine: Engine) -> None:
    m = monitor(interval_s=60)
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 30.5)
    engine.clock.step(40)
    await engine.until(at(m, 0) + 32)
    assert engine.slots() == close([at(m, 0), at(m, 1)])
    assert not engine.recorder.gaps


async def test_a_step_forward_during_a_check(engine: Engine) -> None:
    m = monitor(interval_s=60)
    engine.probe.seconds = 2
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 1)
    engine.clock.step(600)
    await engine.until(at(m, 0) + 10)
    assert engine.recorder.results[0].duration_ms == pytest.approx(2000)  # on the monotonic clock
    assert engine.slots() == close([at(m, 0), at(m, 10)])
    assert [gap(row, engine.clock) for row in engine.recorder.gaps] == [(round(at(m, 1), 3), 9, GapReason.SUSPENDED)]


@pytest.mark.parametrize("step", [-1.0, -5.0, -29.0])
async def test_a_small_step_back_checks_no_slot_twice(engine: Engine, step: float) -> None:
    m = monitor(interval_s=60)
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 1) + 0.5)
    engine.clock.step(step)
    await engine.until(at(m, 3) - step + 10)
    assert engine.slots() == close([at(m, slot) for slot in range(4)])
    assert [call.at for call in engine.probe.calls[2:]] == close([at(m, 2) - step, at(m, 3) - step])
    assert not engine.recorder.gaps


async def test_a_step_back_by_an_hour_blinds_nobody(engine: Engine) -> None:
    m = monitor(interval_s=60)
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 10) + 20.5)
    engine.clock.step(-3600)
    await engine.until(at(m, 80) + 1)
    scheduled = [r.scheduled_at for r in engine.recorder.results if r.trigger is Trigger.SCHEDULED]
    assert len(scheduled) == len(set(scheduled)) == 11 + 10  # no slot twice, and all of them
    assert not engine.recorder.gaps
    moments = [call.at for call in engine.probe.calls]
    between = [b - a for a, b in itertools.pairwise(moments)]
    assert max(between) <= 120.001
    assert min(between) >= 0.5 * 60
    assert {r.trigger for r in engine.recorder.results} == {Trigger.SCHEDULED, Trigger.RECHECK}


async def test_a_restart_on_a_clock_that_was_set_back_is_not_blind_either(engine: Engine) -> None:
    m = monitor(interval_s=60)
    engine.supervisor.adopt(assign(m, EPOCH + 3600 * SECOND))  # covered until an hour from now
    await engine.until(1800)
    assert len(engine.probe.calls) in (29, 30)
    assert {r.trigger for r in engine.recorder.results} == {Trigger.RECHECK}
    assert not engine.recorder.gaps


async def test_catching_up_after_a_sleep_is_bounded_by_the_gate() -> None:
    async with running(build(limit=10)) as engine:
        engine.probe.seconds = 0.1
        for id_ in range(1, 501):
            engine.supervisor.adopt(assign(monitor(id_, interval_s=3600), EPOCH))
        await engine.until(10.5)
        engine.clock.step(7200)
        before = len(engine.probe.calls)
        await engine.until(20)
        assert len(engine.probe.calls) - before >= 500
        assert engine.probe.most_at_once == 10
        assert engine.probe.overlaps == 0


async def test_a_slewed_clock_is_followed(engine: Engine) -> None:
    """The wall runs 500 ppm slow for half a day: checks follow it, none too early."""
    m = monitor(interval_s=600)
    engine.supervisor.adopt(assign(m, EPOCH))
    loop = asyncio.get_running_loop()
    for second in range(0, 43_200, 10):
        loop.call_at(second, engine.clock.step, -0.005)
    await engine.until(43_200)
    lateness = [start - slot for start, slot in zip(engine.starts(), engine.slots(), strict=True)]
    assert len(lateness) >= 71
    assert min(lateness) >= 0
    assert max(lateness) < 0.01
    assert not engine.recorder.gaps
