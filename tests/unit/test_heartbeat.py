"""What the words of a job say of it."""

from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.check import Category, Verdict
from monitord.domain.heartbeat import Ping, PingKind, Silence, Words, judge
from monitord.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from monitord.domain.kinds.heartbeat import CronSchedule, HeartbeatCheck

MIDNIGHT: Instant = 20_000 * DAY
"""2024-10-04: in Berlin summer time holds, two hours before UTC."""
HOURLY = HeartbeatCheck(period_s=3600, grace_s=300)
NIGHTLY = HeartbeatCheck(cron=CronSchedule("30 4 * * *", "Europe/Berlin"), grace_s=600)
DUE = MIDNIGHT + 2 * HOUR + 30 * MINUTE

UP = (Verdict.UP, None)
MISSED = (Verdict.DOWN, Category.HEARTBEAT_MISSED)
FAILED = (Verdict.DOWN, Category.HEARTBEAT_FAILED)
AWAITED = (Verdict.INCONCLUSIVE, Category.HEARTBEAT_AWAITED)
UNHEARD = (Verdict.INCONCLUSIVE, Category.ENGINE_GAP)


def told(*words: tuple[Instant, PingKind], exit_code: int | None = None) -> Words:
    heard = Words()
    for at, kind in words:
        heard = heard.hear(Ping(at=at, kind=kind, exit_code=exit_code, body=b"why"))
    return heard


def verdict(
    check: HeartbeatCheck, words: Words, now: Instant, awaited_since: Instant = MIDNIGHT, deaf: Silence | None = None
) -> tuple[Verdict, Category | None]:
    seen = judge(check, words, now, awaited_since=awaited_since, deaf=deaf)
    return seen.verdict, seen.category


def test_a_word_is_due_a_period_after_the_last_and_may_be_late() -> None:
    words = told((MIDNIGHT, PingKind.SUCCESS))
    deadline = MIDNIGHT + HOUR + 5 * MINUTE
    assert verdict(HOURLY, words, deadline) == UP
    assert verdict(HOURLY, words, deadline + 1) == MISSED


def test_the_first_word_is_awaited_from_the_beginning_on() -> None:
    deadline = MIDNIGHT + HOUR + 5 * MINUTE
    assert verdict(HOURLY, Words(), deadline) == AWAITED
    assert verdict(HOURLY, Words(), deadline + 1) == MISSED


def test_a_failure_holds_until_a_success() -> None:
    failed = told((MIDNIGHT, PingKind.FAIL), exit_code=3)
    seen = judge(HOURLY, failed, MIDNIGHT + 1, awaited_since=0)
    assert (seen.verdict, seen.category) == FAILED
    assert "exit code 3" in seen.message
    assert seen.evidence is not None
    assert seen.evidence.body_excerpt == b"why"
    for kind in (PingKind.START, PingKind.LOG):
        assert verdict(HOURLY, failed.hear(Ping(at=MIDNIGHT + 1, kind=kind)), MIDNIGHT + 2) == FAILED
    assert verdict(HOURLY, failed.hear(Ping(at=MIDNIGHT + 1, kind=PingKind.SUCCESS)), MIDNIGHT + 2) == UP


def test_a_job_that_began_has_the_grace_time_to_end() -> None:
    words = told((MIDNIGHT, PingKind.SUCCESS), (MIDNIGHT + 10 * MINUTE, PingKind.START))
    assert verdict(HOURLY, words, MIDNIGHT + 15 * MINUTE) == UP
    assert verdict(HOURLY, words, MIDNIGHT + 15 * MINUTE + 1) == MISSED
    ended = words.hear(Ping(at=MIDNIGHT + 12 * MINUTE, kind=PingKind.SUCCESS))
    seen = judge(HOURLY, ended, MIDNIGHT + 13 * MINUTE, awaited_since=MIDNIGHT)
    assert seen.measurements == {"heartbeat.age_ms": 60_000, "heartbeat.duration_ms": 120_000}
    assert (seen.response_ms, seen.dialled) == (120_000, False)
    assert verdict(HOURLY, ended, MIDNIGHT + 15 * MINUTE + 1) == UP


def test_a_log_is_no_word() -> None:
    words = told((MIDNIGHT, PingKind.SUCCESS), (MIDNIGHT + HOUR, PingKind.LOG))
    assert verdict(HOURLY, words, MIDNIGHT + HOUR + 6 * MINUTE) == MISSED


def test_words_are_due_by_the_clock_of_a_place() -> None:
    words = told((DUE - DAY + 20 * SECOND, PingKind.SUCCESS))
    assert verdict(NIGHTLY, words, DUE + 10 * MINUTE) == UP
    assert verdict(NIGHTLY, words, DUE + 10 * MINUTE + 1) == MISSED


def test_a_job_whose_clock_is_a_little_ahead_is_in_time() -> None:
    assert verdict(NIGHTLY, told((DUE - 4 * SECOND, PingKind.SUCCESS)), DUE + HOUR) == UP
    assert verdict(NIGHTLY, told((DUE - 10 * SECOND, PingKind.SUCCESS)), DUE + HOUR) == MISSED


def test_what_could_not_be_heard_is_not_missed() -> None:
    """(I9)"""
    words = told((MIDNIGHT, PingKind.SUCCESS))
    due = MIDNIGHT + HOUR
    deaf = Silence(due - MINUTE, due + 10 * MINUTE)
    assert verdict(HOURLY, words, due + 11 * MINUTE, deaf=deaf) == UNHEARD
    again = deaf.until + HOUR + 5 * MINUTE
    assert verdict(HOURLY, words, again, deaf=deaf) == UNHEARD
    assert verdict(HOURLY, words, again + 1, deaf=deaf) == MISSED
    assert verdict(HOURLY, words.hear(Ping(at=again, kind=PingKind.SUCCESS)), again + 1, deaf=deaf) == UP


def test_what_was_late_before_monitord_stopped_is_missed() -> None:
    words = told((MIDNIGHT, PingKind.SUCCESS))
    deadline = MIDNIGHT + HOUR + 5 * MINUTE
    assert verdict(HOURLY, words, deadline + HOUR, deaf=Silence(deadline + 1, deadline + 2)) == MISSED
    early = Silence(MIDNIGHT + MINUTE, MIDNIGHT + 2 * MINUTE)
    assert verdict(HOURLY, words, deadline + 1, deaf=early) == MISSED


_PINGS = st.lists(st.tuples(st.integers(0, 5 * HOUR), st.sampled_from(PingKind)), max_size=12)


@given(_PINGS, st.integers(0, 30 * HOUR), st.booleans())
def test_up_is_told_only_of_a_job_that_told_of_a_success_in_time(
    pings: list[tuple[int, PingKind]], later: int, nightly: bool
) -> None:
    heard = Words()
    ends = [(0, PingKind.FAIL)]
    for offset, kind in sorted(pings):
        heard = heard.hear(Ping(at=MIDNIGHT + offset, kind=kind))
        if kind in (PingKind.SUCCESS, PingKind.FAIL):
            ends.append((offset, kind))
    now = MIDNIGHT + 5 * HOUR + later
    seen = judge(NIGHTLY if nightly else HOURLY, heard, now, awaited_since=MIDNIGHT)
    last_at, last = ends[-1]
    if seen.verdict is Verdict.UP:
        assert last is PingKind.SUCCESS
        allowed = DAY + 10 * MINUTE + 5 * SECOND if nightly else HOUR + 5 * MINUTE
        assert now <= MIDNIGHT + last_at + allowed
    else:
        assert seen.category is not None
        assert seen.message
