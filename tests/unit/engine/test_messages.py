"""What an actor is told while it works: changes, stops, and CheckNow."""

import asyncio

import pytest

from monitord.domain.check import GapReason, Observation, Trigger
from monitord.domain.errors import FailedPreconditionError, UnavailableError
from tests.support.clock import EPOCH
from tests.support.engine_fakes import UP, Call, assign, changed, monitor
from tests.unit.engine.conftest import Engine, build, running
from tests.unit.engine.test_actor import at, close, gap


async def test_a_change_keeps_the_grid_and_carries_the_new_version(engine: Engine) -> None:
    """(I10)"""
    m = monitor(interval_s=60)
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 30)
    engine.supervisor.adopt(assign(changed(m, timeout_ms=2000), engine.clock.now()))
    assert engine.supervisor.version_of(1) == 2
    await engine.until(at(m, 2) + 1)
    assert engine.slots() == close([at(m, 0), at(m, 1), at(m, 2)])
    assert [result.monitor_version for result in engine.recorder.results] == [1, 2, 2]
    assert not engine.recorder.gaps


async def test_a_change_during_a_check_lets_it_end_with_its_old_version(engine: Engine) -> None:
    """(I10)"""
    m = monitor(interval_s=60)
    engine.probe.seconds = 4
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 2)
    engine.supervisor.adopt(assign(changed(m), engine.clock.now()))
    await engine.until(at(m, 1) + 5)
    assert [result.monitor_version for result in engine.recorder.results] == [1, 2]
    assert engine.slots() == close([at(m, 0), at(m, 1)])
    assert engine.probe.overlaps == 0


async def test_a_new_interval_moves_to_its_grid_at_once(engine: Engine) -> None:
    m = monitor(interval_s=3600)
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(100)
    quick = changed(m, interval_s=10)
    covered = engine.clock.now()
    engine.supervisor.adopt(assign(quick, covered))
    await engine.until(200)
    slots = [r.scheduled_at for r in engine.recorder.results if r.monitor_version == 2]
    assert slots == [quick.grid.at_or_after(covered) + k * quick.grid.interval for k in range(10)]
    assert not engine.recorder.gaps


async def test_slots_of_the_old_schedule_that_a_change_leaves_behind_are_recorded(engine: Engine) -> None:
    """(I5) A check of the old schedule ran into its next slots when the interval changed."""
    m = monitor(interval_s=10, timeout_ms=50_000)
    engine.probe.seconds = 35
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 2) + 5)
    slow = changed(m, interval_s=3600)
    engine.supervisor.adopt(assign(slow, engine.clock.now()))
    await engine.until(at(m, 5))
    assert [gap(row, engine.clock) for row in engine.recorder.gaps] == [(round(at(m, 1), 3), 2, GapReason.OVERRUN)]
    assert engine.recorder.gaps[0].monitor_version == 1


async def test_an_older_or_equal_version_is_ignored(engine: Engine) -> None:
    engine.supervisor.adopt(assign(monitor(version=5), EPOCH))
    engine.supervisor.adopt(assign(monitor(version=4, interval_s=10), EPOCH))
    await engine.until(61)
    assert len(engine.recorder.results) == 1
    assert engine.recorder.adopted[1].monitor.version == 5


async def test_a_stop_waits_for_the_check_under_way(engine: Engine) -> None:
    m = monitor()
    engine.probe.seconds = 2
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 1.5)
    await engine.supervisor.stop(1)
    assert engine.clock.monotonic() == pytest.approx(at(m, 0) + 2)
    assert len(engine.recorder.results) == 1
    assert not engine.recorder.gaps
    assert not engine.supervisor.running()
    assert not engine.recorder.adopted
    await engine.until(at(m, 3))
    assert len(engine.probe.calls) == 1


async def test_a_check_that_outlasts_the_grace_is_cut_and_its_slot_recorded(engine: Engine) -> None:
    """(I5, I13)"""
    m = monitor(timeout_ms=50_000)
    engine.probe.seconds = 40
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 5)
    await engine.supervisor.stop(1)
    assert engine.clock.monotonic() == pytest.approx(at(m, 0) + 6)
    assert engine.probe.calls[0].done
    assert not engine.recorder.results
    assert [gap(row, engine.clock) for row in engine.recorder.gaps] == [(round(at(m, 0), 3), 1, GapReason.STOPPED)]


async def test_a_stop_takes_a_waiting_check_from_the_gate_at_once() -> None:
    """(I13) After the stop has returned, no check begins."""
    async with running(build(limit=1)) as engine:
        m = monitor()
        assert engine.gate.try_enter("other")
        engine.supervisor.adopt(assign(m, EPOCH))
        await engine.until(at(m, 0) + 5)
        assert engine.gate.waiting == 1
        await engine.supervisor.stop(1)
        assert engine.clock.monotonic() == pytest.approx(at(m, 0) + 5)
        engine.gate.leave("other")
        await engine.until(at(m, 5))
        assert not engine.probe.calls
        assert [row.reason for row in engine.recorder.gaps] == [GapReason.STOPPED]


async def test_stops_are_safe_twice_at_once_and_for_strangers(engine: Engine) -> None:
    m = monitor()
    engine.probe.seconds = 2
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 1.5)
    stops = [asyncio.create_task(engine.supervisor.stop(1)) for _ in range(5)]
    await asyncio.sleep(0.1)
    stops[0].cancel()
    await asyncio.gather(*stops, return_exceptions=True)
    assert engine.clock.monotonic() == pytest.approx(at(m, 0) + 2)
    await engine.supervisor.stop(1)
    await engine.supervisor.stop(999)


async def test_a_monitor_resumed_while_it_stops_runs_again_after_and_never_twice(engine: Engine) -> None:
    m = monitor(interval_s=5)
    engine.probe.seconds = 0.8
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 0.5)
    engine.supervisor.release(1)
    again = changed(changed(m))
    engine.supervisor.adopt(assign(again, engine.clock.now()))
    assert engine.supervisor.version_of(1) == 3
    await engine.until(at(m, 2) + 2)
    assert [result.monitor_version for result in engine.recorder.results] == [1, 3, 3]
    assert engine.recorder.adopted[1].monitor.version == 3
    assert engine.probe.overlaps == 0


async def test_many_starts_and_stops_at_the_same_time_leave_nothing_behind() -> None:
    async with running(build(limit=5, per_host=3)) as engine:
        engine.probe.seconds = 1.7
        versions = dict.fromkeys(range(1, 21), 0)

        async def fiddle(id_: int) -> None:
            for step in range(30):
                versions[id_] += 1
                if (id_ * 7 + step * 3) % 5 < 3:
                    covered = engine.clock.now()
                    engine.supervisor.adopt(assign(monitor(id_, interval_s=5, version=versions[id_]), covered))
                elif step % 2:
                    await engine.supervisor.stop(id_)
                else:
                    engine.supervisor.release(id_)
                await asyncio.sleep((id_ + step) % 4 * 0.4)

        async with asyncio.TaskGroup() as group:
            for id_ in versions:
                group.create_task(fiddle(id_))
        assert engine.probe.overlaps == 0
        async with asyncio.TaskGroup() as group:
            for id_ in [*versions, *versions]:
                group.create_task(engine.supervisor.stop(id_))
        calls = len(engine.probe.calls)
        await asyncio.sleep(60)
        assert len(engine.probe.calls) == calls
        assert not engine.supervisor.running()
        assert not engine.recorder.adopted
        assert engine.gate.in_flight == engine.gate.waiting == 0


# CheckNow


async def test_check_now_returns_the_stored_row(engine: Engine) -> None:
    m = monitor()
    engine.recorder.commit_s = 0.2
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 10)
    entry = await engine.supervisor.check_now(m)
    assert entry.trigger is Trigger.MANUAL
    assert entry.seq == 2
    assert engine.clock.monotonic() == pytest.approx(at(m, 0) + 10.2)
    assert engine.clock.since_epoch(entry.scheduled_at) == pytest.approx(at(m, 0) + 10)
    await engine.until(at(m, 1) + 1)
    assert engine.slots()[2] == pytest.approx(at(m, 1), abs=1e-5)


async def test_check_now_waits_for_the_check_under_way(engine: Engine) -> None:
    m = monitor()
    engine.probe.seconds = 3
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 1)
    entry = await engine.supervisor.check_now(m)
    assert engine.clock.since_epoch(entry.checked_at) == pytest.approx(at(m, 0) + 3)
    assert engine.probe.overlaps == 0


async def test_callers_share_a_check_that_began_after_they_asked(engine: Engine) -> None:
    m = monitor()
    engine.probe.seconds = 3
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 1)
    first = [asyncio.create_task(engine.supervisor.check_now(m)) for _ in range(3)]
    await asyncio.sleep(3)  # their check is under way
    late = asyncio.create_task(engine.supervisor.check_now(m))
    rows = await asyncio.gather(*first)
    assert len({row.seq for row in rows}) == 1
    assert (await late).seq != rows[0].seq
    assert len(engine.probe.calls) == 3
    assert engine.probe.overlaps == 0


async def test_a_slot_that_comes_due_during_a_manual_check_is_kept(engine: Engine) -> None:
    """(I5)"""
    m = monitor(interval_s=10)
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 8)
    engine.probe.seconds = 4
    await engine.supervisor.check_now(m)
    await asyncio.sleep(0.5)
    engine.probe.seconds = 0
    await engine.until(at(m, 2) + 1)
    scheduled = [r for r in engine.recorder.results if r.trigger is Trigger.SCHEDULED]
    assert [engine.clock.since_epoch(r.scheduled_at) for r in scheduled] == close([at(m, n) for n in range(3)])
    assert not engine.recorder.gaps


async def test_a_caller_that_goes_away_hurts_nobody(engine: Engine) -> None:
    m = monitor()
    engine.probe.seconds = 3
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 10)
    gone, stays = (asyncio.create_task(engine.supervisor.check_now(m)) for _ in range(2))
    await asyncio.sleep(1)
    gone.cancel()
    assert (await stays).trigger is Trigger.MANUAL
    alone = asyncio.create_task(engine.supervisor.check_now(m))
    await asyncio.sleep(1)
    alone.cancel()
    await engine.until(at(m, 1) + 5)
    # its check was under way, so it is stored all the same
    assert [r.trigger for r in engine.recorder.results] == [
        Trigger.SCHEDULED,
        Trigger.MANUAL,
        Trigger.MANUAL,
        Trigger.SCHEDULED,
    ]


async def test_nobody_left_to_answer_makes_no_check(engine: Engine) -> None:
    m = monitor()
    engine.probe.seconds = 3
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 1)
    caller = asyncio.create_task(engine.supervisor.check_now(m))
    await asyncio.sleep(1)
    caller.cancel()
    await engine.until(at(m, 0) + 30)
    assert len(engine.probe.calls) == 1


async def test_a_paused_monitor_can_be_checked_and_stays_paused(engine: Engine) -> None:
    m = monitor(active=False)
    entry = await engine.supervisor.check_now(m)
    assert entry.trigger is Trigger.MANUAL
    assert not engine.supervisor.running()
    assert engine.supervisor.statuses() == {}
    await engine.until(300)
    assert len(engine.probe.calls) == 1


async def test_a_monitor_resumed_during_its_manual_check_is_never_checked_twice_at_once(engine: Engine) -> None:
    m = monitor(interval_s=5)
    engine.probe.seconds = 4
    caller = asyncio.create_task(engine.supervisor.check_now(m))
    await asyncio.sleep(0.5)
    again = changed(m)
    engine.supervisor.adopt(assign(again, engine.clock.now()))
    await caller
    await engine.until(60)
    assert engine.probe.overlaps == 0
    assert {r.monitor_version for r in engine.recorder.results if r.trigger is Trigger.SCHEDULED} == {2}
    assert engine.supervisor.version_of(1) == 2


async def test_a_caller_that_knows_a_newer_version_gets_that_checked(engine: Engine) -> None:
    m = monitor()
    engine.supervisor.adopt(assign(m, EPOCH))
    await asyncio.sleep(0)
    assert (await engine.supervisor.check_now(changed(m))).monitor_version == 2
    engine.supervisor.adopt(assign(changed(changed(m)), engine.clock.now()))
    assert (await engine.supervisor.check_now(m)).monitor_version == 3


async def test_a_stop_refuses_those_who_wait_for_a_check(engine: Engine) -> None:
    m = monitor(timeout_ms=50_000)
    engine.probe.seconds = 40
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(at(m, 0) + 1)
    queued = asyncio.create_task(engine.supervisor.check_now(m))
    await asyncio.sleep(1)
    stop = asyncio.create_task(engine.supervisor.stop(1))
    await asyncio.sleep(0)
    with pytest.raises(FailedPreconditionError):
        await engine.supervisor.check_now(m)
    await stop
    with pytest.raises(FailedPreconditionError):
        await asyncio.wait_for(queued, 100)

    paused = asyncio.create_task(engine.supervisor.check_now(monitor(2)))
    await asyncio.sleep(1)
    await engine.supervisor.stop(2)
    with pytest.raises(FailedPreconditionError):
        await asyncio.wait_for(paused, 100)


async def test_a_row_that_cannot_be_stored_is_the_callers_error_alone(engine: Engine) -> None:
    m = monitor()
    engine.supervisor.adopt(assign(m, EPOCH))
    engine.recorder.failure = UnavailableError("the database is away")
    with pytest.raises(UnavailableError):
        await engine.supervisor.check_now(m)
    caller = asyncio.create_task(engine.supervisor.check_now(m))
    await asyncio.sleep(0)
    caller.cancel()
    await engine.until(at(m, 1))
    assert Trigger.SCHEDULED in {result.trigger for result in engine.recorder.results}


# Shutdown


async def test_drain_lets_checks_end_and_begins_none() -> None:
    async with running(build(limit=50)) as engine:

        async def various(call: Call, n: int) -> Observation:
            await asyncio.sleep(100 if call.monitor_id == 1 else 3)
            return UP

        engine.probe.script = various
        for id_ in range(1, 61):
            engine.supervisor.adopt(assign(monitor(id_, interval_s=60, timeout_ms=200_000), EPOCH))
        await engine.until(61)
        accepting, begun = engine.supervisor.accepting, len(engine.probe.calls)
        await engine.supervisor.drain(5)
        assert (accepting, engine.supervisor.accepting) == (True, False)
        assert engine.clock.monotonic() <= 66.01
        assert len(engine.probe.calls) == begun
        assert all(call.done for call in engine.probe.calls)
        assert engine.gate.in_flight == 0
        with pytest.raises(UnavailableError):
            await engine.supervisor.check_now(monitor(5))
        engine.supervisor.adopt(assign(monitor(99), EPOCH))
        await engine.until(300)
        assert len(engine.probe.calls) == begun
        assert set(engine.recorder.adopted) == set(range(1, 61))  # the recorder still has to write for them


async def test_the_end_of_the_process_answers_whoever_waits() -> None:
    engine = build()
    async with running(engine):
        engine.probe.seconds = 4
        waiting = asyncio.create_task(engine.supervisor.check_now(monitor()))
        engine.recorder.commit_s = 100
        storing = asyncio.create_task(engine.supervisor.check_now(monitor(2)))
        await asyncio.sleep(3)
        other = asyncio.create_task(engine.supervisor.check_now(monitor(3)))
        await asyncio.sleep(2)
    for caller in (waiting, storing, other):
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(caller, 100)
