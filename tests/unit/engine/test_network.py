"""Whether a failure is the target's, or that of our own network: on virtual time, with anchors that do as told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.network import Reach
from monitord.engine.network import ANSWER_S, FRESH_S, SETTLE_S, NetworkWatch
from tests.support.clock import VirtualClock

WELL = Reach(way_out=True, names=True)
CUT_OFF = Reach(way_out=False, names=False)
NAMELESS = Reach(way_out=True, names=False)

TIMEOUT = Observation(
    verdict=Verdict.DOWN, category=Category.CONNECT_TIMEOUT, message="It did not answer.", address="192.0.2.1:80"
)
NO_NAME = Observation(verdict=Verdict.DOWN, category=Category.DNS_TIMEOUT, message="No answer.")


class FakeAnchors:
    """Anchors that answer what they are told to, after a while."""

    def __init__(self, *answers: Reach, takes_s: float = 0.5) -> None:
        self.answers = list(answers)
        self.takes_s = takes_s
        self.asked = 0

    async def ask(self, within_s: float) -> Reach:
        assert within_s == ANSWER_S
        self.asked += 1
        await asyncio.sleep(self.takes_s)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def make() -> Callable[..., tuple[NetworkWatch, FakeAnchors]]:
    def build(*answers: Reach) -> tuple[NetworkWatch, FakeAnchors]:
        anchors = FakeAnchors(*answers)
        return NetworkWatch(anchors, VirtualClock()), anchors

    return build


Make = Callable[..., tuple[NetworkWatch, FakeAnchors]]


async def test_a_target_is_blamed_while_the_anchors_answer(make: Make) -> None:
    watch, anchors = make(WELL)
    assert await watch.judge(TIMEOUT) is TIMEOUT
    assert anchors.asked == 1
    assert not watch.is_down


async def test_our_own_network_is_blamed_when_no_anchor_answers(make: Make, logs: list[Any]) -> None:
    """(I9) Case 48: INCONCLUSIVE, whatever the check saw; and the operator is told once."""
    watch, _ = make(CUT_OFF)
    for _ in range(3):
        seen = await watch.judge(TIMEOUT)
        assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_NETWORK_DOWN)
        assert TIMEOUT.message in seen.message
        assert seen.address == TIMEOUT.address
        await asyncio.sleep(2 * FRESH_S)
    assert watch.is_down
    assert [line["event"] for line in logs] == ["own_network_down"]


async def test_many_who_fail_at_once_ask_once(make: Make) -> None:
    watch, anchors = make(CUT_OFF)
    seen = await asyncio.gather(*(watch.judge(TIMEOUT) for _ in range(10_000)))
    assert {each.verdict for each in seen} == {Verdict.INCONCLUSIVE}
    assert anchors.asked == 1


async def test_a_resolver_of_ours_that_is_gone_excuses_names_alone(make: Make) -> None:
    """Case 3: a resolver that never answers is INCONCLUSIVE when the anchors' names fail too."""
    watch, _ = make(NAMELESS)
    assert (await watch.judge(NO_NAME)).category is Category.ENGINE_NETWORK_DOWN
    assert await watch.judge(TIMEOUT) is TIMEOUT


@pytest.mark.parametrize(
    "seen",
    [
        Observation(verdict=Verdict.UP),
        Observation(verdict=Verdict.DOWN, category=Category.CONNECT_REFUSED, address="192.0.2.1:80"),
        Observation(verdict=Verdict.DOWN, category=Category.HTTP_STATUS, address="192.0.2.1:80"),
        Observation(verdict=Verdict.DEGRADED, category=Category.ASSERT_LATENCY, address="192.0.2.1:80"),
        Observation(verdict=Verdict.DOWN, category=Category.CONNECT_TIMEOUT, address="127.0.0.1:80"),
        Observation(verdict=Verdict.DOWN, category=Category.TIMEOUT_TTFB, address="[::1]:80"),
    ],
)
async def test_what_no_network_can_cause_is_not_asked_about(make: Make, seen: Observation) -> None:
    watch, anchors = make(CUT_OFF)
    assert await watch.judge(seen) is seen
    assert anchors.asked == 0


async def test_a_failure_that_decides_nothing_spares_the_anchors(make: Make) -> None:
    watch, anchors = make(WELL, CUT_OFF)
    assert await watch.judge(TIMEOUT, settled=True) is TIMEOUT
    assert anchors.asked == 0
    await watch.judge(TIMEOUT)
    await asyncio.sleep(FRESH_S)
    await watch.judge(TIMEOUT)
    assert watch.is_down
    assert (await watch.judge(TIMEOUT, settled=True)).verdict is Verdict.INCONCLUSIVE


async def test_an_answer_holds_for_a_moment(make: Make) -> None:
    watch, anchors = make(WELL)
    await watch.judge(TIMEOUT)
    await asyncio.sleep(FRESH_S / 2)
    await watch.judge(TIMEOUT)
    assert anchors.asked == 1
    await asyncio.sleep(FRESH_S)
    await watch.judge(TIMEOUT)
    assert anchors.asked == 2


async def test_back_again_failures_are_distrusted_until_all_was_checked_again(make: Make, logs: list[Any]) -> None:
    """Afterwards, re-check before deciding: what failed in the last moments of our outage is not the target's."""
    watch, _ = make(CUT_OFF, WELL)
    await watch.judge(TIMEOUT)
    await asyncio.sleep(FRESH_S)
    seen = await watch.judge(TIMEOUT)
    assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_NETWORK_DOWN)
    assert not watch.is_down
    assert [line["event"] for line in logs] == ["own_network_down", "own_network_back"]
    await asyncio.sleep(SETTLE_S)
    assert await watch.judge(TIMEOUT) is TIMEOUT


async def test_one_who_goes_away_does_not_end_the_question_of_the_others(make: Make) -> None:
    watch, anchors = make(CUT_OFF)
    first: Awaitable[Observation] = asyncio.ensure_future(watch.judge(TIMEOUT))
    second = asyncio.ensure_future(watch.judge(TIMEOUT))
    await asyncio.sleep(0.1)
    assert isinstance(first, asyncio.Future)
    first.cancel()
    assert (await second).verdict is Verdict.INCONCLUSIVE
    assert anchors.asked == 1


async def test_closing_ends_a_question_under_way(make: Make) -> None:
    watch, _ = make(WELL)
    waiting = asyncio.ensure_future(watch.judge(TIMEOUT))
    await asyncio.sleep(0.1)
    await watch.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await watch.close()
