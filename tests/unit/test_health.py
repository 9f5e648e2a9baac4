"""What a status is made of: a pure fold of verdicts (I8), deaf to our own faults (I9)."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitord.domain.alert import AlertKind, Silence, alert_kind, ends_incident, opens_incident, silence_of
from monitord.domain.check import Verdict
from monitord.domain.health import JUDGEMENTS, Health, Policy, Status, Transition, observe, steady, suspicious

UP, DEGRADED, DOWN, UNREACHABLE = Verdict.UP, Verdict.DEGRADED, Verdict.DOWN, Verdict.UNREACHABLE
BLIND = Verdict.INCONCLUSIVE
SILENT = [Verdict.INCONCLUSIVE, Verdict.BLOCKED]

Seen = tuple[Verdict, bool]
"""What a check said, and whether that was in a maintenance window."""

policies = st.builds(Policy, st.integers(1, 10), st.integers(1, 10))
spoken = st.sampled_from([UP, DEGRADED, DOWN, UNREACHABLE])
seen = st.tuples(st.sampled_from(Verdict), st.sampled_from([False, False, False, True]))
histories = st.lists(seen, max_size=60)
starts = st.sampled_from(sorted(JUDGEMENTS))


def begun(status: Status) -> Health:
    return Health(status, judged=status if status in JUDGEMENTS else Status.PENDING)


def fold(
    health: Health, history: list[Seen] | list[Verdict], policy: Policy, at: int = 0
) -> tuple[Health, list[Transition]]:
    transitions = []
    for index, each in enumerate(history, at + 1):
        verdict, maintenance = each if isinstance(each, tuple) else (each, False)
        health, transition = observe(health, verdict, index, policy, maintenance)
        transitions += [transition] if transition else []
    return health, transitions


def statuses(history: list[Seen] | list[Verdict], policy: Policy, start: Status = Status.PENDING) -> list[Status]:
    return [t.after for t in fold(begun(start), history, policy)[1]]


def alerts(history: list[Seen] | list[Verdict], policy: Policy | None = None) -> list[AlertKind]:
    _, transitions = fold(Health(), history, policy or Policy())
    return [kind for each in transitions if (kind := alert_kind(each)) is not None]


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
        ([UP, DOWN, BLIND, DOWN], Policy(), [Status.UP, Status.DOWN]),
        ([DOWN] * 10, Policy(10, 10), [Status.DOWN]),
        ([DOWN] * 9, Policy(10, 10), []),
        # blindness
        ([UP, BLIND, BLIND], Policy(), [Status.UP]),
        ([UP, BLIND, BLIND, BLIND], Policy(), [Status.UP, Status.UNKNOWN]),
        ([Verdict.BLOCKED] * 3, Policy(), [Status.UNKNOWN]),
        ([UP, *[BLIND] * 4], Policy(5), [Status.UP]),
        ([UP, *[BLIND] * 5], Policy(5), [Status.UP, Status.UNKNOWN]),
        ([UP, *[BLIND] * 3, UP], Policy(), [Status.UP, Status.UNKNOWN, Status.UP]),
        ([UP, DOWN, *[BLIND] * 3, DOWN], Policy(), [Status.UP, Status.UNKNOWN, Status.DOWN]),
        # dependencies
        ([UP, UNREACHABLE], Policy(), [Status.UP]),
        ([UP, UNREACHABLE, UNREACHABLE], Policy(), [Status.UP, Status.UNREACHABLE]),
        ([UP, DOWN, UNREACHABLE], Policy(), [Status.UP, Status.UNREACHABLE]),
        ([UP, UNREACHABLE, DOWN], Policy(), [Status.UP]),
        ([UP, UNREACHABLE, UNREACHABLE, UP], Policy(), [Status.UP, Status.UNREACHABLE, Status.UP]),
        ([UP, UNREACHABLE, UNREACHABLE, DOWN, DOWN], Policy(), [Status.UP, Status.UNREACHABLE, Status.DOWN]),
        ([DOWN, DOWN, UNREACHABLE, UNREACHABLE], Policy(), [Status.DOWN]),
    ],
)
def test_stories(verdicts: list[Verdict], policy: Policy, expected: list[Status]) -> None:
    assert statuses(verdicts, policy) == expected


def test_a_window_hides_the_judgement_and_leaves_it_as_it_is() -> None:
    history: list[Seen] = [(UP, False), (DOWN, False), (DOWN, True), (DOWN, True), (DOWN, False), (UP, False)]
    assert statuses(history, Policy()) == [Status.UP, Status.MAINTENANCE, Status.DOWN, Status.UP]
    quiet: list[Seen] = [(UP, False), (DOWN, True), (BLIND, False), (UP, False)]
    assert statuses(quiet, Policy()) == [Status.UP, Status.MAINTENANCE, Status.UP]


@pytest.mark.parametrize(
    ("history", "told"),
    [
        ([DOWN, DOWN, UP], [AlertKind.DOWN, AlertKind.UP]),
        ([(DOWN, False), (DOWN, False), (DOWN, True), (UP, False)], [AlertKind.DOWN, AlertKind.UP]),
        ([(DOWN, False), (DOWN, False), (UP, True), (DOWN, False), (DOWN, False)], [AlertKind.DOWN]),
        ([DOWN, DOWN, BLIND, BLIND, BLIND, DOWN, BLIND, BLIND, BLIND, UP], [AlertKind.DOWN, AlertKind.UP]),
        ([(UP, False), (DOWN, True), (DOWN, True), (UP, False)], []),
        ([UP, BLIND, BLIND, BLIND, UP], []),
        ([UP, UNREACHABLE, UNREACHABLE, UP], []),
        ([UP, UNREACHABLE, UNREACHABLE, DOWN, DOWN, UP], [AlertKind.DOWN, AlertKind.UP]),
        ([DOWN, DOWN, UNREACHABLE, UP], [AlertKind.DOWN, AlertKind.UP]),
    ],
)
def test_what_people_are_told(history: list[Verdict], told: list[AlertKind]) -> None:
    assert alerts(history) == told


@given(histories, policies)
def test_an_outage_is_told_once_and_its_end_only_if_it_was(history: list[Seen], policy: Policy) -> None:
    """(I20) Whatever windows, blindness and parents come between."""
    told = [kind for kind in alerts(history, policy) if kind is not AlertKind.DEGRADED]
    assert all(a is not b for a, b in pairwise(told)) or AlertKind.DEGRADED in alerts(history, policy)
    _, transitions = fold(Health(), history, policy)
    is_open = False
    for each in transitions:
        if ends_incident(each):
            assert is_open
            is_open = False
        if opens_incident(each):
            assert not is_open
            assert alert_kind(each) is AlertKind.DOWN
            is_open = True


@given(histories, policies, starts)
def test_who_is_not_told_has_a_reason(history: list[Seen], policy: Policy, start: Status) -> None:
    """(I2)"""
    for each in fold(begun(start), history, policy)[1]:
        if alert_kind(each) is None:
            reason = silence_of(each)
            overlays = {each.before, each.after} & {Status.MAINTENANCE}
            assert (reason is Silence.MAINTENANCE) is bool(overlays)


@given(histories, policies, starts)
def test_a_history_can_be_replayed_from_anywhere(history: list[Seen], policy: Policy, start: Status) -> None:
    """The fold of the whole is the fold of its end over the fold of its beginning."""
    whole = fold(begun(start), history, policy)
    for cut in range(len(history)):
        middle, first = fold(begun(start), history[:cut], policy)
        end, second = fold(middle, history[cut:], policy, at=cut)
        assert (end, first + second) == whole


@given(histories, policies, starts, st.sampled_from([*((each, False) for each in SILENT), (UP, True), (DOWN, True)]))
def test_neither_our_own_faults_nor_a_window_touch_the_judgement(
    history: list[Seen], policy: Policy, start: Status, hidden: Seen
) -> None:
    """I9: they neither advance nor reset a streak, wherever they come."""
    health, _ = fold(begun(start), history, policy)
    after, transition = observe(health, hidden[0], 99, policy, hidden[1])
    beneath = {"status": health.status, "since": health.since, "blind_streak": health.blind_streak}
    assert msgspec.structs.replace(after, **beneath) == health
    assert transition is None or transition.judged_before is transition.judged_after
    told = fold(after, [verdict for verdict, window in history if not window], policy)[0]
    assert told.judged is fold(health, [verdict for verdict, window in history if not window], policy)[0].judged


@given(histories, policies, st.sampled_from([Status.PAUSED, Status.FAULTED]))
def test_a_stopped_monitor_keeps_its_status(history: list[Seen], policy: Policy, status: Status) -> None:
    assert fold(begun(status), history, policy) == (begun(status), [])


@given(histories, policies, starts)
def test_transitions_follow_from_each_other(history: list[Seen], policy: Policy, start: Status) -> None:
    health, transitions = fold(begun(start), history, policy)
    assert all(t.before is not t.after for t in transitions)
    assert all(a.after is b.before and a.judged_after is b.judged_before for a, b in pairwise(transitions))
    assert all(a.at < b.at for a, b in pairwise(transitions))
    if transitions:
        assert transitions[0].before is start
        assert (health.status, health.since) == (transitions[-1].after, transitions[-1].at)
        assert health.judged is transitions[-1].judged_after
    else:
        assert (health.status, health.since) == (start, 0)


@given(histories, policies, starts)
def test_it_takes_a_threshold_of_bad_results_to_be_down(history: list[Seen], policy: Policy, start: Status) -> None:
    heard = [verdict for verdict, window in history if not window and verdict not in SILENT]
    _, transitions = fold(begun(start), heard, policy)
    for transition in transitions:
        if transition.judged_after is Status.DOWN and transition.judged_before is not Status.DOWN:
            assert set(heard[transition.at - policy.failure_threshold : transition.at]) == {DOWN}
        if transition.judged_after is Status.UNREACHABLE:
            assert set(heard[transition.at - policy.failure_threshold : transition.at]) <= {DOWN, UNREACHABLE}


@given(histories, policies, starts, spoken)
def test_ten_equal_verdicts_settle_everything(
    history: list[Seen], policy: Policy, start: Status, verdict: Verdict
) -> None:
    """No threshold is higher: from there on, the same verdict leaves the state exactly as it is."""
    before, _ = fold(begun(start), history, policy)
    health, _ = fold(before, [verdict] * 10, policy)
    expected = {UP: Status.UP, DEGRADED: Status.DEGRADED, DOWN: Status.DOWN, UNREACHABLE: Status.UNREACHABLE}[verdict]
    if verdict is UNREACHABLE and before.judged is Status.DOWN:
        expected = Status.DOWN  # the same outage goes on
    assert health.status is health.judged is expected
    assert observe(health, verdict, 99, policy) == (health, None)
    assert steady(health, verdict)
    assert not suspicious(health)


@given(histories, policies, starts, seen, histories)
@example(
    [(DOWN, False), (UNREACHABLE, False), (DOWN, False)],
    Policy(failure_threshold=2, success_threshold=1),
    Status.PENDING,
    (UNREACHABLE, False),
    [(DOWN, False)],
)
@example([(UNREACHABLE, False)], Policy(3, 1), Status.UNREACHABLE, (UNREACHABLE, False), [(DEGRADED, False)])
def test_a_steady_result_can_be_left_out(
    history: list[Seen], policy: Policy, start: Status, one: Seen, then: list[Seen]
) -> None:
    """What the spool and the stored state rely on: it may count on in streaks, but never matters."""
    health, _ = fold(begun(start), history, policy)
    if not steady(health, *one):
        return
    after, transition = observe(health, one[0], len(history) + 1, policy, one[1])
    assert transition is None
    with_it, without = (fold(h, then, policy, at=1_000) for h in (after, health))
    assert with_it[1] == without[1]
    assert (with_it[0].status, with_it[0].since) == (without[0].status, without[0].since)


@given(histories, policies, starts)
def test_a_suspicion_is_a_streak_that_could_change_the_status(
    history: list[Seen], policy: Policy, start: Status
) -> None:
    health, _ = fold(begun(start), history, policy)
    if suspicious(health):
        every = (UP, DEGRADED, DOWN, UNREACHABLE)
        assert any(fold(health, [verdict] * 10, policy)[1] for verdict in every)
        assert not all(steady(health, verdict) for verdict in every)
