"""The gate: bounds, fairness, and no place lost whatever is cancelled."""

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitord.engine.gate import Gate
from tests.support.virtual_time import VirtualTimeLoop


async def hold(gate: Gate, host: str, seconds: float, log: list[tuple[str, float]]) -> None:
    await gate.enter(host)
    try:
        log.append((host, asyncio.get_running_loop().time()))
        await asyncio.sleep(seconds)
    finally:
        gate.leave(host)


async def test_bounds_in_all_and_per_host() -> None:
    gate = Gate(limit=3, per_host=2)
    assert gate.try_enter("a")
    assert gate.try_enter("a")
    assert not gate.try_enter("a")
    assert gate.try_enter("b")
    assert not gate.try_enter("c")
    gate.leave("a")
    assert gate.try_enter("c")
    assert gate.in_flight == 3


async def test_first_come_first_served() -> None:
    gate = Gate(limit=1, per_host=1)
    log: list[tuple[str, float]] = []
    async with asyncio.TaskGroup() as group:
        for host in "abcabc":
            group.create_task(hold(gate, host, 1, log))
    assert log == [(host, float(second)) for second, host in enumerate("abcabc")]


async def test_a_slow_host_delays_no_other() -> None:
    """(I11) Fifty checks of a host that hangs wait for each other, and nobody waits for them."""
    gate = Gate(limit=10, per_host=2)
    log: list[tuple[str, float]] = []
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(hold(gate, "slow", 10, log))
        for i in range(20):
            group.create_task(hold(gate, f"quick{i}", 1, log))
    waited = {host: at for host, at in log if host != "slow"}
    assert max(waited.values()) == 2.0  # eight places for twenty
    assert max(at for host, at in log if host == "slow") == 240.0


async def test_a_place_granted_to_a_cancelled_waiter_is_given_back() -> None:
    gate = Gate(limit=1, per_host=1)
    assert gate.try_enter("a")
    waiter = asyncio.create_task(gate.enter("a"))
    await asyncio.sleep(0)
    gate.leave("a")
    waiter.cancel()  # its place was granted in this very turn
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert gate.in_flight == gate.waiting == 0
    assert gate.try_enter("a")


async def test_a_cancelled_waiter_is_passed_over() -> None:
    gate = Gate(limit=1, per_host=1)
    assert gate.try_enter("a")
    first, second = asyncio.create_task(gate.enter("b")), asyncio.create_task(gate.enter("b"))
    await asyncio.sleep(0)
    first.cancel()
    gate.leave("a")  # before the cancelled task has run
    await second
    assert gate.in_flight == 1
    assert gate.waiting == 0
    await asyncio.gather(first, return_exceptions=True)
    gate.leave("b")
    assert gate.in_flight == 0


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_nothing_leaks_and_no_place_stays_empty_while_someone_could_have_it(
    seed: int, limit: int, per_host: int
) -> None:
    rnd = random.Random(seed)
    gate = Gate(limit, per_host)
    held: Counter[str] = Counter()
    wanted: Counter[str] = Counter()

    async def one(host: str) -> None:
        await asyncio.sleep(rnd.choice([0, 1, 2, 3]))
        wanted[host] += 1
        try:
            await gate.enter(host)
        finally:
            wanted[host] -= 1
        held[host] += 1
        try:
            assert held[host] <= per_host
            assert held.total() <= limit
            await asyncio.sleep(rnd.choice([0, 1, 2]))
        finally:
            held[host] -= 1
            gate.leave(host)

    async def main() -> None:
        tasks = [asyncio.create_task(one(rnd.choice("abcd"))) for _ in range(40)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.5)
            for task in rnd.sample(tasks, 4):
                if rnd.random() < 0.5:
                    task.cancel()
            await asyncio.sleep(0.25)  # nothing happens at quarters: the gate is at rest
            assert gate.in_flight == held.total()
            assert gate.waiting == wanted.total()
            could = [host for host in wanted if wanted[host] and held[host] < per_host]
            assert gate.in_flight == limit or not could
            await asyncio.sleep(0.25)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [o for o in outcomes if isinstance(o, AssertionError)]
        assert gate.in_flight == gate.waiting == 0
        assert not gate._held
        assert not gate._queues

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
