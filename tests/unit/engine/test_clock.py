"""The watch over both clocks."""

import asyncio

from monitord.engine.clock import ClockWatch, SystemClock
from tests.support.clock import VirtualClock
from tests.support.virtual_time import VirtualTimeLoop


async def watch_for(
    seconds: float, clock: VirtualClock, at: float = 0.0, step: float = 0.0, stall: float = 0.0
) -> tuple[list[float], list[float], ClockWatch]:
    steps: list[float] = []
    lags: list[float] = []

    async def stepped() -> None:
        steps.append(clock.monotonic())

    watch = ClockWatch(clock, on_step=stepped, on_lag=lags.append)
    task = asyncio.create_task(watch.run())
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    if step:
        loop.call_at(at, clock.step, step)
    if stall:
        loop.call_at(at, loop.advance, stall)  # as if a callback had taken so long
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return steps, lags, watch


async def test_a_step_is_noticed_within_a_tick_and_once() -> None:
    for step in (3600.0, -3600.0, 0.6, -0.6):
        clock = VirtualClock()
        begin = clock.monotonic()
        steps, _, _ = await watch_for(10, clock, begin + 5.05, step)
        assert len(steps) == 1
        assert 5.05 <= steps[0] - begin < 5.16


async def test_a_slew_is_no_step_until_it_adds_up() -> None:
    clock = VirtualClock()
    loop = asyncio.get_running_loop()
    for second in range(20):
        loop.call_at(clock.monotonic() + second, clock.step, 0.05)
    steps, _, _ = await watch_for(25, clock)
    assert len(steps) == 1


async def test_a_stall_of_the_loop_is_measured_and_remembered() -> None:
    clock = VirtualClock()
    begin = clock.monotonic()
    steps, lags, watch = await watch_for(10, clock, begin + 5.05, stall=2.0)
    assert not steps
    assert 1.9 < max(lags) < 2.0
    assert 1.9 < watch.stalled_since(begin) < 2.0
    assert 1.9 < watch.stalled_since(begin + 7.0) < 2.0
    assert watch.stalled_since(begin + 8) == 0.0


def test_the_clocks_of_the_machine() -> None:
    clock = SystemClock()
    assert clock.now() > 1_700_000_000_000_000
    assert clock.monotonic() <= clock.monotonic()
