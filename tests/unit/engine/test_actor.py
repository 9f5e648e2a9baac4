"""An actor's checks at exact moments."""

import asyncio

import pytest

from monitord.domain.check import Category, Gap, GapReason, Observation, Trigger, Verdict
from monitord.domain.health import Health, Policy, Status
from monitord.domain.instant import SECOND
from monitord.domain.monitor import Monitor
from monitord.domain.schedule import grid_of
from tests.support.clock import EPOCH, VirtualClock
from tests.support.engine_fakes import DOWN, UP, Call, Fold, assign, monitor
from tests.unit.engine.conftest import Engine, build, running

UP_HEALTH = Health(status=Status.UP, judged=Status.UP)


def at(m: Monitor, slot: int) -> float:
    """When the monitor's n-th slot after EPOCH is, in seconds after EPOCH."""
    return (m.grid.at_or_after(EPOCH) - EPOCH) / SECOND + slot * m.spec.interval_s


def close(moments: list[float]) -> list[object]:
    return [pytest.approx(moment, abs=1e-5) for moment in moments]


def gap(row: Gap, clock: VirtualClock) -> tuple[float, int, GapReason]:
    return round(clock.since_epoch(row.first_slot), 3), row.slots, row.reason


async def test_a_day_of_checks_at_each_slot_exactly(engine: Engine) -> None:
    monitors = [monitor(1, interval_s=60), monitor(2, interval_s=3600), monitor(3, interval_s=86_400)]
    for m in monitors:
        engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(86_400)
    for m in monitors:
        day = close([at(m, slot) for slot in range(86_400 // m.spec.interval_s)])
        assert engine.slots(m.id) == day
        assert engine.starts(m.id) == day
    assert {result.trigger for result in engine.recorder.results} == {Trigger.SCHEDULED}
    assert not engine.recorder.gaps
    assert max(engine.meter.lags) < 1e-5
    assert engine.meter.observed == len(engine.recorder.results) == 1440 + 24 + 1


async def test_a_check_runs_with_the_version_and_organisation_of_its_monitor(engine: Engine) -> None:
    engine.supervisor.adopt(assign(monitor(version=9), EPOCH))
    await engine.until(60)
    (result,) = engine.recorder.results
    assert (result.monitor_id, result.org_id, result.monitor_version) == (1, 7, 9)


async def test_an_overrun_skips_the_slots_it_covers_and_keeps_the_grid(engine: Engine) -> None:
    """(I5) Fixed rate, never at the same time: missed slots are skipped, and recorded."""
    m = monitor(interval_s=10, timeout_ms=30_000)
    engine.probe.seconds = 23
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 6) + 5)
    assert engine.slots() == close([at(m, 0), at(m, 3)])
    assert [gap(row, engine.clock) for row in engine.recorder.gaps] == [
        (round(at(m, 1), 3), 2, GapReason.OVERRUN),
        (round(at(m, 4), 3), 2, GapReason.OVERRUN),
    ]
    assert engine.probe.overlaps == 0


async def test_a_check_that_times_out_just_at_its_interval_costs_no_slot(engine: Engine) -> None:
    m = monitor(interval_s=10, timeout_ms=10_000)
    engine.probe.seconds = 10.02
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 20))
    assert engine.slots()[:15] == close([at(m, slot) for slot in range(15)])
    assert not engine.recorder.gaps


async def test_while_a_change_is_suspected_checks_come_every_recheck_interval(engine: Engine) -> None:
    m = monitor(interval_s=60, recheck_interval_s=10)

    async def down_twice(call: Call, n: int) -> Observation:
        return DOWN if n in (1, 2) else UP

    engine.probe.script = down_twice
    engine.recorder.on_record = Fold(engine.supervisor.settled, Policy(failure_threshold=4))
    engine.supervisor.adopt(assign(m, EPOCH, UP_HEALTH))
    await engine.until(at(m, 3) + 1)
    assert [
        (r.trigger, round(engine.clock.since_epoch(r.started_at) - at(m, 0), 3)) for r in engine.recorder.results
    ] == [
        (Trigger.SCHEDULED, 0),
        (Trigger.SCHEDULED, 60),
        (Trigger.RECHECK, 70),
        (Trigger.RECHECK, 80),  # up again: the suspicion is over
        (Trigger.SCHEDULED, 120),
        (Trigger.SCHEDULED, 180),
    ]
    assert engine.supervisor.statuses() == {Status.UP: 1}
    assert len(engine.meter.lags) == 4  # a check off the grid has no slot to be late for


async def test_a_slot_that_comes_due_during_a_recheck_is_checked_right_after(engine: Engine) -> None:
    """(I5) A check off the grid never costs a slot."""
    m = monitor(interval_s=30, timeout_ms=20_000, recheck_interval_s=25)

    async def slow_recheck(call: Call, n: int) -> Observation:
        await asyncio.sleep(12 if n == 1 else 0)
        return DOWN

    engine.probe.script = slow_recheck
    engine.recorder.on_record = Fold(engine.supervisor.settled, Policy(failure_threshold=10))
    engine.supervisor.adopt(assign(m, EPOCH, UP_HEALTH))
    await engine.until(at(m, 1) + 8)
    triggers = [
        (r.trigger, round(engine.clock.since_epoch(r.started_at) - at(m, 0), 3)) for r in engine.recorder.results
    ]
    assert triggers == [(Trigger.SCHEDULED, 0), (Trigger.RECHECK, 25), (Trigger.SCHEDULED, 37)]
    assert engine.slots()[2] == pytest.approx(at(m, 1), abs=1e-5)
    assert not engine.recorder.gaps
    assert engine.probe.overlaps == 0


async def test_without_a_recheck_interval_there_are_no_rechecks(engine: Engine) -> None:
    async def down(call: Call, n: int) -> Observation:
        return DOWN

    engine.probe.script = down
    engine.recorder.on_record = Fold(engine.supervisor.settled, Policy(failure_threshold=10))
    engine.supervisor.adopt(assign(monitor(recheck_interval_s=0), EPOCH, UP_HEALTH))
    await engine.until(600)
    assert {result.trigger for result in engine.recorder.results} == {Trigger.SCHEDULED}


async def test_a_slow_host_makes_no_other_late() -> None:
    """(I11)"""
    async with running(build(limit=20, per_host=2)) as engine:

        async def by_host(call: Call, n: int) -> Observation:
            await asyncio.sleep(30 if "slow" in call.check.url else 0.01)
            return UP

        engine.probe.script = by_host
        for id_ in range(1, 201):
            host = "slow.test" if id_ <= 100 else f"h{id_}.test"
            engine.supervisor.adopt(assign(monitor(id_, interval_s=60, timeout_ms=40_000, host=host), EPOCH))
        await engine.until(600)
        for id_ in range(101, 201):
            late = [s - d for s, d in zip(engine.starts(id_), engine.slots(id_), strict=True)]
            assert max(late) < 0.1
            assert len(late) == 10
        assert engine.probe.overlaps == 0


async def test_slots_lost_in_the_queue_of_the_gate_are_an_overload() -> None:
    async with running(build(limit=1)) as engine:
        engine.probe.seconds = 20
        for id_ in (1, 2, 3):
            engine.supervisor.adopt(assign(monitor(id_, interval_s=30, timeout_ms=15_000_000), EPOCH))
        await engine.until(400)
        assert {row.reason for row in engine.recorder.gaps} == {GapReason.OVERLOAD}
        assert engine.probe.most_at_once == 1
        assert max(engine.meter.lags) > 20  # waiting there counts as lateness
        assert all(result.duration_ms == pytest.approx(20_000) for result in engine.recorder.results)


async def test_a_loop_that_stands_still_costs_slots_by_overload_and_one_catch_up_each(engine: Engine) -> None:
    m = monitor(interval_s=10)
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 5)
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.advance, 27.0)  # type: ignore[attr-defined]
    await engine.until(at(m, 0) + 45)
    assert engine.slots() == close([at(m, 0), at(m, 3), at(m, 4)])
    assert [gap(row, engine.clock) for row in engine.recorder.gaps] == [(round(at(m, 1), 3), 2, GapReason.OVERLOAD)]
    assert engine.starts()[1] == pytest.approx(at(m, 0) + 32)


async def test_overdue_monitors_are_counted() -> None:
    async with running(build(limit=1)) as engine:
        engine.probe.seconds = 100
        for id_ in (1, 2, 3):
            engine.supervisor.adopt(assign(monitor(id_, interval_s=30, timeout_ms=20_000_000), EPOCH))
        assert engine.supervisor.overdue() == 0
        await engine.until(90)
        assert engine.supervisor.in_flight == 1
        assert engine.supervisor.overdue() == 0  # 20,000 s of timeout are not over
    async with running(build(limit=1)) as engine:
        engine.gate.try_enter("other")
        for id_ in (1, 2, 3):
            engine.supervisor.adopt(assign(monitor(id_, interval_s=30, timeout_ms=5000), EPOCH))
        await asyncio.sleep(60)
        assert engine.supervisor.overdue() == 3
        engine.gate.leave("other")
        await asyncio.sleep(30)
        assert engine.supervisor.overdue() == 0


async def test_a_hundred_actors_spread_over_their_interval(engine: Engine) -> None:
    for id_ in range(1, 101):
        engine.supervisor.adopt(assign(monitor(id_, interval_s=60), EPOCH))
    await engine.until(60)
    per_second = [0] * 60
    for call in engine.probe.calls:
        per_second[int(call.at)] += 1
    assert sum(per_second) == 100
    assert max(per_second) <= 6
    assert grid_of(1, 60 * SECOND) == monitor(1).grid


async def test_a_hung_probe_is_our_fault_and_the_next_slot_is_kept(engine: Engine) -> None:
    """(I9)"""
    m = monitor(interval_s=10, timeout_ms=5000)

    async def hang_once(call: Call, n: int) -> Observation:
        if n == 0:
            await asyncio.sleep(1e6)
        return UP

    engine.probe.script = hang_once
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 1) + 1)
    first, second = engine.recorder.results
    assert first.observation.verdict is Verdict.INCONCLUSIVE
    assert first.observation.category is Category.ENGINE_INTERNAL
    assert first.duration_ms <= 5500
    assert second.observation is UP
    assert engine.meter.restarts == 0
