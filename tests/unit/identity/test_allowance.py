"""Token buckets, on a clock that only the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.errors import ResourceExhaustedError
from monitord.identity.allowance import SIZE, Allowance, Buckets
from tests.support.clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_so_many_at_once_and_then_one_for_each_refill(clock: HandClock) -> None:
    allowance = Allowance("Too many words", burst=3, refill_s=2.0, clock=clock)
    assert [allowance.wait_s(7) for _ in range(5)] == [0.0, 0.0, 0.0, 2.0, 2.0]
    assert allowance.wait_s(8) == 0.0
    clock.now_s += 1.5
    assert allowance.wait_s(7) == 0.5
    clock.now_s += 0.5
    assert [allowance.wait_s(7) for _ in range(2)] == [0.0, 2.0]
    clock.now_s += 3600
    assert [allowance.wait_s(7) for _ in range(4)] == [0.0, 0.0, 0.0, 2.0], "no more than the burst is saved up"


def test_a_refusal_tells_how_long_to_wait(clock: HandClock) -> None:
    allowance = Allowance("Too many test messages", burst=1, refill_s=10.0, clock=clock)
    allowance.take("ann")
    clock.now_s += 0.5
    with pytest.raises(ResourceExhaustedError, match=r"^Too many test messages: try again in 10 s\.$") as caught:
        allowance.take("ann")
    assert caught.value.retry_after_s == 9.5
    clock.now_s += 9.5
    allowance.take("ann")


def test_what_is_given_back_can_be_taken_again(clock: HandClock) -> None:
    buckets = Buckets(clock)
    assert [buckets.wait_s("a", burst=2, refill_s=1.0) for _ in range(3)] == [0.0, 0.0, 1.0]
    buckets.give_back("a", refill_s=1.0)
    buckets.give_back("b", refill_s=1.0)
    assert [buckets.wait_s("a", burst=2, refill_s=1.0) for _ in range(2)] == [0.0, 1.0]
    assert [buckets.wait_s("b", burst=2, refill_s=1.0) for _ in range(3)] == [0.0, 0.0, 1.0], "there was none to give"


def test_memory_is_bounded_and_whoever_goes_on_trying_is_not_forgotten(clock: HandClock) -> None:
    """(I16)"""
    buckets = Buckets(clock)
    assert buckets.wait_s("flood", burst=1, refill_s=60.0) == 0.0
    for number in range(2 * SIZE):
        assert buckets.wait_s(number, burst=1, refill_s=60.0) == 0.0
        if number % 1000 == 0:
            assert buckets.wait_s("flood", burst=1, refill_s=60.0) == 60.0
    assert len(buckets) == SIZE
    assert buckets.wait_s(0, burst=1, refill_s=60.0) == 0.0, "forgotten: its bucket is full"


@given(st.lists(st.floats(0.0, 3.0), max_size=60), st.integers(1, 5), st.sampled_from([0.25, 1.0, 7.0]))
def test_never_more_than_the_burst_and_the_refills_and_waiting_as_told_suffices(
    pauses: list[float], burst: int, refill_s: float
) -> None:
    clock = HandClock()
    buckets = Buckets(clock)
    for taken, pause in enumerate(pauses, 1):
        clock.now_s += pause
        if wait_s := buckets.wait_s("a", burst=burst, refill_s=refill_s):
            assert wait_s <= refill_s + 1e-6
            clock.now_s += wait_s + 1e-6
            assert buckets.wait_s("a", burst=burst, refill_s=refill_s) == 0.0
        assert taken <= burst + (clock.now_s - 1_000.0) / refill_s + 1e-3
