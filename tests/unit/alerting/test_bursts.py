"""When messages for one contact become one."""

from monitord.alerting.bursts import FEW, LONGEST, LOOK, WITHIN, Bursts
from monitord.domain.instant import SECOND

ANN, BOB = (1, 1), (1, 2)
NOW = 1_000 * SECOND


def test_a_few_go_one_by_one() -> None:
    bursts = Bursts()
    assert [bursts.gather(ANN, "email", 1, NOW + second * SECOND) for second in range(FEW)] == [False] * FEW
    assert bursts.gather(BOB, "email", FEW, NOW) is False, "each contact for itself"


def test_more_are_held_back_while_more_come_and_then_are_one() -> None:
    bursts = Bursts()
    assert bursts.gather(ANN, "email", FEW + 1, NOW) is None
    assert bursts.held(NOW) == [ANN]
    assert bursts.held(NOW + LOOK) == []
    assert bursts.gather(ANN, "email", FEW + 9, NOW + LOOK) is None, "more came"
    assert bursts.gather(ANN, "email", FEW + 9, NOW + 2 * LOOK) is True
    assert bursts.held(NOW + 2 * LOOK) == []


def test_however_many_come_they_are_not_held_back_for_ever() -> None:
    bursts = Bursts()
    now, ready = NOW, 10
    while (answer := bursts.gather(ANN, "email", ready, now)) is None:
        now, ready = now + LOOK, ready + 10
    assert answer is True
    assert now - NOW == LONGEST


def test_what_comes_after_a_few_within_a_minute_is_held_back_too() -> None:
    bursts = Bursts()
    assert bursts.gather(ANN, "email", FEW, NOW) is False
    assert bursts.gather(ANN, "email", 1, NOW + SECOND) is None
    assert bursts.gather(ANN, "email", 1, NOW + SECOND + LOOK) is True
    bursts.held(NOW + SECOND + LOOK + WITHIN)
    assert bursts.gather(ANN, "email", FEW, NOW + SECOND + LOOK + WITHIN) is False, "a quiet minute later"


def test_machines_get_everything_apart() -> None:
    assert Bursts(apart=("pagerduty",)).gather(ANN, "pagerduty", 10_000, NOW) is False


def test_contacts_that_are_quiet_leave_nothing_behind() -> None:
    """(I16)"""
    bursts = Bursts()
    for contact in range(1000):
        bursts.gather((1, contact), "email", 1, NOW)
        bursts.gather((2, contact), "email", FEW + 1, NOW)
    bursts.held(NOW + WITHIN + LOOK + LONGEST)
    assert (bursts._sent, bursts._holds) == ({}, {})
