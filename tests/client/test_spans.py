"""Lengths of time, moments and addresses, as people write and read them."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord_client.address import parse_address
from monitord_client.monitorctl import spans
from monitord_client.monitorctl.tables import percent

_NOW = datetime(2026, 5, 17, 12, tzinfo=UTC)


@pytest.mark.parametrize(("text", "seconds"), [
    ("60s", 60), ("1m", 60), ("1min", 60), ("500ms", 0.5), ("24h", 86_400), ("1h30m", 5_400), ("1.5s", 1.5),
    ("7d", 604_800), ("2w", 1_209_600), ("0", 0), (" 5 s ", 5), ("250us", 0.000_25),
])  # fmt: skip
def test_lengths_are_read_as_they_are_written(text: str, seconds: float) -> None:
    assert spans.parse_span(text) == round(seconds * 1e9)


@pytest.mark.parametrize("text", ["", "60", "s", "-5s", "1x", "1h 3", "0.1ns", "999999999999999999d", "١s", "1e3s"])
def test_what_is_not_a_length_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        spans.parse_span(text)


@given(st.integers(0, 315_576_000_000 * 10**9))
def test_lengths_survive_being_written_and_read(nanos: int) -> None:
    assert spans.parse_span(spans.span_text(nanos)) == nanos


@given(st.text(max_size=20))
def test_no_text_makes_the_readers_stumble(text: str) -> None:
    for parse in (spans.parse_span, spans.parse_timedelta, lambda t: spans.parse_moment(t, _NOW), parse_address):
        with contextlib.suppress(ValueError):
            parse(text)


def test_moments_are_ages_or_dates() -> None:
    assert spans.parse_moment("2h", _NOW) == _NOW - timedelta(hours=2)
    assert spans.parse_moment("2026-05-17T10:00:00+02:00", _NOW) == datetime(2026, 5, 17, 8, tzinfo=UTC)
    assert spans.parse_moment("2026-05-17", _NOW).utcoffset() is not None
    with pytest.raises(ValueError, match="write how long ago"):
        spans.parse_moment("yesterday", _NOW)


def test_lengths_and_ages_to_read() -> None:
    assert [spans.length_words(s) for s in (0, 0.25, 1, 65, 3_600, 90_061)] == [
        "0 s", "250 ms", "1 s", "1 min 5 s", "1 h", "1 d 1 h",
    ]  # fmt: skip
    assert spans.age_words(_NOW - timedelta(seconds=90), _NOW) == "1 min ago"
    assert spans.age_words(_NOW + timedelta(seconds=5), _NOW) == "now"
    assert [spans.milliseconds(ms) for ms in (0.04, 9.96, 250.4, 1_250)] == ["0.0 ms", "10.0 ms", "250 ms", "1.25 s"]


def test_no_outage_is_rounded_away() -> None:
    assert [percent(value) for value in (100.0, 99.99999, 99.5, 0.0)] == ["100 %", "99.999 %", "99.500 %", "0.000 %"]


@pytest.mark.parametrize(("text", "target", "local", "tls"), [
    ("127.0.0.1:50051", "dns:///127.0.0.1:50051", True, False),
    ("localhost", "dns:///localhost:50051", True, False),
    ("[::1]:7", "dns:///[::1]:7", True, False),
    ("127.9.9.9", "dns:///127.9.9.9:50051", True, False),
    ("https://monitord.example", "dns:///monitord.example:443", False, True),
    ("https://monitord.example:50051/", "dns:///monitord.example:50051", False, True),
    ("192.0.2.1:1", "dns:///192.0.2.1:1", False, False),
    ("localhost.example:1", "dns:///localhost.example:1", False, False),
    ("unix:/run/monitord.sock", "unix:/run/monitord.sock", True, False),
    ("unix:///run/monitord.sock", "unix:/run/monitord.sock", True, False),
])  # fmt: skip
def test_addresses(text: str, target: str, local: bool, tls: bool) -> None:
    address = parse_address(text)
    assert (address.target, address.local, address.tls) == (target, local, tls)


@pytest.mark.parametrize("text", [
    "", ":50051", "host:0", "host:99999", "host:x", "ftp://host", "host/path", "u@host", "127.0.0.1@evil:1", "::1",
    "two hosts", "host?x", "[::1", "[127.0.0.1]",
])  # fmt: skip
def test_what_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        parse_address(text)
