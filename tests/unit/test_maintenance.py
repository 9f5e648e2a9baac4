"""When maintenance windows are open."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.instant import HOUR, MINUTE, SECOND, Instant, from_datetime
from monitord.domain.kinds.heartbeat import CronSchedule
from monitord.domain.maintenance import MaintenanceSpec, Once, Recurring, covers, next_start, span_at
from monitord.domain.rules.maintenance import violations
from tests.support.engine_fakes import monitor

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo = BERLIN) -> Instant:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC))


def nightly(expression: str = "30 2 * * *", minutes: int = 60, zone: str = "Europe/Berlin") -> MaintenanceSpec:
    return MaintenanceSpec(name="w", schedule=Recurring(CronSchedule(expression, zone), minutes * 60))


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-06-01T02:29:59", False),
        ("2026-06-01T02:30:00", True),
        ("2026-06-01T03:29:59", True),
        ("2026-06-01T03:30:00", False),
        # On 29 March 02:30 does not exist: the window opens at 03:00, when the clocks have gone forward.
        ("2026-03-29T01:59:59", False),
        ("2026-03-29T03:00:00", True),
        ("2026-03-29T03:59:59", True),
        ("2026-03-29T04:00:00", False),
    ],
)
def test_it_is_open_by_the_wall_clock_of_its_place(moment: str, is_open: bool) -> None:
    assert span_at(nightly(), at(moment)).is_open is is_open


def test_a_time_that_comes_twice_counts_once() -> None:
    """On 25 October 02:30 comes twice; the first one counts, for its whole hour of real time."""
    first = from_datetime(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    assert span_at(nightly(), first).is_open
    assert span_at(nightly(), first + HOUR - 1).is_open
    assert not span_at(nightly(), first + HOUR).is_open
    assert next_start(nightly(), first) == from_datetime(datetime(2026, 10, 26, 1, 30, tzinfo=UTC))


def test_once() -> None:
    spec = MaintenanceSpec(name="w", schedule=Once(100, 200))
    assert [span_at(spec, moment).is_open for moment in (99, 100, 199, 200)] == [False, True, True, False]
    assert (next_start(spec, 99), next_start(spec, 100)) == (100, None)


def test_a_window_that_is_switched_off_never_opens() -> None:
    spec = MaintenanceSpec(name="w", schedule=Once(100, 200), active=False)
    assert not span_at(spec, 150).is_open
    assert next_start(spec, 0) is None


schedules = st.builds(
    Recurring,
    st.builds(
        CronSchedule,
        st.sampled_from(["30 2 * * *", "*/15 * * * *", "0 0 1 * *", "59 23 * * 7", "0 */6 * * 1-5"]),
        st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    ),
    st.integers(1, 3 * 24 * 60).map(lambda minutes: minutes * 60),
) | st.builds(Once, st.integers(0, 10**15), st.integers(10**15, 2 * 10**15))
moments = st.integers(
    from_datetime(datetime(2026, 1, 1, tzinfo=UTC)), from_datetime(datetime(2027, 12, 31, tzinfo=UTC))
)


@given(schedules, moments, st.integers(0, 10**6))
def test_the_answer_holds_for_the_whole_time_that_is_told(
    schedule: Once | Recurring, moment: Instant, part: int
) -> None:
    """What the engine keeps between two checks must not go stale."""
    spec = MaintenanceSpec(name="w", schedule=schedule)
    span = span_at(spec, moment)
    assert span.since <= moment < span.until
    latest = min(span.until - 1, moment + 400 * 24 * HOUR)
    within = moment + (latest - moment) * part // 10**6
    assert span_at(spec, within).is_open is span.is_open


@given(schedules, moments)
def test_the_next_start_is_a_moment_at_which_it_is_open(schedule: Once | Recurring, moment: Instant) -> None:
    spec = MaintenanceSpec(name="w", schedule=schedule)
    start = next_start(spec, moment)
    if start is not None:
        assert start > moment
        assert span_at(spec, start).is_open


def test_overlapping_openings_run_into_each_other() -> None:
    spec = nightly("*/30 * * * *", minutes=45)
    assert all(span_at(spec, at("2026-06-01T00:00:00") + step * MINUTE).is_open for step in range(24 * 60))


def test_which_monitors_it_is_about() -> None:
    schedule = Once(0, SECOND)
    shop = monitor(1)
    assert covers(MaintenanceSpec(name="w", schedule=schedule), shop)
    assert covers(MaintenanceSpec(name="w", schedule=schedule, monitor_ids=(1, 2)), shop)
    assert not covers(MaintenanceSpec(name="w", schedule=schedule, monitor_ids=(2,)), shop)
    assert not covers(MaintenanceSpec(name="w", schedule=schedule, labels={"team": "shop"}), shop)
    assert covers(MaintenanceSpec(name="w", schedule=schedule, monitor_ids=(1,), labels={"team": "x"}), shop)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (MaintenanceSpec(name="", schedule=Once(0, 1)), "name"),
        (MaintenanceSpec(name="w", schedule=Once(5, 5)), "once.end_time"),
        (MaintenanceSpec(name="w", schedule=Once(0, 367 * 24 * HOUR)), "once.end_time"),
        (nightly("30 2 * *"), "recurring.cron.expression"),
        (nightly("0 0 30 2 *"), "recurring.cron.expression"),
        (nightly(zone="Berlin"), "recurring.cron.time_zone"),
        (nightly(minutes=0), "recurring.duration"),
        (nightly(minutes=60 * 24 * 32), "recurring.duration"),
        (MaintenanceSpec(name="w", schedule=Once(0, 1), labels={"": "x"}), "labels"),
    ],
)
def test_bad_windows_are_told_what_would_be_right(spec: MaintenanceSpec, field: str) -> None:
    assert [one.field for one in violations(spec, "window.")] == [f"window.{field}"]
