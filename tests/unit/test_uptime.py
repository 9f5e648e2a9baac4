"""Uptime is a share of time: from transitions, never from a count of checks."""

from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.health import Status
from monitord.domain.instant import HOUR, MINUTE
from monitord.domain.uptime import StatusChange, Unseen, time_in, with_gaps

statuses = st.sampled_from(list(Status))
moments = st.integers(0, 1000)
histories = st.lists(st.builds(StatusChange, at=moments, status=statuses)).map(
    lambda changes: sorted(changes, key=lambda change: change.at)
)


def gaps_of(bounds: list[int]) -> list[Unseen]:
    ordered = sorted(set(bounds))
    return [Unseen(start, end) for start, end in zip(ordered[::2], ordered[1::2], strict=False)]


gaps = st.lists(moments, max_size=20).map(gaps_of)


def status_at(changes: list[StatusChange], moment: int) -> Status:
    return next((c.status for c in reversed(changes) if c.at <= moment), Status.UNKNOWN)


def test_slow_is_up_and_what_nobody_knows_is_left_out():
    changes = [
        StatusChange(HOUR, Status.UP),
        StatusChange(3 * HOUR, Status.DEGRADED),
        StatusChange(4 * HOUR, Status.DOWN),
        StatusChange(5 * HOUR, Status.PAUSED),
    ]
    time = time_in(changes, 0, 10 * HOUR)
    assert (time.unknown, time.up, time.degraded, time.down, time.paused) == (HOUR, 2 * HOUR, HOUR, HOUR, 5 * HOUR)
    assert time.uptime == 0.75


def test_no_judged_time_has_no_uptime():
    assert time_in([StatusChange(0, Status.PAUSED)], 0, HOUR).uptime is None


def test_a_gap_counts_for_neither_side():
    changes = [StatusChange(0, Status.UP), StatusChange(50 * MINUTE, Status.DOWN)]
    time = time_in(with_gaps(changes, [Unseen(10 * MINUTE, 40 * MINUTE)]), 0, HOUR)
    assert (time.up, time.unknown, time.down) == (20 * MINUTE, 30 * MINUTE, 10 * MINUTE)
    assert time.uptime == 2 / 3


def test_what_was_decided_within_a_gap_holds_after_it():
    changes = [StatusChange(0, Status.UP), StatusChange(20, Status.DOWN)]
    assert with_gaps(changes, [Unseen(10, 30)]) == [
        StatusChange(0, Status.UP),
        StatusChange(10, Status.UNKNOWN),
        StatusChange(30, Status.DOWN),
    ]


@given(histories, moments, moments)
def test_every_moment_of_the_window_is_counted_once(changes: list[StatusChange], one: int, other: int) -> None:
    start, end = sorted((one, other))
    time = time_in(changes, start, end)
    assert time.up + time.degraded + time.down + time.maintenance + time.paused + time.unknown == end - start
    expected = sum(status_at(changes, moment) is Status.UP for moment in range(start, end))
    assert time.up == expected


@given(histories, gaps, moments)
def test_gaps_shade_what_they_cover_and_nothing_else(
    changes: list[StatusChange], unseen: list[Unseen], moment: int
) -> None:
    shaded = with_gaps(changes, unseen)
    assert [c.at for c in shaded] == sorted(c.at for c in shaded)
    covering = [gap for gap in unseen if gap.start <= moment < gap.end]
    if not covering:
        assert status_at(shaded, moment) is status_at(changes, moment)
    elif status_at(changes, covering[0].start) is not Status.PAUSED:
        assert status_at(shaded, moment) is Status.UNKNOWN
