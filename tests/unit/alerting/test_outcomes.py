"""How answers are read: waiting times, secrets in them, and what decides when more than one thing could."""

import pytest

from monitord.alerting.outcomes import (
    HTTP,
    Answer,
    Outcomes,
    Said,
    attempt_of,
    gone,
    json_in,
    number_in,
    permanent,
    redacted,
    retry,
    retry_after_s,
    secrets_of_url,
)
from monitord.domain.delivery import Attempt, Outcome
from tests.support.notices import AT  # 2026-11-27 19:05:35 UTC


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("120", 120.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        ("999999999", 86_400.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Fri, 27 Nov 2026 19:06:35 GMT", 60.0),
        ("Fri, 27 Nov 2026 18:00:00 GMT", 0.0),
        ("Friday, 27-Nov-26 19:06:35 GMT", 60.0),
        ("Fri, 27 Nov 2026 19:06:35 -0000", None),  # a date without a zone is none that can be waited for
        ("Fri, 99 Nov 99999 19:06:35 GMT", None),
        ("9" * 5000, None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert retry_after_s(header, AT) == seconds


def sorted_by(outcomes: Outcomes, status: int, said: Said | None = None, retry_after: str = "") -> Attempt:
    answer = Answer(status=status, retry_after=retry_after)
    return attempt_of("vendor", outcomes, answer, said or Said(), ("s3cret",), AT)


TABLE: Outcomes = {**HTTP, "no_more": gone("it is over"), "slow": retry(), 404: permanent("nothing there")}


@pytest.mark.parametrize(
    ("status", "code", "outcome", "name"),
    [
        (200, None, Outcome.ACCEPTED, "http.200"),
        (204, None, Outcome.ACCEPTED, "http.204"),
        (200, "no_more", Outcome.ACCEPTED, "http.200"),
        (301, None, Outcome.PERMANENT, "http.301"),
        (307, "slow", Outcome.PERMANENT, "http.307"),
        (400, None, Outcome.PERMANENT, "http.400"),
        (404, None, Outcome.PERMANENT, "http.404"),
        (404, "slow", Outcome.RETRY, "vendor.slow"),
        (500, "no_more", Outcome.PERMANENT, "vendor.no_more"),
        (400, "an unknown word", Outcome.PERMANENT, "http.400"),
        (408, None, Outcome.RETRY, "http.408"),
        (425, None, Outcome.RETRY, "http.425"),
        (429, None, Outcome.RETRY, "http.429"),
        (500, None, Outcome.RETRY, "http.500"),
        (599, None, Outcome.RETRY, "http.599"),
        (999, None, Outcome.RETRY, "http.999"),
    ],
)
def test_the_most_telling_decides(status: int, code: str | None, outcome: Outcome, name: str) -> None:
    attempt = sorted_by(TABLE, status, Said(code=code))
    assert (attempt.outcome, attempt.code) == (outcome, name)
    assert attempt.disables_contact == (code == "no_more" and outcome is not Outcome.ACCEPTED)


def test_only_what_is_tried_again_waits() -> None:
    assert sorted_by(TABLE, 503, retry_after="7").retry_after_s == 7.0
    assert sorted_by(TABLE, 429, Said(retry_after_s=1.25), retry_after="7").retry_after_s == 1.25
    assert sorted_by(TABLE, 404, retry_after="7").retry_after_s is None
    assert sorted_by(TABLE, 200, retry_after="7").retry_after_s is None


def test_details_are_one_short_line_without_secrets() -> None:
    attempt = sorted_by(TABLE, 404, Said(text="no s3cret\r\nhere\x00 " + "x" * 999))
    assert attempt.detail.startswith("HTTP 404: nothing there: no ***  here  xxx")
    assert len(attempt.detail) == 200
    assert sorted_by(TABLE, 500).detail == "HTTP 500"


def test_secrets_of_a_url() -> None:
    url = "https://hooks.example/services/T0AB/longer-token/x%2Fy%2Fz-zy?sig=abc%2Bdef&v=1#f"
    secrets = secrets_of_url(url)
    assert {url, "longer-token", "x%2Fy%2Fz-zy", "x/y/z-zy", "abc%2Bdef", "abc+def"} <= set(secrets)
    assert not {"T0AB", "1", ""} & set(secrets)
    assert redacted(f"POST {url} longer-token abc+def", secrets) == "POST *** *** ***"


def test_the_longest_secret_is_struck_out_first() -> None:
    assert redacted("abcdefgh abc", ["abc", "abcdefgh", ""]) == "*** ***"


@pytest.mark.parametrize(
    ("body", "document"),
    [(b'{"a":1}', {"a": 1}), (b"[1]", {}), (b"no", {}), (b"", {}), (b"\xff", {}), (b"[" * 16_000, {}), (b'{"a":1', {})],
)
def test_what_is_no_object_is_an_empty_one(body: bytes, document: dict[str, object]) -> None:
    assert json_in(body) == document


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1.0), (0.65, 0.65), ("12", 12.0), (True, None), (None, None), ([], None), ("x", None), (10**400, None)],
)
def test_numbers_as_json_may_have_them(value: object, number: float | None) -> None:
    assert number_in(value) == number
