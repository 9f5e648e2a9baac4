from fractions import Fraction

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.errors import Violation
from monitord.rpc.convert_time import bound_of, duration_pb, millis_of, millis_pb, seconds_of, timestamp_pb

_YEAR_3000_S = 32_503_680_000


@given(st.integers(0, _YEAR_3000_S * 1_000_000))
def test_an_instant_survives_the_trip(instant: int) -> None:
    found: list[Violation] = []
    assert bound_of(timestamp_pb(instant), "t", found) == instant
    assert found == []


@given(st.integers(0, _YEAR_3000_S - 1), st.integers(0, 999_999_999), st.integers(0, _YEAR_3000_S * 1_000_000))
def test_a_bound_of_nanoseconds_separates_the_same_instants(seconds: int, nanos: int, instant: int) -> None:
    bound = bound_of(Timestamp(seconds=seconds, nanos=nanos), "t", [])
    exact = Fraction(seconds * 10**9 + nanos, 1000)
    assert (instant >= bound) == (instant >= exact)


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(-62_135_596_801, 0), (253_402_300_800, 0), (0, -1), (0, 10**9), (2**63 - 1, 0), (-(2**63), 0)],
)
def test_what_is_no_time_is_refused(seconds: int, nanos: int) -> None:
    found: list[Violation] = []
    bound_of(Timestamp(seconds=seconds, nanos=nanos), "start_time", found)
    assert [one.field for one in found] == ["start_time"]


@given(st.integers(0, 10**15))
def test_lengths_are_exact(micros: int) -> None:
    message = duration_pb(micros)
    assert message.seconds * 1_000_000 + Fraction(message.nanos, 1000) == micros


@given(st.integers(0, 10**12))
def test_milliseconds_survive_the_trip(millis: int) -> None:
    assert millis_of(millis_pb(millis), "d", []) == millis


@pytest.mark.parametrize(
    ("seconds", "nanos", "millis"), [(-1, -500_000_000, -1500), (0, -1_000_000, -1), (-5, 0, -5000), (1, 0, 1000)]
)
def test_negative_durations_are_read_as_what_they_are(seconds: int, nanos: int, millis: int) -> None:
    assert millis_of(Duration(seconds=seconds, nanos=nanos), "d", []) == millis


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(1, -1_000_000), (-1, 1_000_000), (0, 10**9), (0, -(10**9)), (315_576_000_001, 0), (1, 1)]
)
def test_what_is_no_whole_duration_is_refused(seconds: int, nanos: int) -> None:
    for read in (millis_of, seconds_of):
        found: list[Violation] = []
        assert read(Duration(seconds=seconds, nanos=nanos), "d", found) is None
        assert [one.field for one in found] == ["d"]


def test_a_fraction_of_a_second_is_no_whole_second() -> None:
    found: list[Violation] = []
    assert seconds_of(Duration(seconds=5, nanos=1_000_000), "interval", found) is None
    assert found == [Violation("interval", "must be a whole number of seconds, not 5 s and 1000000 ns")]
