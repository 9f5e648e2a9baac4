"""Which transitions are photographed, and that their alerts never wait for longer than they may; in virtual time."""

import asyncio

import msgspec
import pytest

from monitord.domain.check import Category
from monitord.domain.errors import UnavailableError
from monitord.domain.health import Health, Status, Transition
from monitord.domain.kinds import Check, HttpCheck, TcpCheck
from monitord.domain.monitor import Assignment, Monitor, MonitorSpec
from monitord.evidence.photographer import HOLD_S, Moment, Photographer
from monitord.evidence.screenshots import NOBODY_THERE, WHOLE_S
from monitord.evidence.shot import Shot, Skipped

CHECK = HttpCheck(url="https://shop.example/")
NOTHING = Skipped("nothing to be seen")


class Change(msgspec.Struct):
    monitor_id: int
    transitions: tuple[Transition, ...]
    category: Category | None = Category.HTTP_STATUS


class Fakes:
    """A camera and an album."""

    def __init__(self) -> None:
        self.can = True
        self.is_full = False
        self.seconds = 1.0
        self.errors: list[Exception] = []
        self.recorded: list[tuple[Moment, Shot | Skipped, float]] = []
        self.taken: list[Check] = []

    async def of(self, check: Check) -> Shot | Skipped:
        self.taken.append(check)
        await asyncio.sleep(self.seconds)
        return NOTHING

    async def record(self, moment: Moment, result: Shot | Skipped) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.recorded.append((moment, result, asyncio.get_running_loop().time()))


def turn(before: Status, after: Status, at: int = 7) -> Transition:
    return Transition(before=before, after=after, at=at, judged_before=before, judged_after=after)


DOWN = turn(Status.UP, Status.DOWN)
UP = turn(Status.DOWN, Status.UP)


def assignment(check: Check = CHECK, monitor_id: int = 3) -> Assignment:
    spec = MonitorSpec(name="shop", check=check)
    monitor = Monitor(id=monitor_id, org_id=2, spec=spec, version=1, created_at=0, updated_at=0)
    return Assignment(monitor=monitor, health=Health(), last_seq=0, covered_until=0)


def make(fakes: Fakes, *, recoveries: bool = False) -> Photographer:
    made = Photographer(fakes, fakes, recoveries=recoveries)
    made.adopt(assignment())
    return made


def test_alerts_wait_no_longer_than_a_screenshot_may_take() -> None:
    assert HOLD_S == WHOLE_S


async def test_what_went_down_is_photographed() -> None:
    fakes = Fakes()
    photographer = make(fakes)
    assert photographer.hold_s(3, DOWN, Category.HTTP_STATUS) == HOLD_S
    began = asyncio.get_running_loop().time()
    photographer.committed([Change(3, (DOWN,)), Change(9, (DOWN,)), Change(3, ())])
    assert fakes.taken == []
    await asyncio.sleep(5)
    assert fakes.recorded == [(Moment(2, 3, 7), NOTHING, began + 1)]


@pytest.mark.parametrize(
    ("transition", "always", "with_recoveries"),
    [
        (DOWN, True, True),
        (turn(Status.DEGRADED, Status.DOWN), True, True),
        (UP, False, True),
        (turn(Status.DOWN, Status.DEGRADED), False, True),
        (turn(Status.DOWN, Status.PAUSED), False, False),
        (turn(Status.DOWN, Status.DOWN), False, False),
        (turn(Status.UP, Status.DEGRADED), False, False),
        (turn(Status.UP, Status.FAULTED), False, False),
    ],
)
async def test_nothing_else_is(transition: Transition, always: bool, with_recoveries: bool) -> None:
    for recoveries, wanted in ((False, always), (True, with_recoveries)):
        fakes = Fakes()
        photographer = make(fakes, recoveries=recoveries)
        assert photographer.hold_s(3, transition, Category.HTTP_STATUS) == (HOLD_S if wanted else 0)
        photographer.committed([Change(3, (transition,))])
        await asyncio.sleep(5)
        assert bool(fakes.recorded) is wanted


async def test_only_the_newest_of_several_can_still_be_seen() -> None:
    fakes = Fakes()
    make(fakes).committed([Change(3, (DOWN, UP))])
    make(fakes).committed([Change(3, (UP, turn(Status.UP, Status.DOWN, 8)))])
    await asyncio.sleep(5)
    assert [moment.at for moment, _, _ in fakes.recorded] == [8]


@pytest.mark.parametrize("check", [TcpCheck(host="a.example", port=1), HttpCheck(url=CHECK.url, method="POST")])
async def test_what_can_have_no_picture_holds_no_alert_up(check: Check) -> None:
    photographer = make(Fakes())
    photographer.adopt(assignment(check))
    assert photographer.hold_s(3, DOWN, Category.HTTP_STATUS) == 0


@pytest.mark.parametrize("category", sorted(NOBODY_THERE))
async def test_where_no_server_was_reached_there_is_nothing_to_be_seen(category: Category) -> None:
    fakes = Fakes()
    photographer = make(fakes)
    assert photographer.hold_s(3, DOWN, category) == 0
    photographer.committed([Change(3, (DOWN,), category)])
    await asyncio.sleep(5)
    assert (fakes.taken, fakes.recorded) == ([], [])


@pytest.mark.parametrize(
    "category", [None, Category.TIMEOUT_TTFB, Category.CONNECT_RESET, Category.TLS_EXPIRED, Category.HTTP_PROTOCOL]
)
async def test_what_answered_is_photographed_whatever_it_said(category: Category | None) -> None:
    fakes = Fakes()
    photographer = make(fakes)
    assert photographer.hold_s(3, DOWN, category) == HOLD_S
    photographer.committed([Change(3, (DOWN,), category)])
    await asyncio.sleep(5)
    assert fakes.taken == [CHECK]


async def test_what_is_gone_full_or_impossible_holds_no_alert_up() -> None:
    fakes = Fakes()
    photographer = make(fakes)
    fakes.is_full = True
    assert photographer.hold_s(3, DOWN, Category.HTTP_STATUS) == 0
    fakes.is_full, fakes.can = False, False
    assert photographer.hold_s(3, DOWN, Category.HTTP_STATUS) == 0
    fakes.can = True
    photographer.forget(3)
    assert photographer.hold_s(3, DOWN, Category.HTTP_STATUS) == 0
    photographer.committed([Change(3, (DOWN,))])
    await asyncio.sleep(5)
    assert fakes.taken == []


@pytest.mark.parametrize(("failures", "recorded"), [(0, True), (3, True), (4, False)])
async def test_the_database_may_be_away_for_a_while(failures: int, recorded: bool) -> None:
    fakes = Fakes()
    fakes.errors = [UnavailableError("away") for _ in range(failures)]
    make(fakes).committed([Change(3, (DOWN,))])
    await asyncio.sleep(30)
    assert bool(fakes.recorded) is recorded
    assert fakes.errors == []


async def test_a_bug_of_the_album_stops_nothing_else() -> None:
    """(I11)"""
    fakes = Fakes()
    fakes.errors = [ValueError("oops")]
    photographer = make(fakes)
    photographer.committed([Change(3, (DOWN,))])
    await asyncio.sleep(5)
    photographer.committed([Change(3, (DOWN,))])
    await asyncio.sleep(5)
    assert len(fakes.recorded) == 1


async def test_closed_it_ends_what_is_under_way() -> None:
    fakes = Fakes()
    fakes.seconds = 60
    photographer = make(fakes)
    photographer.committed([Change(3, (DOWN,))])
    await asyncio.sleep(1)
    began = asyncio.get_running_loop().time()
    await photographer.close()
    assert asyncio.get_running_loop().time() == began
    assert fakes.recorded == []
