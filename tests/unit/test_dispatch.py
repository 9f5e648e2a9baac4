"""What becomes of alerts that wait: the decisions one by one, and over whole histories (I3, I4, I20)."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitord.domain.alert import AlertKind, Cancellation
from monitord.domain.dispatch import Decision, Pair, Quiet, Waiting, decide
from monitord.domain.instant import HOUR, MINUTE, SECOND, Instant, from_datetime
from monitord.domain.notice import NoticeKind

NOW: Instant = 1_800_000_000 * SECOND
DOWN, UP, DEGRADED = AlertKind.DOWN, AlertKind.UP, AlertKind.DEGRADED


def alert(id_: int, kind: AlertKind, *, due: Instant = 0, made: Instant = 0, **more: object) -> Waiting:
    return Waiting(id=id_, kind=kind, created_at=NOW + made, due_at=NOW + due, **more)  # type: ignore[arg-type]


def pair(*waiting: Waiting, told: bool = False, **more: object) -> Pair:
    return Pair(waiting=waiting, told=told, **more)  # type: ignore[arg-type]


def sends(id_: int, notice: NoticeKind, **cancel: Cancellation) -> Decision:
    return Decision(send=id_, notice=notice, cancel={int(key[1:]): reason for key, reason in cancel.items()})


def test_an_outage_is_told() -> None:
    assert decide(pair(alert(1, DOWN)), NOW) == sends(1, NoticeKind.DOWN)


def test_a_recovery_from_what_was_told_is_told() -> None:
    assert decide(pair(alert(2, UP), told=True), NOW) == sends(2, NoticeKind.UP)


def test_a_recovery_from_what_was_not_told_is_not() -> None:
    """(I20)"""
    assert decide(pair(alert(2, UP)), NOW) == Decision(cancel={2: Cancellation.OUTAGE_NOT_SENT})


def test_an_outage_that_was_over_before_it_could_be_told_is_told_as_one() -> None:
    waiting = alert(1, DOWN, made=-HOUR, due=-MINUTE, attempts=3, notice=NoticeKind.DOWN), alert(2, UP)
    assert decide(pair(*waiting), NOW) == sends(2, NoticeKind.OUTAGE_OVER, _1=Cancellation.SUPERSEDED)


def test_that_stays_so_when_its_attempt_fails() -> None:
    again = alert(2, UP, attempts=1, notice=NoticeKind.OUTAGE_OVER)
    assert decide(pair(again), NOW) == sends(2, NoticeKind.OUTAGE_OVER)


def test_what_is_over_within_the_delay_is_not_told() -> None:
    waiting = alert(1, DOWN, made=-MINUTE, due=4 * MINUTE), alert(2, UP)
    assert decide(pair(*waiting), NOW) == Decision(cancel={1: Cancellation.BRIEF, 2: Cancellation.BRIEF})


def test_a_delay_is_waited_for() -> None:
    assert decide(pair(alert(1, DOWN, due=MINUTE)), NOW) == Decision(wait_until=NOW + MINUTE)


def test_the_latest_says_it_all() -> None:
    waiting = [alert(id_, kind, due=-MINUTE, made=-HOUR) for id_, kind in enumerate((DOWN, UP, DOWN), start=1)]
    superseded = {"_1": Cancellation.SUPERSEDED, "_2": Cancellation.SUPERSEDED}
    assert decide(pair(*waiting), NOW) == sends(3, NoticeKind.DOWN, **superseded)
    assert decide(pair(*waiting[1:], told=True), NOW) == sends(3, NoticeKind.DOWN, _2=Cancellation.SUPERSEDED)


def test_order_is_kept_while_one_is_being_sent() -> None:
    assert decide(pair(alert(1, DOWN, is_claimed=True), alert(2, UP)), NOW) == Decision()


def test_who_wants_no_more_gets_no_more() -> None:
    off = decide(pair(alert(1, DOWN), alert(2, UP), is_wanted=False), NOW)
    assert off == Decision(cancel={1: Cancellation.SWITCHED_OFF, 2: Cancellation.SWITCHED_OFF})


def test_an_escalation_waits_for_its_time_and_is_spared_by_an_acknowledgement() -> None:
    later = alert(1, AlertKind.ESCALATION, due=10 * MINUTE)
    assert decide(pair(later), NOW) == Decision(wait_until=NOW + 10 * MINUTE)
    assert decide(pair(later), NOW + 10 * MINUTE) == sends(1, NoticeKind.ESCALATION)
    assert decide(pair(later, is_acknowledged=True), NOW).cancel == {1: Cancellation.ACKNOWLEDGED}
    assert decide(pair(later, is_open=False), NOW).cancel == {1: Cancellation.RESOLVED}
    over = decide(pair(later, alert(2, UP), is_open=False), NOW)
    assert over == Decision(cancel={1: Cancellation.RESOLVED, 2: Cancellation.OUTAGE_NOT_SENT})


def test_reminders_that_piled_up_are_one() -> None:
    waiting = [alert(id_, AlertKind.REMINDER, due=-id_ * MINUTE) for id_ in (1, 2)]
    assert decide(pair(*waiting, told=True), NOW) == sends(2, NoticeKind.REMINDER, _1=Cancellation.SUPERSEDED)
    assert decide(pair(*waiting, alert(3, UP), told=True), NOW).notice is NoticeKind.UP


def moment(text: str, zone: str = "Europe/Berlin") -> Instant:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


@pytest.mark.parametrize(
    ("start", "end", "now", "until"),
    [
        ("22:00", "07:00", "2026-11-27T23:30", "2026-11-28T07:00"),
        ("22:00", "07:00", "2026-11-28T06:59", "2026-11-28T07:00"),
        ("22:00", "07:00", "2026-11-28T07:00", None),
        ("12:00", "13:30", "2026-11-28T12:00", "2026-11-28T13:30"),
        ("12:00", "13:30", "2026-11-28T11:59", None),
        ("12:00", "12:00", "2026-11-28T12:00", None),
        # The clock is set forward at 2: the night is an hour shorter.
        ("22:00", "07:00", "2026-03-28T23:00", "2026-03-29T07:00"),
    ],
)
def test_quiet_hours_end_by_the_clock_on_the_wall(start: str, end: str, now: str, until: str | None) -> None:
    minutes = [int(text[:2]) * 60 + int(text[3:]) for text in (start, end)]
    quiet = Quiet(start_min=minutes[0], end_min=minutes[1], time_zone="Europe/Berlin")
    assert quiet.end_of(moment(now)) == (None if until is None else moment(until))


def test_what_happens_at_night_is_told_in_the_morning() -> None:
    quiet = Quiet(start_min=22 * 60, end_min=7 * 60, time_zone="Europe/Berlin")
    night, morning = moment("2026-11-27T23:30"), moment("2026-11-28T07:00")
    down = Waiting(id=1, kind=DOWN, created_at=night, due_at=night)
    assert decide(pair(down, quiet=quiet), night) == Decision(wait_until=morning)
    up = Waiting(id=2, kind=UP, created_at=night + HOUR, due_at=night + HOUR)
    assert decide(pair(down, up, quiet=quiet), night + HOUR) == Decision(wait_until=morning)
    told = decide(pair(down, up, quiet=quiet), morning)
    assert (told.send, told.notice) == (2, NoticeKind.OUTAGE_OVER)


EVENTS = st.lists(
    st.one_of(
        st.sampled_from([DOWN, UP, DEGRADED, AlertKind.ESCALATION]),
        st.sampled_from(["accepted", "retry", "dead", "wait", "acknowledge"]),
    ),
    max_size=30,
)


class History:
    """A contact, a channel that is well or not, and whatever befalls a monitor."""

    def __init__(self) -> None:
        self.now = NOW
        self.waiting: list[Waiting] = []
        self.settled: dict[int, str] = {}
        self.said: list[NoticeKind] = []
        self.told = False
        self.bad = False
        self.acknowledged = False
        self.ids = 0

    def happens(self, kind: AlertKind) -> None:
        worse = kind is not UP
        if worse is self.bad and kind is not AlertKind.ESCALATION:
            return
        if kind is AlertKind.ESCALATION and not self.bad:
            return
        self.bad, self.acknowledged = worse or kind is AlertKind.ESCALATION, False
        self.ids += 1
        due = self.now + (10 * MINUTE if kind is AlertKind.ESCALATION else 0)
        self.waiting.append(Waiting(id=self.ids, kind=kind, created_at=self.now, due_at=due))

    def dispatch(self, outcome: str) -> Decision:
        decision = decide(
            Pair(waiting=self.waiting, told=self.told, is_open=self.bad, is_acknowledged=self.acknowledged), self.now
        )
        for id_, reason in decision.cancel.items():
            self.settle(id_, f"cancelled {reason}")
        if decision.send is not None:
            assert decision.notice is not None
            self.attempt(decision.send, decision.notice, outcome)
        return decision

    def attempt(self, id_: int, notice: NoticeKind, outcome: str) -> None:
        if outcome == "accepted":
            self.said.append(notice)
            self.told = notice not in (NoticeKind.UP, NoticeKind.OUTAGE_OVER)
            self.settle(id_, "sent")
        elif outcome == "dead":
            self.settle(id_, "dead")
        else:
            at = next(index for index, each in enumerate(self.waiting) if each.id == id_)
            old = self.waiting[at]
            self.waiting[at] = Waiting(
                id=id_,
                kind=old.kind,
                created_at=old.created_at,
                due_at=self.now + MINUTE,
                attempts=old.attempts + 1,
                notice=notice,
            )

    def settle(self, id_: int, end: str) -> None:
        assert id_ not in self.settled, "an alert ends once"
        self.settled[id_] = end
        self.waiting = [each for each in self.waiting if each.id != id_]


@given(EVENTS)
@settings(max_examples=1000, deadline=None)
def test_over_any_history_every_alert_ends_once_and_no_recovery_comes_alone(events: Sequence[object]) -> None:
    history = History()
    for event in events:
        if isinstance(event, AlertKind):
            history.happens(event)
        elif event == "acknowledge":
            history.acknowledged = True
        elif event == "wait":
            history.now += 3 * MINUTE
        else:
            history.dispatch(str(event))
    for _ in range(100):
        if not history.waiting:
            break
        history.now += 10 * MINUTE
        history.dispatch("accepted")
    assert not history.waiting, "(I3): nothing waits for ever"
    assert set(history.settled) == set(range(1, history.ids + 1))
    told = False
    for notice in history.said:
        if notice is NoticeKind.UP:
            assert told, "(I20): a recovery comes after its outage"
        if notice is NoticeKind.OUTAGE_OVER:
            assert not told
        told = notice not in (NoticeKind.UP, NoticeKind.OUTAGE_OVER)
    if "dead" not in history.settled.values():
        assert told is history.told
        assert not (told and not history.bad), "nobody is left believing in an outage that is over"
