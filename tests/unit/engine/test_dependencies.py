"""A child that fails while its parent does: the parent is looked at first, and the child is UNREACHABLE."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from monitord.domain.check import Category, Observation, Trigger, Verdict
from monitord.domain.health import Health, Status
from monitord.domain.monitor import Monitor
from tests.support.clock import EPOCH
from tests.support.engine_fakes import DOWN, UP, Call, FakeProbe, assign, monitor
from tests.unit.engine.conftest import Engine, build, running

UP_HEALTH = Health(status=Status.UP, judged=Status.UP)


def child(id_: int, *parent_ids: int, interval_s: int = 60) -> Monitor:
    made = monitor(id_, interval_s=interval_s)
    return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, parent_ids=parent_ids))


def failing(*ids: int, seconds: float = 0.1) -> Callable[[Call, int], object]:
    async def script(call: Call, n: int) -> Observation:
        await asyncio.sleep(seconds)
        return DOWN if call.monitor_id in ids else UP

    return script


async def results(engine: Engine, id_: int) -> list[Verdict]:
    return [each.observation.verdict for each in engine.recorder.of(id_)]


async def verdict_of(engine: Engine, of: int, *monitors: Monitor, health: Health = UP_HEALTH) -> Observation:
    """Run until the first check of a monitor is recorded."""
    async with running(engine):
        for each in monitors:
            engine.supervisor.adopt(assign(each, EPOCH, health))
        await engine.until(100)
        return engine.recorder.of(of)[0].observation


async def test_a_child_whose_parent_is_down_too_is_unreachable() -> None:
    engine = build(probe=FakeProbe(failing(1, 2)))
    seen = await verdict_of(engine, 2, monitor(1, interval_s=86_400), child(2, 1))
    assert (seen.verdict, seen.category) == (Verdict.UNREACHABLE, Category.DEPENDENCY_DOWN)
    assert seen.message.startswith("m1, on which this depends, is down too.")
    parent = engine.recorder.of(1)[0]
    assert parent.trigger is Trigger.RECHECK, "looked at for this alone: its own slot is hours away"


async def test_a_child_whose_parent_works_is_down() -> None:
    engine = build(probe=FakeProbe(failing(2)))
    seen = await verdict_of(engine, 2, monitor(1, interval_s=86_400), child(2, 1))
    assert seen.verdict is Verdict.DOWN
    assert (await results(engine, 1))[0] is Verdict.UP


async def test_one_parent_that_is_down_is_enough_and_works_through_a_grandparent() -> None:
    engine = build(probe=FakeProbe(failing(1, 2, 3)))
    monitors = [monitor(1, interval_s=86_400), child(2, 1, interval_s=86_400), monitor(4, interval_s=86_400)]
    seen = await verdict_of(engine, 3, *monitors, child(3, 4, 2))
    assert seen.verdict is Verdict.UNREACHABLE
    assert (await results(engine, 2))[0] is Verdict.UNREACHABLE
    assert (await results(engine, 4))[0] is Verdict.UP


async def test_many_children_share_one_look() -> None:
    engine = build(probe=FakeProbe(failing(*range(1, 52), seconds=1.0)))
    async with running(engine):
        engine.supervisor.adopt(assign(monitor(1, interval_s=86_400), EPOCH, UP_HEALTH))
        checks = [asyncio.create_task(engine.supervisor.check_now(child(id_, 1))) for id_ in range(2, 52)]
        await asyncio.gather(*checks)
        assert len(engine.recorder.of(1)) == 1
        assert {tuple(await results(engine, id_)) for id_ in range(2, 52)} == {(Verdict.UNREACHABLE,)}


async def test_what_decides_nothing_asks_nobody() -> None:
    """A monitor that is DOWN already stays the outage that it is."""
    engine = build(probe=FakeProbe(failing(1, 2)))
    down = Health(status=Status.DOWN, judged=Status.DOWN)
    seen = await verdict_of(engine, 2, monitor(1, interval_s=86_400), child(2, 1), health=down)
    assert seen.verdict is Verdict.DOWN
    assert engine.recorder.of(1) == []


@pytest.mark.parametrize("parent", [None, "paused", "inconclusive"])
async def test_a_parent_that_says_nothing_excuses_nothing(parent: str | None) -> None:
    async def script(call: Call, n: int) -> Observation:
        return Observation(verdict=Verdict.INCONCLUSIVE) if call.monitor_id == 1 else DOWN

    engine = build(probe=FakeProbe(script))
    others = [monitor(1, interval_s=86_400)] if parent == "inconclusive" else []
    assert (await verdict_of(engine, 2, *others, child(2, 1))).verdict is Verdict.DOWN


async def test_a_parent_that_does_not_answer_holds_up_nobody_for_long() -> None:
    async def script(call: Call, n: int) -> Observation:
        if call.monitor_id == 1:
            await asyncio.sleep(1e6)
        return DOWN

    engine = build(probe=FakeProbe(script))
    seen = await verdict_of(engine, 2, monitor(1, interval_s=86_400), child(2, 1))
    assert seen.verdict is Verdict.DOWN, "its own check of 5 s, given up, says nothing"


async def test_the_verdict_of_a_parent_that_was_just_checked_counts() -> None:
    engine = build(probe=FakeProbe(failing(1, 2)))
    async with running(engine):
        engine.supervisor.adopt(assign(monitor(1, interval_s=86_400), EPOCH, UP_HEALTH))
        for _ in range(3):
            await engine.supervisor.check_now(child(2, 1))
            await asyncio.sleep(1)
        assert len(engine.recorder.of(1)) == 1
        await asyncio.sleep(10)
        await engine.supervisor.check_now(child(2, 1))
        assert len(engine.recorder.of(1)) == 2
