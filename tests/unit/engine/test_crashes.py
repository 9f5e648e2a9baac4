"""Restarts of the process, and crashes of an actor: what is restarted, what is parked, what is recorded."""

import asyncio

import msgspec
import pytest

from monitord.domain.check import Category, CheckResult, GapReason, Observation, Trigger, Verdict
from monitord.domain.errors import UnavailableError
from monitord.domain.health import Health, Status
from monitord.domain.instant import SECOND
from monitord.domain.monitor import Monitor
from tests.support.clock import EPOCH
from tests.support.engine_fakes import UP, Call, assign, changed, monitor
from tests.unit.engine.conftest import Engine
from tests.unit.engine.test_actor import at, close, gap


async def test_after_a_restart_the_time_away_is_a_gap_and_the_grid_is_kept(engine: Engine) -> None:
    """(I5, I6) Nothing is caught up: that would fire every monitor at once."""
    m = monitor(interval_s=60)
    engine.supervisor.adopt(assign(m, EPOCH - 600 * SECOND))
    await engine.until(120)
    assert engine.slots() == close([at(m, 0), at(m, 1)])
    assert [gap(row, engine.clock) for row in engine.recorder.gaps] == [(round(at(m, -10), 3), 10, GapReason.RESTART)]


async def test_a_thousand_monitors_restart_on_their_own_slots(engine: Engine) -> None:
    for id_ in range(1, 1001):
        engine.supervisor.adopt(assign(monitor(id_), EPOCH - 600 * SECOND))
    await engine.until(60)
    seconds = [int(call.at) for call in engine.probe.calls]
    assert len(seconds) == 1000
    assert max(map(seconds.count, range(60))) < 40


async def test_a_monitor_that_is_new_has_its_first_slot_even_if_we_hear_of_it_late(engine: Engine) -> None:
    """(I5) Its creation is no restart: a slot that came due before the reconciler told us is checked at once."""
    m = monitor(interval_s=60)
    await engine.until(at(m, 0) + 1)
    engine.supervisor.adopt(assign(m, EPOCH + round((at(m, 0) - 0.5) * SECOND)))
    await engine.until(at(m, 0) + 2)
    assert engine.slots() == close([at(m, 0)])
    assert not engine.recorder.gaps


async def test_rechecks_after_a_restart_are_spread(engine: Engine) -> None:
    suspect = Health(status=Status.UP, judged=Status.UP, down_streak=1, degraded_streak=1)
    for id_ in range(1, 201):
        engine.supervisor.adopt(assign(monitor(id_, interval_s=300, recheck_interval_s=20), EPOCH, suspect))
    await engine.until(19.9)
    seconds = [int(call.at) for call in engine.probe.calls]
    assert len(seconds) >= 195
    assert max(map(seconds.count, range(20))) < 25


async def fail(call: Call, n: int) -> Observation:
    raise KeyError("a secret of the configuration")


async def test_a_probe_that_raises_is_our_fault(engine: Engine) -> None:
    """(I9) And the slot has its row."""
    m = monitor(interval_s=60)

    async def fail_once(call: Call, n: int) -> Observation:
        await asyncio.sleep(0.25)
        return UP if n else await fail(call, n)

    engine.probe.script = fail_once
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 2) + 1)
    assert engine.slots() == close([at(m, 0), at(m, 1), at(m, 2)])
    first = engine.recorder.results[0]
    assert first.observation.verdict is Verdict.INCONCLUSIVE
    assert first.observation.category is Category.ENGINE_INTERNAL
    assert first.duration_ms == pytest.approx(250)
    assert "KeyError" in first.observation.message
    assert "secret" not in first.observation.message
    assert engine.meter.restarts == 1
    assert not engine.recorder.parked


async def test_five_crashes_in_a_row_park_the_monitor(engine: Engine) -> None:
    """(I11) Visible, alerted, and every slot still has its row (I5)."""
    m = monitor(interval_s=60)
    engine.probe.script = fail
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 9) + 1)
    assert len(engine.probe.calls) == 5
    assert [parked.version for parked, _ in engine.recorder.parked] == [1]
    assert "5 crashes" in engine.recorder.parked[0][1]
    assert engine.supervisor.statuses() == {Status.FAULTED: 1}
    assert [gap(row, engine.clock) for row in engine.recorder.gaps] == [
        (round(at(m, n), 3), 1, GapReason.PARKED) for n in range(5, 10)
    ]


async def test_a_completed_check_resets_the_count(engine: Engine) -> None:
    async def four_of_five(call: Call, n: int) -> Observation:
        return UP if n % 5 == 4 else await fail(call, n)

    engine.probe.script = four_of_five
    engine.supervisor.adopt(assign(monitor(interval_s=60), EPOCH))
    await engine.until(3600)
    assert not engine.recorder.parked
    assert engine.meter.restarts == 48
    assert len(engine.recorder.results) == 60


async def test_a_new_version_unparks(engine: Engine) -> None:
    m = monitor(interval_s=60)
    engine.probe.script = fail
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 6) + 1)
    engine.probe.script = None
    engine.supervisor.adopt(assign(m, engine.clock.now()))  # the same version: nothing
    await engine.until(at(m, 7) + 1)
    assert engine.recorder.gaps[-1].reason is GapReason.PARKED
    engine.supervisor.adopt(assign(changed(m), engine.clock.now()))
    await engine.until(at(m, 9) + 1)
    assert engine.slots()[-2:] == close([at(m, 8), at(m, 9)])
    assert engine.supervisor.statuses() == {Status.PENDING: 1}


async def test_a_parked_monitor_stays_parked_over_a_restart(engine: Engine) -> None:
    m = monitor(interval_s=60)
    engine.supervisor.adopt(assign(m, EPOCH, Health(status=Status.FAULTED)))
    await engine.until(at(m, 2) + 1)
    assert not engine.probe.calls
    assert sum(row.slots for row in engine.recorder.gaps) == 3
    assert {row.reason for row in engine.recorder.gaps} == {GapReason.PARKED}
    assert (await engine.supervisor.check_now(m)).trigger is Trigger.MANUAL


async def test_parking_waits_for_the_store_and_is_said_once(engine: Engine) -> None:
    failures = 3

    def away(monitor: Monitor) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise UnavailableError("the database is away")

    m = monitor(interval_s=60)
    engine.probe.script = fail
    engine.recorder.on_park = away
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(1800)
    assert len(engine.recorder.parked) == 1
    assert len(engine.probe.calls) == 5
    assert sum(r.trigger is Trigger.SCHEDULED for r in engine.recorder.results) == 5
    last = max(row.until for row in engine.recorder.gaps)
    assert sum(row.slots for row in engine.recorder.gaps) + 5 == m.grid.count(EPOCH, last)


async def test_slots_missed_while_a_crashed_actor_waits_are_recorded(engine: Engine) -> None:
    m = monitor(interval_s=1, timeout_ms=1000)

    async def mostly(call: Call, n: int) -> Observation:
        return UP if n % 5 == 4 else await fail(call, n)

    engine.probe.script = mostly
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(100)
    assert {row.reason for row in engine.recorder.gaps} == {GapReason.CRASHED}
    last = engine.recorder.results[-1].scheduled_at
    assert len(engine.recorder.results) + sum(row.slots for row in engine.recorder.gaps) == m.grid.count(
        EPOCH, last + 1
    )


async def test_a_crash_outside_the_probe_loses_no_slot_and_fires_none_twice(engine: Engine) -> None:
    """(I5) The recorder itself breaks."""
    m = monitor(interval_s=60)
    broken = True

    def record(result: CheckResult) -> None:
        nonlocal broken
        if broken:
            broken = False
            engine.recorder.results.remove(result)
            raise RuntimeError("a bug in the recorder")

    engine.recorder.on_record = record
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 1) + 1)
    assert engine.slots() == close([at(m, 0), at(m, 1)])
    assert len(engine.probe.calls) == 2


async def test_a_poisonous_configuration_delays_no_other_and_is_parked(engine: Engine) -> None:
    """(I11) An interval of 0 breaks the grid itself."""
    poison = monitor(666)
    poison = msgspec.structs.replace(poison, spec=msgspec.structs.replace(poison.spec, interval_s=0))
    engine.supervisor.adopt(assign(poison, EPOCH))
    for id_ in range(1, 51):
        engine.supervisor.adopt(assign(monitor(id_), EPOCH))
    await engine.until(600)
    for id_ in range(1, 51):
        assert engine.starts(id_) == engine.slots(id_)
        assert len(engine.slots(id_)) == 10
    assert [parked.id for parked, _ in engine.recorder.parked] == [666]
    assert engine.meter.restarts < 40  # it backs off
    await engine.supervisor.stop(666)
    assert 666 not in engine.supervisor.running()


async def test_a_change_of_a_monitor_that_breaks_it_can_be_taken_back(engine: Engine) -> None:
    m = monitor()
    broken = msgspec.structs.replace(m, version=2, spec=msgspec.structs.replace(m.spec, interval_s=0))
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(100)
    engine.supervisor.adopt(assign(broken, engine.clock.now()))
    await engine.until(300)
    assert engine.recorder.parked[0][0].version == 2
    begun = len(engine.probe.calls)
    engine.supervisor.adopt(assign(msgspec.structs.replace(m, version=3), engine.clock.now()))
    await engine.until(500)
    assert len(engine.probe.calls) >= begun + 3
    assert engine.recorder.results[-1].monitor_version == 3


async def test_who_asked_for_a_check_that_crashes_gets_its_row(engine: Engine) -> None:
    m = monitor()
    engine.supervisor.adopt(assign(m, EPOCH))
    await asyncio.sleep(0)
    engine.probe.script = fail
    row = await engine.supervisor.check_now(m)
    assert row.category is Category.ENGINE_INTERNAL
    paused = await engine.supervisor.check_now(monitor(2))
    assert paused.category is Category.ENGINE_INTERNAL
    assert set(engine.supervisor.running()) == {1}


async def test_a_stop_during_the_backoff_is_at_once(engine: Engine) -> None:
    m = monitor(interval_s=5, timeout_ms=1000)
    engine.probe.script = fail
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 1) + 0.001)
    while engine.meter.restarts < 4:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.1)
    before = engine.clock.monotonic()
    await engine.supervisor.stop(1)
    assert engine.clock.monotonic() == before
