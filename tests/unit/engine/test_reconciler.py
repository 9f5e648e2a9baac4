"""The running set follows the stored one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from monitord.domain.errors import UnavailableError
from monitord.engine.reconciler import Reconciler
from tests.support.clock import EPOCH
from tests.support.engine_fakes import FakeSource, assign, changed, monitor
from tests.unit.engine.conftest import Engine, build, running
from tests.unit.engine.test_actor import at


@asynccontextmanager
async def reconciling(*ids: int, chunk: int = 1000) -> AsyncIterator[tuple[Engine, FakeSource, Reconciler]]:
    async with running(build()) as engine:
        source = FakeSource(assign(monitor(id_), EPOCH) for id_ in ids)
        reconciler = Reconciler(source, engine.supervisor, clock=engine.clock, chunk=chunk)
        task = asyncio.create_task(reconciler.run())
        try:
            yield engine, source, reconciler
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_all_that_is_stored_runs_after_the_start() -> None:
    async with reconciling(*range(1, 2501)) as (engine, source, reconciler):
        complete = reconciler.complete
        await asyncio.sleep(1)
        assert (complete, reconciler.complete) == (False, True)
        assert dict(engine.supervisor.running()) == dict.fromkeys(range(1, 2501), 1)
        assert max(map(len, source.loads)) == 1000


async def test_a_change_without_a_hint_is_found_within_the_period() -> None:
    async with reconciling(1, 2, 3) as (engine, source, _):
        await asyncio.sleep(1)
        source.put(assign(changed(monitor(1)), EPOCH))
        del source.stored[2]
        source.put(assign(monitor(4), EPOCH))
        await asyncio.sleep(30)
        assert engine.supervisor.running() == {1: 2, 3: 1, 4: 1}
        assert source.loads[1:] == [[1, 4, 2]]  # only what differs


async def test_a_hint_is_followed_at_once_and_many_are_one() -> None:
    """(I13)"""
    async with reconciling(1) as (engine, source, reconciler):
        await asyncio.sleep(10)
        source.put(assign(monitor(2), EPOCH))
        reconciler.poke()
        await asyncio.sleep(0.01)
        assert engine.supervisor.version_of(2) == 1
        compared = source.compared
        for _ in range(1000):
            reconciler.poke()
            await asyncio.sleep(0.005)
        assert source.compared - compared <= 6
        source.put(assign(monitor(3), EPOCH))
        reconciler.poke()
        await asyncio.sleep(1.01)
        assert engine.supervisor.version_of(3) == 1


async def test_a_hint_during_a_comparison_is_not_lost() -> None:
    async with reconciling(1) as (engine, source, reconciler):
        source.latency_s = 3
        await asyncio.sleep(20)
        reconciler.poke()
        await asyncio.sleep(1)  # the stored versions are being read
        source.put(assign(monitor(2), EPOCH))
        reconciler.poke()
        await asyncio.sleep(12)
        assert engine.supervisor.version_of(2) == 1


async def test_settle_returns_when_the_engine_acts() -> None:
    """(I13)"""
    async with reconciling(1) as (engine, source, reconciler):
        await asyncio.sleep(5)
        source.latency_s = 0.1
        source.put(assign(monitor(2), engine.clock.now()))
        before = engine.clock.monotonic()
        await reconciler.settle(2, 1)
        assert engine.supervisor.version_of(2) == 1
        assert engine.clock.monotonic() - before < 0.2
        await reconciler.settle(2, 1)  # again: at once
        source.put(assign(changed(monitor(2)), engine.clock.now()))
        await reconciler.settle(2, 2)
        assert engine.supervisor.version_of(2) == 2
        del source.stored[2]
        await reconciler.settle(2, None)
        assert engine.supervisor.version_of(2) == 0
        await reconciler.settle(2, None)
        assert source.compared == 1  # the whole set was not looked at for any of this


async def test_after_a_settled_delete_no_check_begins() -> None:
    """(I13) Even while one is under way."""
    async with reconciling(1) as (engine, source, reconciler):
        engine.probe.seconds = 4
        await engine.until(at(monitor(1), 0) + 0.5)
        del source.stored[1]
        before = engine.clock.monotonic()
        await reconciler.settle(1, None)
        assert engine.clock.monotonic() - before <= 1.01
        assert engine.probe.calls[0].done
        await asyncio.sleep(300)
        assert len(engine.probe.calls) == 1


async def test_a_paused_monitor_that_is_loaded_all_the_same_does_not_run() -> None:
    async with reconciling(1) as (engine, source, reconciler):
        await asyncio.sleep(1)
        source.put(assign(monitor(1, version=2, active=False), EPOCH))
        await reconciler.settle(1, None)
        assert not engine.supervisor.running()


async def test_writes_are_acted_on_in_the_middle_of_a_long_comparison() -> None:
    """(I13)"""
    async with reconciling(*range(1, 2001), chunk=100) as (engine, source, reconciler):
        source.latency_s = 0.5
        await asyncio.sleep(2)
        assert not reconciler.complete
        source.put(assign(monitor(50_000), engine.clock.now()))
        before = engine.clock.monotonic()
        await reconciler.settle(50_000, 1)
        assert engine.clock.monotonic() - before < 2
        await asyncio.sleep(30)
        assert engine.supervisor.version_of(50_000) == 1  # though the comparison began before it was stored
        assert len(engine.supervisor.running()) == 2001


async def test_with_the_store_away_what_runs_goes_on() -> None:
    """(I17)"""
    async with reconciling(1) as (engine, source, reconciler):
        await asyncio.sleep(1)
        for failure in (UnavailableError("away"), OSError("away"), RuntimeError("a bug")):
            source.failure = failure
            compared = source.compared
            reconciler.poke()
            await asyncio.sleep(300)
            assert engine.supervisor.version_of(1) == 1
            assert 3 < source.compared - compared < 80  # it keeps trying, not madly
        source.failure = UnavailableError("away")
        source.put(assign(monitor(2), EPOCH))
        settled = asyncio.create_task(reconciler.settle(2, 1))
        await asyncio.sleep(20)
        assert not settled.done()
        source.failure = None
        async with asyncio.timeout(5.1):
            await settled
        checks = len(engine.recorder.of(1))
        assert checks >= 14


async def test_a_row_that_cannot_be_read_takes_no_other_with_it() -> None:
    """(I11)"""
    async with reconciling(*range(1, 2001)) as (engine, source, reconciler):
        source.poison = {7, 1500}
        await asyncio.sleep(1)
        assert len(engine.supervisor.running()) == 1998
        source.loads.clear()
        source.put(assign(changed(monitor(8)), EPOCH))
        await asyncio.sleep(31)
        assert engine.supervisor.version_of(8) == 2
        assert source.loads == [[8], [7], [1500]]  # those known to be unreadable stand apart
        with pytest.raises(UnavailableError):
            await reconciler.settle(7, 1)
        source.poison = set()
        await asyncio.sleep(31)
        assert len(engine.supervisor.running()) == 2000


async def test_a_row_that_becomes_unreadable_goes_on_as_it_ran() -> None:
    async with reconciling(1) as (engine, source, _):
        await asyncio.sleep(1)
        source.poison = {1}
        source.put(assign(changed(monitor(1)), EPOCH))
        await asyncio.sleep(120)
        assert engine.supervisor.version_of(1) == 1
        assert len(engine.recorder.of(1)) == 2


async def test_a_caller_of_settle_that_goes_away_hurts_nobody() -> None:
    async with reconciling(1) as (engine, source, reconciler):
        await asyncio.sleep(1)
        source.latency_s = 1
        source.put(assign(monitor(2), EPOCH))
        gone, stays = (asyncio.create_task(reconciler.settle(2, 1)) for _ in range(2))
        await asyncio.sleep(0.5)
        gone.cancel()
        await stays
        assert engine.supervisor.version_of(2) == 1


async def test_pause_and_resume_in_quick_succession_while_a_check_is_under_way() -> None:
    async with reconciling(1) as (engine, source, reconciler):
        engine.probe.seconds = 3
        await engine.until(at(monitor(1), 0) + 0.5)
        m = source.stored.pop(1).monitor
        pause = asyncio.create_task(reconciler.settle(1, None))
        await asyncio.sleep(0.1)
        source.put(assign(changed(changed(m)), engine.clock.now()))
        await reconciler.settle(1, 3)
        await pause
        await asyncio.sleep(200)
        assert engine.probe.overlaps == 0
        assert engine.recorder.results[-1].monitor_version == 3
