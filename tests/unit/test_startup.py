"""What a start finds out about the machine."""

import resource

import pytest

from monitord.startup import descriptors_for, shares_of


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limits of a process that may open 100 files, and raise that to 1,000."""
    now = [(100, 1_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: now[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: now.append(limit))
    return now


def test_few_checks_need_no_change(limits: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_000, 1_000))
    assert descriptors_for(100) is None
    assert len(limits) == 1


def test_the_limit_is_raised_as_far_as_is_needed(limits: list[tuple[int, int]]) -> None:
    assert descriptors_for(300) is None
    assert limits[-1] == (856, 1_000)


def test_what_is_missing_is_said_with_what_would_help(limits: list[tuple[int, int]]) -> None:
    shortage = descriptors_for(5_000)
    assert limits[-1] == (1_000, 1_000)
    assert shortage is not None
    assert "1000 files" in shortage
    assert "10256" in shortage
    assert "MONITORD_MAX_CHECKS_IN_FLIGHT" in shortage


def test_a_system_that_refuses_is_believed(limits: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int, __: tuple[int, int]) -> None:
        raise OSError

    monkeypatch.setattr(resource, "setrlimit", refuse)
    shortage = descriptors_for(300)
    assert shortage is not None
    assert "100 files" in shortage


def test_callers_get_a_third_of_the_connections_and_each_side_one_at_least() -> None:
    """(T17) However many they are, they keep none from checks and alerts."""
    assert [shares_of(size) for size in (2, 3, 5, 12, 100)] == [(1, 1), (2, 1), (4, 1), (8, 4), (67, 33)]
