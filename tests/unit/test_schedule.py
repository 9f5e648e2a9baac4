"""The grid of slots: every due time follows from the id and the interval."""

from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.instant import DAY, SECOND
from monitord.domain.schedule import Grid, grid_of, next_due

intervals = st.integers(5, 86_400).map(lambda s: s * SECOND)
instants = st.integers(-10 * DAY, 40_000 * DAY)
grids = st.builds(grid_of, st.integers(1, 2**63 - 1), intervals)


def slots(grid: Grid, start: int, until: int) -> list[int]:
    return list(range(start + (grid.phase - start) % grid.interval, until, grid.interval))


@given(grids, instants)
def test_neighbours_of_a_moment(grid: Grid, moment: int) -> None:
    before, at, after = grid.at_or_before(moment), grid.at_or_after(moment), grid.after(moment)
    assert before <= moment <= at <= after
    assert after > moment
    assert after - before == grid.interval
    assert at in (before, after)


@given(grids, instants, st.integers(0, 500), st.integers(0, 86_400 * SECOND))
def test_count_is_the_number_of_slots(grid: Grid, start: int, intervals: int, rest: int) -> None:
    until = start + intervals * grid.interval + rest % grid.interval
    assert grid.count(start, until) == len(slots(grid, start, until))


@given(grids, instants, st.integers(-5 * 86_400 * SECOND, 5 * 86_400 * SECOND), st.booleans())
def test_every_slot_is_either_missed_or_due_or_later(grid: Grid, covered: int, lag: int, catch_up: bool) -> None:
    now = covered + lag
    due = next_due(grid, covered, now, catch_up=catch_up)
    assert due.slot >= covered
    assert due.missed == grid.count(due.missed_from, due.slot) == grid.count(covered, due.slot)
    if not catch_up:
        assert due.slot > now or due.missed == 0
    assert due.slot <= max(grid.after(now), grid.at_or_after(covered))


def test_a_thousand_neighbours_spread_over_their_interval() -> None:
    phases = sorted(grid_of(i, 60 * SECOND).phase for i in range(1, 1001))
    per_second = [sum(1 for p in phases if p // SECOND == s) for s in range(60)]
    assert max(per_second) < 40


def test_the_phase_never_changes() -> None:
    """Past slots are computed from it: a new hash would turn the whole history into gaps."""
    assert grid_of(7, 60 * SECOND).phase == 10_432_071
