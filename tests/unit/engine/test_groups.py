"""Who belongs to a group, and when it is judged anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.check import Category, Verdict
from monitord.domain.group import judge
from monitord.domain.health import Health, Status
from monitord.domain.kinds import Check, GroupCheck, HttpCheck
from monitord.domain.monitor import Assignment, Monitor, MonitorSpec
from monitord.engine.groups import Groups

SITE = HttpCheck(url="http://site.example/")
PROD = {"env": "prod"}
GROUP = 100


class Scene:
    """The part of a supervisor that groups know."""

    def __init__(self) -> None:
        self.running: dict[int, tuple[Monitor, Status]] = {}
        self.rechecked: list[int] = []
        self.complete = True
        self.groups = Groups(lambda: self.running.values(), self.rechecked.append, lambda: self.complete)

    def monitor(self, id_: int, check: Check = SITE, labels: dict[str, str] | None = None, org_id: int = 1) -> Monitor:
        spec = MonitorSpec(name=f"m{id_}", check=check, labels=labels or {})
        return Monitor(id=id_, org_id=org_id, spec=spec, version=1, created_at=0, updated_at=0)

    def adopt(self, id_: int, status: Status = Status.UP, check: Check = SITE, **of: object) -> None:
        made = self.monitor(id_, check, **of)  # type: ignore[arg-type]
        health = Health(status, 0, judged=status)
        self.groups.adopt(Assignment(monitor=made, health=health, last_seq=0, covered_until=0))
        self.running[id_] = made, status

    def settle(self, id_: int, status: Status) -> None:
        self.running[id_] = self.running[id_][0], status
        self.groups.settled(id_, Health(status, 0, judged=status))

    def forget(self, id_: int) -> None:
        del self.running[id_]
        self.groups.forget(id_)

    def verdict(self, id_: int = GROUP) -> Verdict:
        return self.groups.judge(self.running[id_][0]).verdict


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_only_changes_that_change_the_verdict_ask_for_a_check(scene: Scene) -> None:
    scene.adopt(GROUP, Status.PENDING, GroupCheck(monitor_ids=(1, 2)))
    scene.adopt(1)
    assert scene.rechecked == [GROUP], "from nothing to UP"
    scene.adopt(2)
    assert scene.rechecked == [GROUP]
    scene.settle(2, Status.DOWN)
    assert scene.rechecked == [GROUP] * 2
    scene.settle(1, Status.DOWN)
    scene.settle(1, Status.DOWN)
    assert scene.rechecked == [GROUP] * 2, "it is DOWN already"
    assert scene.verdict() is Verdict.DOWN


def test_the_order_of_adoption_is_free(scene: Scene) -> None:
    scene.adopt(1, Status.DOWN)
    scene.adopt(GROUP, Status.PENDING, GroupCheck(monitor_ids=(1, 2)))
    scene.adopt(2)
    assert scene.groups.judge(scene.running[GROUP][0]).message == "1 of 2 members is down: m1."


def test_labels_choose_and_unchoose(scene: Scene) -> None:
    scene.adopt(GROUP, Status.PENDING, GroupCheck(labels=PROD))
    scene.adopt(1, Status.DOWN, labels={"env": "prod", "team": "a"})
    scene.adopt(2, labels={"env": "dev"})
    assert scene.verdict() is Verdict.DOWN
    scene.adopt(1, Status.DOWN, labels={"env": "dev"})
    assert scene.verdict() is Verdict.INCONCLUSIVE, "nobody is left"
    scene.adopt(2, labels=PROD)
    assert scene.verdict() is Verdict.UP


def test_labels_never_choose_groups(scene: Scene) -> None:
    """Two that chose each other would hold each other down for ever."""
    scene.adopt(1, labels=PROD)
    scene.adopt(GROUP, Status.DOWN, GroupCheck(labels=PROD), labels=PROD)
    scene.adopt(GROUP + 1, Status.DOWN, GroupCheck(labels=PROD), labels=PROD)
    assert scene.verdict() is Verdict.UP
    assert scene.verdict(GROUP + 1) is Verdict.UP


def test_a_group_may_be_a_member_by_its_id(scene: Scene) -> None:
    scene.adopt(GROUP, Status.DOWN, GroupCheck(monitor_ids=(1,)))
    scene.adopt(GROUP + 1, Status.PENDING, GroupCheck(monitor_ids=(GROUP,)))
    assert scene.verdict(GROUP + 1) is Verdict.DOWN


def test_nobody_elses_monitors_are_members(scene: Scene) -> None:
    """(T9): whatever a group says."""
    scene.adopt(GROUP, Status.PENDING, GroupCheck(monitor_ids=(1,), labels=PROD))
    scene.adopt(1, Status.DOWN, org_id=2)
    scene.adopt(2, Status.DOWN, labels=PROD, org_id=2)
    assert scene.verdict() is Verdict.INCONCLUSIVE


def test_what_is_paused_is_no_member(scene: Scene) -> None:
    scene.adopt(GROUP, Status.PENDING, GroupCheck(monitor_ids=(1, 2)))
    scene.adopt(1, Status.DOWN)
    scene.adopt(2)
    scene.forget(1)
    assert scene.verdict() is Verdict.UP
    assert scene.rechecked[-1] == GROUP


def test_a_group_that_becomes_something_else_is_none(scene: Scene) -> None:
    scene.adopt(1)
    scene.adopt(GROUP, Status.PENDING, GroupCheck(monitor_ids=(1,)))
    scene.adopt(GROUP, Status.PENDING, SITE)
    scene.rechecked.clear()
    scene.settle(1, Status.DOWN)
    scene.forget(1)
    assert scene.rechecked == []


def test_a_change_of_members_holds_at_once(scene: Scene) -> None:
    scene.adopt(1, Status.DOWN)
    scene.adopt(2)
    scene.adopt(GROUP, Status.PENDING, GroupCheck(monitor_ids=(1,)))
    assert scene.verdict() is Verdict.DOWN
    scene.adopt(GROUP, Status.DOWN, GroupCheck(monitor_ids=(2,)))
    assert scene.verdict() is Verdict.UP


def test_a_paused_group_is_judged_when_it_is_asked_for(scene: Scene) -> None:
    scene.adopt(1, Status.DOWN)
    paused = scene.monitor(GROUP, GroupCheck(monitor_ids=(1,)))
    assert scene.groups.judge(paused).verdict is Verdict.DOWN


def test_nothing_is_said_before_all_members_are_known(scene: Scene) -> None:
    """(I9): at a start, half of the members would make a verdict that is our own fault."""
    scene.complete = False
    scene.adopt(GROUP, Status.UP, GroupCheck(monitor_ids=(1, 2)))
    scene.adopt(1, Status.DOWN)
    seen = scene.groups.judge(scene.running[GROUP][0])
    assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.GROUP_UNKNOWN)
    assert scene.rechecked == []


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["adopt", "settle", "forget", "group", "site"]),
        st.integers(1, 6),
        st.sampled_from([Status.UP, Status.DOWN, Status.UNKNOWN, Status.DEGRADED, Status.MAINTENANCE]),
        st.sampled_from([{}, PROD]),
        st.sets(st.integers(1, 6), max_size=3),
    ),
    max_size=40,
)


@given(EVENTS)
def test_whatever_happens_a_group_is_what_a_look_at_everything_says(
    events: list[tuple[str, int, Status, dict[str, str], set[int]]],
) -> None:
    scene = Scene()
    for what, id_, status, labels, ids in events:
        if what == "forget":
            if id_ in scene.running:
                scene.forget(id_)
        elif what == "settle":
            if id_ in scene.running:
                scene.settle(id_, status)
        else:
            check = GroupCheck(monitor_ids=tuple(ids), labels=labels) if what == "group" else SITE
            scene.adopt(id_, status, check, labels=labels)
        fresh = Groups(lambda: scene.running.values(), lambda _: None, lambda: True)
        for monitor, _ in scene.running.values():
            if isinstance(monitor.spec.check, GroupCheck):
                gathered = fresh._gathered(monitor, monitor.spec.check)
                told = judge(monitor.spec.check, gathered.members.values())
                assert scene.groups.judge(monitor).verdict is told.verdict
