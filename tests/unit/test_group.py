"""How a group does, by how its members do."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.check import Category, Verdict
from monitord.domain.group import Member, judge, verdict_of
from monitord.domain.health import Status
from monitord.domain.kinds import GroupCheck
from monitord.domain.rules.connection import Context
from monitord.domain.rules.group import violations

ALL, ANY, TWO = (GroupCheck(labels={"a": "b"}, min_up=min_up) for min_up in (0, 1, 2))
UP, DEGRADED, DOWN, UNKNOWN = Status.UP, Status.DEGRADED, Status.DOWN, Status.UNKNOWN


def members(*statuses: Status) -> list[Member]:
    return [Member(f"m{number}", status) for number, status in enumerate(statuses)]


@pytest.mark.parametrize(
    ("check", "statuses", "verdict"),
    [
        (ALL, [UP, UP], Verdict.UP),
        (ALL, [UP, DEGRADED], Verdict.DEGRADED),
        (ALL, [UP, DOWN], Verdict.DOWN),
        (ALL, [UP, Status.UNREACHABLE], Verdict.DOWN),
        (ALL, [DOWN, UNKNOWN], Verdict.DOWN),
        (ALL, [UP, UNKNOWN], Verdict.INCONCLUSIVE),
        (ALL, [UP, Status.PENDING], Verdict.INCONCLUSIVE),
        (ALL, [UP, Status.FAULTED], Verdict.INCONCLUSIVE),
        (ALL, [UP, Status.PAUSED], Verdict.UP),
        (ALL, [UP, Status.MAINTENANCE], Verdict.UP),
        (ALL, [Status.PAUSED, Status.MAINTENANCE], Verdict.INCONCLUSIVE),
        (ALL, [], Verdict.INCONCLUSIVE),
        (ANY, [DOWN, UP], Verdict.DEGRADED),
        (ANY, [DOWN, DOWN], Verdict.DOWN),
        (ANY, [DOWN, UNKNOWN], Verdict.INCONCLUSIVE),
        (ANY, [UP, UNKNOWN], Verdict.UP),
        (TWO, [UP, UP, DOWN], Verdict.DEGRADED),
        (TWO, [UP, DOWN, DOWN], Verdict.DOWN),
        (TWO, [UP], Verdict.DOWN),
    ],
)
def test_the_table(check: GroupCheck, statuses: list[Status], verdict: Verdict) -> None:
    assert judge(check, members(*statuses)).verdict is verdict


@given(st.lists(st.sampled_from(Status), max_size=12), st.integers(0, 14))
def test_what_is_unknown_decides_nothing_that_it_could_change(statuses: list[Status], min_up: int) -> None:
    """(I9): whatever the unknown ones turn out to be, a verdict of DOWN, or of working, stays what it is."""
    check = GroupCheck(labels={"a": "b"}, min_up=min_up)
    verdict = judge(check, members(*statuses)).verdict
    known = {UP, DEGRADED, DOWN, Status.UNREACHABLE, Status.PAUSED, Status.MAINTENANCE}
    for guess in (UP, DOWN):
        truth = [each if each in known else guess for each in statuses]
        if verdict is Verdict.DOWN:
            assert verdict_of(check, Counter(truth)) is Verdict.DOWN
        elif verdict in (Verdict.UP, Verdict.DEGRADED):
            assert verdict_of(check, Counter(truth)) in (Verdict.UP, Verdict.DEGRADED)


def test_it_says_who_and_how_many() -> None:
    seen = judge(ALL, members(UP, DOWN, UNKNOWN, Status.PAUSED))
    assert (seen.category, seen.message) == (Category.GROUP_DOWN, "1 of 3 members is down: m1.")
    assert seen.measurements == {"group.members": 3.0, "group.up": 1.0, "group.down": 1.0}
    assert seen.evidence is not None
    assert [step.text for step in seen.evidence.steps][1:] == ["m1: DOWN", "m2: UNKNOWN", "m0: UP"]


def test_it_says_how_many_must_work() -> None:
    assert judge(TWO, members(UP, DOWN, DOWN)).message == "2 of 3 members are down: m1, m2; at least 2 must work."
    assert judge(TWO, members(UP)).message == "It has 1; at least 2 must work."
    assert judge(ANY, members(UP, DOWN)).message == "1 of 2 members is down: m1."
    assert judge(ALL, members(UP, DEGRADED)).message == "1 of 2 members is degraded: m1."
    assert judge(ALL, members(UP, UNKNOWN)).message == "It depends on what is not known yet: m1."
    assert judge(ALL, members(Status.PAUSED)).message == (
        "Nothing can be said: none of its members is checked at the moment."
    )


def test_many_names_are_counted() -> None:
    seen = judge(ALL, members(*[DOWN] * 1000))
    assert seen.message == "1000 of 1000 members are down: m0, m1, m2, m3 and 996 more."
    assert seen.evidence is not None
    assert len(seen.evidence.steps) == 51


@pytest.mark.parametrize(
    ("check", "field", "sentence"),
    [
        (GroupCheck(), "monitor_ids", "must name at least one monitor; or give labels that monitors have"),
        (GroupCheck(monitor_ids=(1, 0)), "monitor_ids[1]", "must be the id of a monitor, which is 1 or more, not 0"),
        (
            GroupCheck(monitor_ids=tuple(range(1, 1002))),
            "monitor_ids",
            "must be at most 1000, not 1001; labels have no limit",
        ),
        (GroupCheck(monitor_ids=(1,), min_up=2), "min_up", "must be at most the number of members, 1, not 2"),
        (GroupCheck(monitor_ids=(1,), min_up=-1), "min_up", "must be 0 (all of them) or more, not -1"),
        (
            GroupCheck(labels={"a b": ""}),
            "labels",
            "the key 'a b' must have 1 to 63 letters, digits or any of - _ . /",
        ),
    ],
)
def test_what_is_wrong_is_said(check: GroupCheck, field: str, sentence: str) -> None:
    found = list(violations(check, Context(timeout_ms=1000)))
    assert [(one.field, one.description) for one in found] == [(field, sentence)]


def test_labels_may_find_more_members_than_are_named() -> None:
    assert not list(violations(GroupCheck(monitor_ids=(1,), labels={"a": "b"}, min_up=5), Context(timeout_ms=1000)))


@pytest.mark.parametrize(
    ("check", "shown"),
    [
        (GroupCheck(monitor_ids=(1, 2)), "all of 2 monitors"),
        (GroupCheck(monitor_ids=(1,), labels={"b": "2", "a": "1"}), "all of 1 monitor and monitors with a=1, b=2"),
        (GroupCheck(labels={"a": "1"}, min_up=3), "at least 3 of monitors with a=1"),
        (GroupCheck(), "all of nothing"),
    ],
)
def test_it_is_shown_in_words(check: GroupCheck, shown: str) -> None:
    assert check.shown == shown
