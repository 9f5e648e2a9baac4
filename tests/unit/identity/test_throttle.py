import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.errors import ResourceExhaustedError
from monitord.identity.throttle import (
    ADDRESS_BURST,
    ADDRESS_REFILL_S,
    FORGET_AFTER_S,
    FREE_FAILURES,
    LONGEST_DELAY_S,
    LoginThrottle,
)
from tests.support.clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def throttle(clock: HandClock) -> LoginThrottle:
    return LoginThrottle(clock=clock)


def wait_s(throttle: LoginThrottle, account: str, peer: str) -> float:
    """Return how long an attempt has to wait; charge it when it need not."""
    try:
        throttle.begin(account, peer)
    except ResourceExhaustedError as refused:
        return refused.retry_after_s or math.nan
    return 0.0


def peers() -> list[str]:
    return [f"192.0.2.{host}" for host in range(1, 255)]


def test_failures_of_one_account_delay_it_exponentially_from_whatever_address(
    throttle: LoginThrottle, clock: HandClock
) -> None:
    addresses = iter(peers())
    delays = []
    for _ in range(20):
        delay = wait_s(throttle, "a@example.org", next(addresses))
        delays.append(delay)
        clock.now_s += delay
        if delay:
            assert wait_s(throttle, "a@example.org", next(addresses)) == 0

    assert delays[:FREE_FAILURES] == [0.0] * FREE_FAILURES
    assert delays[FREE_FAILURES : FREE_FAILURES + 10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert set(delays[FREE_FAILURES + 10 :]) == {LONGEST_DELAY_S}
    assert wait_s(throttle, "b@example.org", next(addresses)) == 0


def test_a_refused_attempt_makes_nothing_worse(throttle: LoginThrottle, clock: HandClock) -> None:
    for _ in range(FREE_FAILURES):
        throttle.begin("a@example.org", "192.0.2.1")

    assert [wait_s(throttle, "a@example.org", "192.0.2.1") for _ in range(50)] == [1.0] * 50
    clock.now_s += 1
    assert wait_s(throttle, "a@example.org", "192.0.2.1") == 0


def test_failures_of_one_address_are_limited_whatever_the_accounts(throttle: LoginThrottle, clock: HandClock) -> None:
    for number in range(ADDRESS_BURST):
        assert wait_s(throttle, f"{number}@example.org", "192.0.2.1") == 0

    assert wait_s(throttle, "new@example.org", "192.0.2.1") == ADDRESS_REFILL_S
    assert wait_s(throttle, "new@example.org", "192.0.2.2") == 0
    clock.now_s += ADDRESS_REFILL_S
    assert wait_s(throttle, "new@example.org", "192.0.2.1") == 0
    assert wait_s(throttle, "new@example.org", "192.0.2.1") == ADDRESS_REFILL_S


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("unix", "unix", True),
        ("", "", True),
    ],
)
def test_an_ipv6_network_is_one_address(throttle: LoginThrottle, one: str, other: str, same: bool) -> None:
    for number in range(ADDRESS_BURST):
        throttle.begin(f"{number}@example.org", one)

    assert (wait_s(throttle, "new@example.org", other) > 0) is same


def test_success_gives_the_attempt_back_and_forgets_the_accounts_failures(throttle: LoginThrottle) -> None:
    for _ in range(3 * ADDRESS_BURST):
        throttle.begin("a@example.org", "192.0.2.1").succeeded()
    for _ in range(FREE_FAILURES - 1):
        throttle.begin("a@example.org", "192.0.2.1")
    throttle.begin("a@example.org", "192.0.2.1").succeeded()

    for _ in range(FREE_FAILURES):
        assert wait_s(throttle, "a@example.org", "192.0.2.1") == 0


def test_ones_own_password_buys_no_guesses_at_others(throttle: LoginThrottle) -> None:
    for number in range(ADDRESS_BURST):
        throttle.begin(f"victim-{number}@example.org", "192.0.2.1")
        if number < ADDRESS_BURST - 1:
            throttle.begin("attacker@example.org", "192.0.2.1").succeeded()

    assert wait_s(throttle, "victim@example.org", "192.0.2.1") == ADDRESS_REFILL_S


def test_a_strangers_guesses_do_not_lock_the_owner_out(throttle: LoginThrottle) -> None:
    throttle.begin("a@example.org", "192.0.2.1").succeeded()
    for _ in range(FREE_FAILURES):
        throttle.begin("a@example.org", "198.51.100.1")
    assert wait_s(throttle, "a@example.org", "198.51.100.2") == 1.0

    throttle.begin("a@example.org", "192.0.2.1").succeeded()

    assert wait_s(throttle, "a@example.org", "198.51.100.2") == 1.0, "nor does the owner's success help the stranger"
    for _ in range(FREE_FAILURES):
        throttle.begin("a@example.org", "192.0.2.1")
    assert wait_s(throttle, "a@example.org", "192.0.2.1") == 1.0, "a known address is limited too"


def test_attempts_at_the_same_time_do_not_slip_through_together(throttle: LoginThrottle) -> None:
    under_way = [throttle.begin("a@example.org", "192.0.2.1") for _ in range(FREE_FAILURES)]

    assert wait_s(throttle, "a@example.org", "192.0.2.1") > 0
    under_way[0].undecided()
    assert wait_s(throttle, "a@example.org", "192.0.2.1") == 0


def test_an_attempt_that_nobody_answered_is_given_back(throttle: LoginThrottle) -> None:
    for _ in range(5 * ADDRESS_BURST):
        throttle.begin("a@example.org", "192.0.2.1").undecided()

    assert wait_s(throttle, "a@example.org", "192.0.2.1") == 0


def test_an_attempt_that_nobody_answered_does_not_begin_the_delay_anew(
    throttle: LoginThrottle, clock: HandClock
) -> None:
    for _ in range(FREE_FAILURES):
        throttle.begin("a@example.org", "192.0.2.1")
    clock.now_s += 1
    throttle.begin("a@example.org", "192.0.2.1").undecided()

    assert wait_s(throttle, "a@example.org", "192.0.2.1") == 0


def test_giving_one_attempt_back_does_not_shorten_the_delay_of_a_later_failure(
    throttle: LoginThrottle, clock: HandClock
) -> None:
    for _ in range(FREE_FAILURES - 1):
        throttle.begin("a@example.org", "192.0.2.1")
    slow = throttle.begin("a@example.org", "192.0.2.1")
    clock.now_s += 1
    throttle.begin("a@example.org", "192.0.2.1")
    slow.undecided()

    assert wait_s(throttle, "a@example.org", "192.0.2.1") == 1.0


def test_failures_are_forgotten_after_an_hour_without_one(throttle: LoginThrottle, clock: HandClock) -> None:
    for _ in range(FREE_FAILURES):
        throttle.begin("a@example.org", "192.0.2.1")
    clock.now_s += FORGET_AFTER_S

    for _ in range(FREE_FAILURES):
        assert wait_s(throttle, "a@example.org", "192.0.2.1") == 0


def test_memory_is_bounded_however_many_accounts_and_addresses_are_tried(clock: HandClock) -> None:
    throttle = LoginThrottle(clock=clock, size=10)
    for number in range(1_000):
        throttle.begin(f"{number}@example.org", f"unix-{number}").succeeded()
        throttle.begin(f"{number}@example.org", f"unix-{number}")

    assert throttle.remembered() <= 30


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from(["fail", "undecided"]))))
def test_waiting_as_long_as_told_always_suffices(attempts: list[tuple[str, str, str]]) -> None:
    clock = HandClock()
    throttle = LoginThrottle(clock=clock)
    for account, peer, outcome in attempts:
        clock.now_s += wait_before(throttle, account, peer)
        attempt = throttle.begin(account, peer)
        if outcome == "undecided":
            attempt.undecided()


def wait_before(throttle: LoginThrottle, account: str, peer: str) -> float:
    try:
        throttle.begin(account, peer).undecided()
    except ResourceExhaustedError as refused:
        return (refused.retry_after_s or math.nan) + 1e-6
    return 0.0


async def test_it_runs_on_the_loops_own_time() -> None:
    loop = asyncio.get_running_loop()
    throttle = LoginThrottle(clock=loop.time)
    begun = loop.time()
    refusals = 0
    for _ in range(FREE_FAILURES + 3):
        while delay := wait_s(throttle, "a@example.org", "192.0.2.1"):
            refusals += 1
            await asyncio.sleep(delay)

    assert loop.time() - begun == pytest.approx(1 + 2 + 4)
    assert refusals == 3
