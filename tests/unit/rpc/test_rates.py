import asyncio
from contextlib import suppress

import pytest

from monitord.domain.errors import ResourceExhaustedError, UnauthenticatedError, UnavailableError
from monitord.rpc import rates
from monitord.rpc.rates import CallRates, Rate, RateLimit
from tests.support.clock import HandClock

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.1"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def calls(clock: HandClock) -> CallRates:
    return CallRates(Rate(10.0, 3.0), Rate(1.0, 2.0), clock=clock)


class LookUp:
    """Looks proofs up, each in so many seconds: all good, unless there is an error to raise."""

    def __init__(self, error: Exception | None = None, seconds: float = 0.0) -> None:
        self.error = error
        self.seconds = seconds
        self.times = 0

    async def __call__(self, authorization: str | None) -> str | None:
        self.times += 1
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return authorization


async def prove(calls: CallRates, proof: str | None, peer: str = HOME, error: Exception | None = None) -> bool:
    """Show a proof, which is good unless there is an error; return whether it was looked up."""
    look_up = LookUp(error)
    with suppress(ResourceExhaustedError, *(() if error is None else (type(error),))):
        assert await calls.proven(peer, proof, look_up) == proof
    return look_up.times == 1


def wrong() -> Exception:
    return UnauthenticatedError("who are you?")


def test_each_caller_has_the_rate_that_the_call_names(clock: HandClock) -> None:
    limit = RateLimit("with this credential", clock=clock)
    slow, quick = Rate(0.5, 1.0), Rate.of(100.0)
    assert quick == Rate(100.0, 400.0)
    assert Rate.of(0.1) == Rate(0.1, 1.0)
    limit.take("ann", slow)
    for _ in range(400):
        limit.take("bob", quick)
    with pytest.raises(ResourceExhaustedError) as caught:
        limit.take("ann", slow)
    assert caught.value.retry_after_s == 2.0
    assert caught.value.message == (
        "Too many calls with this credential: 0.5 a second are served, and 1 at once; try again in 2 s"
    )
    with pytest.raises(ResourceExhaustedError, match=r"try again in 0\.01 s"):
        limit.take("bob", quick)
    clock.now_s += 2.0
    limit.take("ann", slow)
    limit.take("ann", quick)  # a better plan counts at once


def test_a_rate_of_0_is_none(clock: HandClock) -> None:
    limit = RateLimit("with this credential", clock=clock)
    for _ in range(1000):
        limit.take("ann", Rate.of(0))
    limit.give_back("ann", Rate.of(0))


def test_credentials_are_counted_apart_and_at_their_own_rate(calls: CallRates) -> None:
    for _ in range(3):
        calls.count_proven("key:ann")
    with pytest.raises(ResourceExhaustedError, match="with this credential: 10 a second"):
        calls.count_proven("key:ann")
    calls.count_proven("key:bob")
    for _ in range(5):
        calls.count_proven("key:cy", Rate(1.0, 5.0))
    with pytest.raises(ResourceExhaustedError, match="1 a second are served, and 5 at once"):
        calls.count_proven("key:cy", Rate(1.0, 5.0))


def test_the_addresses_of_one_subscriber_are_counted_together(calls: CallRates) -> None:
    calls.count_unproven("2001:db8::1")
    calls.count_unproven("2001:db8::2")
    with pytest.raises(ResourceExhaustedError, match="from your network: 1 a second") as caught:
        calls.count_unproven("2001:db8::3")
    assert caught.value.retry_after_s == 1.0
    calls.count_unproven("2001:db8:0:1::1")


async def test_invented_keys_are_not_even_looked_up_beyond_the_rate(calls: CallRates, clock: HandClock) -> None:
    assert [await prove(calls, f"invented {number}", error=wrong()) for number in range(5)] == [
        True,
        True,
        *[False] * 3,
    ]
    assert await prove(calls, "invented", ELSEWHERE, wrong()), "others are not to blame"
    clock.now_s += 1.0
    assert [await prove(calls, "invented", error=wrong()) for _ in range(2)] == [True, False]


async def test_lookups_at_the_same_time_do_not_slip_through_together(calls: CallRates) -> None:
    slow = LookUp(seconds=1)
    waiting = [asyncio.create_task(calls.proven(HOME, proof, slow)) for proof in "ab"]
    await asyncio.sleep(0.5)
    assert not await prove(calls, "c")
    await asyncio.gather(*waiting)
    assert await prove(calls, "c"), "both were good, and gave back what they were counted"


async def test_many_first_calls_of_one_good_caller_wait_for_the_first(calls: CallRates) -> None:
    """Or a dashboard that asks for twenty things at once would be refused most of them."""
    look_up = LookUp(seconds=1)
    waiting = [asyncio.create_task(calls.proven(HOME, "ann", look_up)) for _ in range(20)]
    await asyncio.sleep(0.5)
    assert look_up.times == 1
    assert await asyncio.gather(*waiting) == ["ann"] * 20
    assert [await prove(calls, "x", error=wrong()) for _ in range(3)] == [True, True, False]


async def test_many_calls_with_one_wrong_proof_are_each_counted(calls: CallRates) -> None:
    look_up = LookUp(wrong(), seconds=0.1)
    waiting = (calls.proven(HOME, "invented", look_up) for _ in range(20))
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert look_up.times == 2
    assert [type(end) for end in ends] == [UnauthenticatedError] * 2 + [ResourceExhaustedError] * 18
    assert calls._asking == {}


async def test_a_first_call_that_is_given_up_leaves_the_others_to_try(calls: CallRates) -> None:
    look_up = LookUp(seconds=1)
    first, second = [asyncio.create_task(calls.proven(HOME, "ann", look_up)) for _ in range(2)]
    await asyncio.sleep(0.5)
    first.cancel()
    assert await second == "ann"
    assert first.cancelled()
    assert calls._asking == {}


async def test_whoever_proved_good_is_not_shut_out_by_the_neighbours_nonsense(calls: CallRates) -> None:
    assert await prove(calls, "ann")
    for number in range(100):
        await prove(calls, f"invented {number}", error=wrong())
    assert all([await prove(calls, "ann") for _ in range(100)])
    assert await prove(calls, "ann", HOME), "from wherever"
    assert not await prove(calls, "bob"), "a newcomer has to wait for their turn"


async def test_a_newcomer_who_is_good_costs_the_network_nothing(calls: CallRates) -> None:
    assert all([await prove(calls, f"good {number}") for number in range(100)])
    assert [await prove(calls, "invented", error=wrong()) for _ in range(3)] == [True, True, False]


async def test_a_proof_that_was_revoked_counts_like_any_wrong_one(calls: CallRates) -> None:
    assert await prove(calls, "ann")
    assert await prove(calls, "ann", error=wrong())
    assert [await prove(calls, "ann", error=wrong()) for _ in range(2)] == [True, False]


async def test_a_flood_with_what_was_good_once_is_told_so(calls: CallRates) -> None:
    assert await prove(calls, "ann")
    assert [await prove(calls, "x", error=wrong()) for _ in range(2)] == [True, True]
    with pytest.raises(ResourceExhaustedError):
        await calls.proven(HOME, "ann", LookUp(wrong()))


async def test_an_outage_of_ours_does_not_make_anybody_a_stranger(calls: CallRates) -> None:
    assert await prove(calls, "ann")
    for _ in range(5):
        assert await prove(calls, "ann", error=UnavailableError("the database is away"))
    assert [await prove(calls, "new", error=UnavailableError("the database is away")) for _ in range(3)] == [
        True,
        True,
        False,
    ], "what is unknown is counted all the same: nobody knows yet whether it is good"


async def test_no_proof_at_all_counts_too(calls: CallRates) -> None:
    assert [await prove(calls, None, error=wrong()) for _ in range(3)] == [True, True, False]


async def test_memory_is_bounded_and_holds_no_proof(calls: CallRates, monkeypatch: pytest.MonkeyPatch) -> None:
    """(I16, T15)"""
    monkeypatch.setattr(rates, "FAMILIAR", 10)
    for number in range(100):
        assert await prove(calls, f"good {number}")
    assert len(calls._familiar) == 10
    assert all(len(proof) == 16 for proof in calls._familiar)
