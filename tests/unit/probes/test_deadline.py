"""One deadline over a check, to the tick."""

import asyncio

import pytest

from monitord.probes.deadline import TICK_S, Deadlines


async def test_a_deadline_ends_what_is_waited_for_within_a_tick() -> None:
    loop = asyncio.get_running_loop()
    deadline = Deadlines().start(1.0)
    waiter: asyncio.Future[None] = loop.create_future()
    assert await deadline.wait(waiter) is False
    assert deadline.expired
    assert not deadline.late
    assert 1.0 <= loop.time() <= 1.0 + TICK_S + 0.001
    assert await deadline.wait(loop.create_future()) is False


async def test_what_is_done_in_time_is_not_ended() -> None:
    loop = asyncio.get_running_loop()
    deadline = Deadlines().start(1.0)
    waiter: asyncio.Future[None] = loop.create_future()
    loop.call_later(0.5, waiter.set_result, None)
    assert await deadline.wait(waiter) is True
    deadline.close()
    await asyncio.sleep(2)
    assert not deadline.expired


async def test_many_deadlines_of_one_tick_share_a_timer_and_leave_nothing() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines()
    several = [deadlines.start(1.0) for _ in range(5)]
    assert len(deadlines._buckets) == 1
    kept = several.pop()
    for deadline in several:
        deadline.close()
        deadline.close()
    assert await kept.wait(loop.create_future()) is False
    kept.close()
    assert not any(deadline.expired for deadline in several)
    assert not deadlines._buckets


async def test_a_cancelled_wait_is_cancelled() -> None:
    deadline = Deadlines().start(1.0)
    task = asyncio.ensure_future(deadline.wait(asyncio.get_running_loop().create_future()))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(2)
    assert deadline.expired
