"""One check: what is the target's fault, and what is ours."""

import asyncio

import msgspec
import pytest

from monitord.domain.check import Category, CheckResult, Observation, Trigger, Verdict
from monitord.domain.kinds import HttpCheck
from monitord.engine.checker import Checker, Flight
from monitord.engine.gate import Gate
from tests.support.clock import VirtualClock
from tests.support.engine_fakes import DOWN, Call, FakeProbe, monitor
from tests.support.virtual_time import VirtualTimeLoop


async def check(
    probe: FakeProbe, gate: Gate | None = None, stall_s: float = 0.0, timeout_ms: int = 1000
) -> tuple[CheckResult, Flight]:
    clock = VirtualClock()
    checker = Checker(probe=probe, gate=gate or Gate(9, 9), clock=clock, stalled_since=lambda mono: stall_s)
    flight = Flight(monitor(timeout_ms=timeout_ms), "h", Trigger.SCHEDULED, 5, clock.monotonic())
    flight.task = asyncio.current_task()
    result = await checker.check(flight)
    assert flight.task is not None
    assert flight.task.cancelling() == 0
    assert checker.gate.in_flight == 0
    return result, flight


async def hang(call: Call, n: int) -> Observation:
    await asyncio.sleep(1e6)
    raise AssertionError


async def test_a_probe_that_never_ends_is_our_fault_and_ends_in_time() -> None:
    """(I9) And the verdict is there within the timeout + 0.5 s."""
    result, _ = await check(FakeProbe(hang))
    assert result.observation.verdict is Verdict.INCONCLUSIVE
    assert result.observation.category is Category.ENGINE_INTERNAL
    assert result.observation.evidence is not None
    assert 1250 <= result.duration_ms <= 1500


async def test_a_probe_that_takes_cancellation_for_a_verdict() -> None:
    async def stubborn(call: Call, n: int) -> Observation:
        try:
            await asyncio.sleep(1e6)
        except asyncio.CancelledError:
            return DOWN
        raise AssertionError

    result, _ = await check(FakeProbe(stubborn))
    assert result.observation is DOWN


async def test_a_cancellation_by_others_is_never_swallowed() -> None:
    task = asyncio.create_task(check(FakeProbe(hang)))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    both = asyncio.create_task(check(FakeProbe(hang)))
    await asyncio.sleep(1.2)
    # the deadline and the other one in the same turn of the loop
    asyncio.get_running_loop().call_at(asyncio.get_running_loop().time() + 0.05, both.cancel)
    with pytest.raises(asyncio.CancelledError):
        await both


async def test_the_latency_clock_starts_inside_the_gate() -> None:
    gate = Gate(1, 1)
    assert gate.try_enter("x")
    asyncio.get_running_loop().call_later(7, gate.leave, "x")
    probe = FakeProbe()
    probe.seconds = 0.25
    result, flight = await check(probe, gate)
    assert result.duration_ms == pytest.approx(250)
    assert flight.began == pytest.approx(flight.asked + 7)


@pytest.mark.parametrize("category", [Category.TIMEOUT_TOTAL, Category.CONNECT_TIMEOUT, Category.ASSERT_LATENCY])
async def test_a_timeout_while_our_loop_stood_still_is_our_fault(category: Category) -> None:
    """(I9)"""
    late = Observation(verdict=Verdict.DOWN, category=category, message="no answer")

    async def say(call: Call, n: int) -> Observation:
        return late

    result, _ = await check(FakeProbe(say), stall_s=0.9)
    assert result.observation.verdict is Verdict.INCONCLUSIVE
    assert result.observation.category is Category.ENGINE_OVERLOAD
    assert "0.9 s" in result.observation.message
    assert "no answer" in result.observation.message
    result, _ = await check(FakeProbe(say), stall_s=0.1)
    assert result.observation is late


async def test_a_stall_explains_no_refusal() -> None:
    async def say(call: Call, n: int) -> Observation:
        return DOWN

    result, _ = await check(FakeProbe(say), stall_s=0.9)
    assert result.observation is DOWN


async def test_a_probe_that_was_itself_woken_late() -> None:
    """(I9) Nobody has noted the stall yet when the probe's own timer fires first after it."""

    async def timed(call: Call, n: int) -> Observation:
        await asyncio.sleep(1.0)
        return Observation(verdict=Verdict.DOWN, category=Category.TIMEOUT_TTFB)

    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.call_later(0.9, loop.advance, 0.4)
    result, _ = await check(FakeProbe(timed))
    assert result.observation.category is Category.ENGINE_OVERLOAD


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.test/x", "a.test"),
        ("https://A.test:8443?q=1", "a.test"),
        ("http://[::1]:80/", "[::1]"),
        ("http://[::1]", "[::1]"),
        ("http://u:p@a.test#f", "a.test"),
        ("", ""),
    ],
)
def test_the_host_that_is_counted(url: str, host: str) -> None:
    assert HttpCheck(url=url).peer == host


class Blaming:
    """A network that takes every failure upon itself, after a while."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.settled: list[bool] = []

    async def judge(self, seen: Observation, *, settled: bool = False) -> Observation:
        self.settled.append(settled)
        await asyncio.sleep(2)
        assert self.gate.in_flight == 0, "whoever waits for the anchors keeps no place"
        return msgspec.structs.replace(seen, verdict=Verdict.INCONCLUSIVE, category=Category.ENGINE_NETWORK_DOWN)


@pytest.mark.parametrize("settled", [True, False])
async def test_a_failure_is_put_to_our_own_network_first(settled: bool) -> None:
    """(I9) And what that takes does not count as the target's time."""

    async def fail(call: Call, n: int) -> Observation:
        await asyncio.sleep(0.1)
        return DOWN

    gate = Gate(1, 1)
    network = Blaming(gate)
    clock = VirtualClock()
    checker = Checker(probe=FakeProbe(fail), gate=gate, clock=clock, stalled_since=lambda mono: 0.0, network=network)
    flight = Flight(monitor(timeout_ms=1000), "h", Trigger.SCHEDULED, 5, clock.monotonic())
    flight.task, flight.settled = asyncio.current_task(), settled
    result = await checker.check(flight)
    assert result.observation.category is Category.ENGINE_NETWORK_DOWN
    assert result.duration_ms == pytest.approx(100)
    assert network.settled == [settled]
