"""What a status is made of: a pure fold of verdicts (I8), deaf to our own faults (I9)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.check import Verdict
from monitord.domain.health import Health, Policy, Status, Transition, observe, steady, suspicious

UP, DEGRADED, DOWN = Verdict.UP, Verdict.DEGRADED, Verdict.DOWN
SILENT = [Verdict.INCONCLUSIVE, Verdict.BLOCKED]

policies = st.builds(Policy, st.integers(1, 10), st.integers(1, 10))
spoken = st.sampled_from([UP, DEGRADED, DOWN])
histories = st.lists(st.sampled_from(Verdict), max_size=60)
starts = st.sampled_from([Status.PENDING, Status.UNKNOWN, Status.UP, Status.DEGRADED, Status.DOWN])


def fold(health: Health, verdicts: list[Verdict], policy: Policy, at: int = 0) -> tuple[Health, list[Transition]]:
    transitions = []
    for index, verdict in enumerate(verdicts, at + 1):
        health, transition = observe(health, verdict, index, policy)
        transitions += [transition] if transition else []
    return health, transitions


def statuses(verdicts: list[Verdict], policy: Policy, start: Status = Status.PENDING) -> list[Status]:
    return [t.after for t in fold(Health(start), verdicts, policy)[1]]


@pytest.mark.parametrize(
    ("verdicts", "policy", "expected"),
    [
        ([UP], Policy(), [Status.UP]),
        ([DOWN], Policy(), []),
        ([DOWN, DOWN], Policy(), [Status.DOWN]),
        ([DOWN, UP, DOWN, UP], Policy(), [Status.UP]),
        ([UP, DOWN, DOWN, UP], Policy(), [Status.UP, Status.DOWN, Status.UP]),
        ([UP, DOWN, DOWN, UP, UP], Policy(2, 2), [Status.UP, Status.DOWN, Status.UP]),
        ([UP, DOWN, DOWN, UP, DOWN, UP], Policy(2, 2), [Status.UP, Status.DOWN]),
        ([UP, DEGRADED, DEGRADED], Policy(), [Status.UP, Status.DEGRADED]),
        ([UP, DOWN, DEGRADED], Policy(), [Status.UP, Status.DEGRADED]),
        ([UP, DOWN, DOWN, DEGRADED], Policy(), [Status.UP, Status.DOWN, Status.DEGRADED]),
        ([UP, DOWN, Verdict.INCONCLUSIVE, DOWN], Policy(), [Status.UP, Status.DOWN]),
        ([DOWN] * 10, Policy(10, 10), [Status.DOWN]),
        ([DOWN] * 9, Policy(10, 10), []),
    ],
)
def test_stories(verdicts: list[Verdict], policy: Policy, expected: list[Status]) -> None:
    assert statuses(verdicts, policy) == expected


@given(histories, policies, starts)
def test_a_history_can_be_replayed_from_anywhere(history: list[Verdict], policy: Policy, start: Status) -> None:
    """The fold of the whole is the fold of its end over the fold of its beginning."""
    whole = fold(Health(start), history, policy)
    for cut in range(len(history)):
        middle, first = fold(Health(start), history[:cut], policy)
        end, second = fold(middle, history[cut:], policy, at=cut)
        assert (end, first + second) == whole


@given(histories, policies, starts, st.data())
def test_our_own_faults_change_nothing(
    history: list[Verdict], policy: Policy, start: Status, data: st.DataObject
) -> None:
    """I9: they neither advance nor reset a streak, wherever they come."""
    health, _ = fold(Health(start), history, policy)
    assert observe(health, data.draw(st.sampled_from(SILENT)), 99, policy) == (health, None)


@given(histories, policies, st.sampled_from([Status.PAUSED, Status.FAULTED]))
def test_a_stopped_monitor_keeps_its_status(history: list[Verdict], policy: Policy, status: Status) -> None:
    assert fold(Health(status), history, policy) == (Health(status), [])


@given(histories, policies, starts)
def test_transitions_follow_from_each_other(history: list[Verdict], policy: Policy, start: Status) -> None:
    health, transitions = fold(Health(start), history, policy)
    assert all(t.before is not t.after for t in transitions)
    assert all(a.after is b.before and a.at < b.at for a, b in pairwise(transitions))
    if transitions:
        assert transitions[0].before is start
        assert (health.status, health.since) == (transitions[-1].after, transitions[-1].at)
    else:
        assert (health.status, health.since) == (start, 0)


@given(histories, policies, starts)
def test_it_takes_a_threshold_of_bad_results_to_be_down(history: list[Verdict], policy: Policy, start: Status) -> None:
    heard = [verdict for verdict in history if verdict not in SILENT]
    _, transitions = fold(Health(start), heard, policy)
    for transition in transitions:
        if transition.after is Status.DOWN:
            assert set(heard[transition.at - policy.failure_threshold : transition.at]) == {DOWN}


@given(histories, policies, starts, spoken)
def test_ten_equal_verdicts_settle_everything(
    history: list[Verdict], policy: Policy, start: Status, verdict: Verdict
) -> None:
    """No threshold is higher: from there on, the same verdict leaves the state exactly as it is."""
    health, _ = fold(Health(start), [*history, *[verdict] * 10], policy)
    assert health.status is {UP: Status.UP, DEGRADED: Status.DEGRADED, DOWN: Status.DOWN}[verdict]
    assert observe(health, verdict, 99, policy) == (health, None)
    assert steady(health, verdict)
    assert not suspicious(health)


@given(histories, policies, starts, spoken, histories)
def test_a_steady_verdict_can_be_left_out(
    history: list[Verdict], policy: Policy, start: Status, verdict: Verdict, then: list[Verdict]
) -> None:
    """What the spool and the stored state rely on: it may count on in streaks, but never matters."""
    health, _ = fold(Health(start), history, policy)
    if not steady(health, verdict):
        return
    after, transition = observe(health, verdict, len(history) + 1, policy)
    assert transition is None
    with_it, without = (fold(h, then, policy, at=1_000) for h in (after, health))
    assert with_it[1] == without[1]
    assert (with_it[0].status, with_it[0].since) == (without[0].status, without[0].since)


@given(histories, policies, starts)
def test_a_suspicion_is_a_streak_that_could_change_the_status(
    history: list[Verdict], policy: Policy, start: Status
) -> None:
    health, _ = fold(Health(start), history, policy)
    if suspicious(health):
        assert any(fold(health, [verdict] * 10, policy)[1] for verdict in (UP, DEGRADED, DOWN))
        assert not all(steady(health, verdict) for verdict in (UP, DEGRADED, DOWN))
