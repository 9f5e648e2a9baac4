from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.errors import Violation
from monitord.domain.kinds import HttpCheck
from monitord.domain.kinds.http import StatusRange
from monitord.domain.monitor import MonitorSpec
from monitord.domain.rules.monitor import Limits, violations
from monitord.domain.secrets import Header

GOOD = MonitorSpec(name="shop", check=HttpCheck(url="https://example.org/"))


def found(limits: Limits | None = None, *, secrets_may_be_kept: bool = False, **changes: Any) -> list[Violation]:
    """Judge a good monitor with some fields changed; those of the check are spelt ``check_<field>``."""
    of_check = {key[6:]: value for key, value in changes.items() if key.startswith("check_")}
    of_spec = {key: value for key, value in changes.items() if not key.startswith("check_")}
    check = msgspec.structs.replace(GOOD.check, **of_check)
    spec = msgspec.structs.replace(GOOD, check=check, **of_spec)
    return violations(spec, limits or Limits(), secrets_may_be_kept=secrets_may_be_kept)


def the_one(**changes: Any) -> Violation:
    (one,) = found(**changes)
    return one


def test_a_good_monitor_breaks_no_rule() -> None:
    assert found() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "x" * 200},
        {"name": "Läden 🛒 / 店"},
        {"labels": {f"k{i}": "v" for i in range(64)}},
        {"labels": {"a-b_c.d/e9": "v" * 255}},
        {"interval_s": 5, "timeout_ms": 100, "recheck_interval_s": 5},
        {"interval_s": 86_400, "timeout_ms": 60_000, "recheck_interval_s": 86_400},
        {"interval_s": 5, "timeout_ms": 5000, "recheck_interval_s": 5},
        {"failure_threshold": 1, "success_threshold": 10},
        {"check_method": "POST", "check_body": b"\0" * 65_536},
        {"check_headers": (Header("Host", "other.example"), Header("User-Agent", "mine"), Header("X", "\ttab é"))},
        {"check_headers": (Header("Accept", "a"), Header("Accept", "b"))},
        {"check_headers": tuple(Header(f"X-{i}", "") for i in range(50))},
        {"check_accepted_status": (StatusRange(100, 999), StatusRange(404, 404))},
        {"check_keyword": "é" * 512, "check_keyword_absent": True},
        {"check_keyword": "two\r\nlines\tand a tab"},
        {"check_max_redirects": 20},
        {"check_expected_latency_ms": 9_999},
    ],
)
def test_what_the_contract_allows_is_allowed(changes: dict[str, Any]) -> None:
    assert found(**changes) == []


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"name": ""}, "name", "must have 1 to 200 characters, not 0"),
        ({"name": "x" * 201}, "name", "must have 1 to 200 characters, not 201"),
        ({"name": "a\0b"}, "name", "must contain no control characters, line breaks or NUL"),
        ({"name": "a\u2028b"}, "name", "must contain no control characters, line breaks or NUL"),
        ({"name": "a\x85b"}, "name", "must contain no control characters, line breaks or NUL"),
        ({"labels": {f"k{i}": "" for i in range(10_000)}}, "labels", "must be at most 64, not 10000"),
        (
            {"labels": {"": "v"}},
            "labels",
            "the key '' must have 1 to 63 letters, digits or any of - _ . /",
        ),
        ({"labels": {"k": "v" * 256}}, "labels[k]", "must have at most 255 characters, not 256"),
        ({"labels": {"k": "\n"}}, "labels[k]", "must contain no control characters, line breaks or NUL"),
        ({"interval_s": 4}, "interval", "must be 5 s to 86400 s (24 h), not 4 s"),
        ({"interval_s": 86_401}, "interval", "must be 5 s to 86400 s (24 h), not 86401 s"),
        ({"timeout_ms": 99}, "timeout", "must be 100 ms to 60 s, not 99 ms"),
        ({"timeout_ms": 60_001}, "timeout", "must be 100 ms to 60 s, not 60001 ms"),
        (
            {"interval_s": 10, "timeout_ms": 11_000},
            "timeout",
            "must be at most the interval of 10 s, not 11 s",
        ),
        ({"recheck_interval_s": 4}, "recheck_interval", "must be 5 s to the interval of 60 s, not 4 s"),
        ({"recheck_interval_s": 61}, "recheck_interval", "must be 5 s to the interval of 60 s, not 61 s"),
        ({"failure_threshold": 0}, "failure_threshold", "must be 1 to 10, not 0"),
        ({"success_threshold": 11}, "success_threshold", "must be 1 to 10, not 11"),
        (
            {"check_url": "example.org"},
            "http.url",
            "give an absolute URL, such as https://example.com/health",
        ),
        (
            {"check_method": "get"},
            "http.method",
            "must be one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, in capitals, not 'get'",
        ),
        (
            {"check_body": b"x"},
            "http.body",
            "must be empty with GET; only POST, PUT, PATCH and DELETE may have one",
        ),
        (
            {"check_method": "PUT", "check_body": b"x" * 65_537},
            "http.body",
            "must have at most 65536 bytes, not 65537",
        ),
        (
            {"check_headers": tuple(Header("X", "") for _ in range(51))},
            "http.headers",
            "must be at most 50, not 51",
        ),
        (
            {"check_headers": (Header("X Y", "v"),)},
            "http.headers[0].name",
            "must be 1 to 128 letters, digits or any of !#$%&'*+-.^_`|~ (RFC 9110), not 'X Y'",
        ),
        (
            {"check_headers": (Header("Content-Length", "1"),)},
            "http.headers[0].name",
            "leave out Content-Length: monitord writes it itself",
        ),
        (
            {"check_headers": (Header("Host", "a"), Header("host", "b"))},
            "http.headers[1].name",
            "give host once only, as it is secret or there can be but one",
        ),
        (
            {"check_headers": (Header("X", "a\r\nEvil: 1"),)},
            "http.headers[0].value",
            "must contain no line breaks, NUL or other control characters",
        ),
        (
            {"check_headers": (Header("X", "é" * 2049),)},
            "http.headers[0].value",
            "must have at most 4096 bytes, not 4098",
        ),
        (
            {"check_headers": (Header("Authorization", "", secret=True),)},
            "http.headers[0].value",
            "must be given: no value of this secret header is stored for this scheme, host and port",
        ),
        (
            {"check_headers": tuple(Header(f"X-{i}", "v" * 4000) for i in range(9))},
            "http.headers",
            "must have at most 32768 bytes together, not 36027",
        ),
        (
            {"check_accepted_status": (StatusRange(299, 200),)},
            "http.accepted_status_codes[0]",
            "must be a status code of 100 to 999, or a range of them such as 200-299, not 299-200",
        ),
        (
            {"check_accepted_status": ()},
            "http.accepted_status_codes",
            "must be 1 to 100 numbers or ranges, not 0",
        ),
        ({"check_keyword": "x" * 1025}, "http.keyword", "must have at most 1024 bytes of UTF-8, not 1025"),
        (
            {"check_keyword": "a\0"},
            "http.keyword",
            "must contain no control characters but tabs and line breaks",
        ),
        (
            {"check_keyword": "a", "check_method": "HEAD"},
            "http.keyword",
            "must be empty with HEAD, whose answers have no body; use GET",
        ),
        (
            {"check_keyword_absent": True},
            "http.keyword_absent",
            "needs a keyword whose absence is asked for",
        ),
        ({"check_max_redirects": 21}, "http.max_redirects", "must be 1 to 20, not 21"),
        (
            {"check_expected_latency_ms": 10_000},
            "http.expected_latency",
            "must be more than 0 and shorter than the timeout of 10 s, not 10 s",
        ),
    ],
)
def test_a_breach_names_its_field_and_says_what_is_right(changes: dict[str, Any], field: str, sentence: str) -> None:
    assert the_one(**changes) == Violation(field, sentence)


def test_an_operator_can_raise_the_floor_of_both_intervals() -> None:
    assert {one.field for one in found(Limits(min_interval_s=61))} == {"interval"}
    assert {one.field for one in found(Limits(min_interval_s=30))} == {"recheck_interval"}


def test_a_secret_may_come_without_a_value_where_one_may_be_stored() -> None:
    assert found(check_headers=(Header("Authorization", "", secret=True),), secrets_may_be_kept=True) == []


def test_fields_are_named_from_where_the_caller_stands() -> None:
    (one,) = violations(msgspec.structs.replace(GOOD, name=""), Limits(), prefix="monitors[3].")
    assert one.field == "monitors[3].name"


_TEXT = st.text(max_size=300)
_NUMBER = st.integers(-(2**70), 2**70)
_SPECS = st.builds(
    MonitorSpec,
    name=_TEXT,
    labels=st.dictionaries(_TEXT, _TEXT, max_size=3),
    interval_s=_NUMBER,
    timeout_ms=_NUMBER,
    failure_threshold=_NUMBER,
    success_threshold=_NUMBER,
    recheck_interval_s=_NUMBER,
    check=st.builds(
        HttpCheck,
        url=_TEXT,
        method=_TEXT,
        headers=st.lists(st.builds(Header, _TEXT, _TEXT, st.booleans()), max_size=3).map(tuple),
        body=st.binary(max_size=3),
        accepted_status=st.lists(st.builds(StatusRange, _NUMBER, _NUMBER), max_size=3).map(tuple),
        keyword=_TEXT,
        keyword_absent=st.booleans(),
        max_redirects=_NUMBER,
        expected_latency_ms=_NUMBER,
    ),
)


@given(_SPECS)
def test_whatever_comes_is_judged_and_never_raises(spec: MonitorSpec) -> None:
    for one in violations(spec, Limits()):
        assert one.field
        assert one.description
        assert len(one.description) < 300


_ODD = st.text(st.sampled_from("ab1é-\0\r\n\t\u2028\x7f"), min_size=1, max_size=6)
_NEARLY_GOOD = st.builds(
    MonitorSpec,
    name=_ODD,
    labels=st.dictionaries(st.sampled_from(["a", "b/c", "\0"]), _ODD, max_size=2),
    interval_s=st.integers(4, 70),
    timeout_ms=st.integers(90, 70_000),
    recheck_interval_s=st.just(5),
    check=st.builds(
        HttpCheck,
        url=st.just("https://example.org/"),
        headers=st.lists(st.builds(Header, st.just("X"), _ODD), max_size=1).map(tuple),
        keyword=_ODD,
    ),
)


@given(_NEARLY_GOOD)
def test_what_passes_can_be_stored_and_sent(spec: MonitorSpec) -> None:
    """The rules stand between a user and Postgres' text, which has no NUL, and the wire, which has no line breaks."""
    texts = spec.name + spec.check.keyword + "".join(spec.labels) + "".join(spec.labels.values())
    headers = "".join(header.value for header in spec.check.headers)
    storable = "\0" not in texts and not any(char in headers for char in "\r\n\0")
    if not (storable and spec.timeout_ms <= spec.interval_s * 1000):
        assert violations(spec, Limits())
