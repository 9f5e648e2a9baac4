"""From what the other side answered to what is done next: the tables of the channels, and how they are read.

A table maps what identifies an answer to a ``Row``: an error code of the vendor's as text, a status of HTTP as a
number, or a class of statuses as ``"4xx"``. The most telling that there is decides: the vendor's code, if the status
says that there is an error, then the status, then its class.
"""

import email.utils
import math
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.instant import SECOND, Instant, from_datetime
from monitord.domain.notice import clean

LONGEST_WAIT_S = 86_400.0
"""No answer makes us wait for longer: a delivery is given up after a day."""
_DETAIL_CHARS = 200
_SECRET_CHARS = 6
"""Shorter parts of a secret URL are words such as ``api`` and ``v2``, and no secrets."""


class Row(msgspec.Struct, frozen=True):
    """What follows from an answer."""

    outcome: Outcome
    says: str = ""
    """What it means, for people, where the answer's own words don't tell."""
    disables: bool = False
    """Whether the contact's address is refused for good; see ``Attempt.disables_contact``."""


Outcomes: TypeAlias = Mapping[int | str, Row]


def accepted() -> Row:
    """Return a row for what was taken."""
    return Row(Outcome.ACCEPTED)


def retry(says: str = "") -> Row:
    """Return a row for what may go better later."""
    return Row(Outcome.RETRY, says)


def permanent(says: str = "") -> Row:
    """Return a row for a message, or a way to send it, that will never be taken."""
    return Row(Outcome.PERMANENT, says)


def gone(says: str = "") -> Row:
    """Return a row for an address that will never take anything again."""
    return Row(Outcome.PERMANENT, says, disables=True)


HTTP: Outcomes = {
    "2xx": accepted(),
    "3xx": permanent("it redirects, which is not followed: enter the address where it leads"),
    "4xx": permanent(),
    "5xx": retry(),
    408: retry(),  # RFC 9110, 15.5.9
    425: retry(),  # RFC 8470, 5.2
    429: retry(),  # RFC 6585, 4
}
"""What statuses mean that a channel's own table doesn't have (RFC 9110, 15)."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back over HTTP."""

    status: int
    body: bytes = b""
    """The start of it; empty if it is encoded."""
    retry_after: str = ""
    """The header as it stands (RFC 9110, 10.2.3)."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says in the vendor's own terms."""

    code: str | None = None
    """One of the codes of the channel's table; None, or one that the table lacks: the status decides."""
    text: str = ""
    """In words, as the other side wrote them."""
    retry_after_s: float | None = None


def attempt_of(
    vendor: str, outcomes: Outcomes, answer: Answer, said: Said, secrets: Iterable[str], now: Instant
) -> Attempt:
    """Sort an answer by a channel's table. Codes that the vendor does not document are never repeated as such."""
    if answer.status >= 400 and said.code is not None and said.code in outcomes:
        code, row = f"{vendor}.{said.code}", outcomes[said.code]
    else:
        code = f"http.{answer.status}"
        row = outcomes.get(answer.status) or outcomes.get(f"{answer.status // 100}xx") or retry()
    if row.outcome is Outcome.ACCEPTED:
        return Attempt(outcome=row.outcome, code=code)
    # Only what is tried again may wait.
    wait_s = retry_after_s(answer.retry_after, now) if said.retry_after_s is None else bounded_s(said.retry_after_s)
    return Attempt(
        outcome=row.outcome,
        code=code,
        detail=detail_of([f"HTTP {answer.status}", row.says, said.text], secrets),
        retry_after_s=wait_s if row.outcome is Outcome.RETRY else None,
        disables_contact=row.disables,
    )


def detail_of(parts: Iterable[str], secrets: Iterable[str] = ()) -> str:
    """Return what happened on one line of at most 200 characters (T19), without a secret in it (T15)."""
    return clean(redacted(": ".join(part.strip() for part in parts if part.strip()), secrets), _DETAIL_CHARS)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return a text with each secret in it struck out, the longest first: one may be part of another."""
    for secret in sorted({secret for secret in secrets if secret}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def secrets_of_url(url: str) -> tuple[str, ...]:
    """Return a URL that is a secret, and the parts of it that must not be shown either, as sent and as meant."""
    parts = urllib.parse.urlsplit(url)
    values = [value for _, value in urllib.parse.parse_qsl(parts.query, keep_blank_values=True)]
    raw_values = [pair.partition("=")[2] for pair in parts.query.split("&")]
    segments = [*parts.path.split("/"), *values, *raw_values]
    known = [url, *segments, *(urllib.parse.unquote(each) for each in segments)]
    return tuple(dict.fromkeys(each for each in known if len(each) >= _SECRET_CHARS))


def bounded_s(seconds: float) -> float | None:
    """Return a length of time that the other side asked for, as far as we heed it; None: it is none."""
    return min(max(seconds, 0.0), LONGEST_WAIT_S) if math.isfinite(seconds) else None


def retry_after_s(value: str, now: Instant) -> float | None:
    """Return what a Retry-After header asks for, a number of seconds or a date (RFC 9110, 10.2.3); None: nothing."""
    try:
        return bounded_s(float(value))
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(value)
        return bounded_s((from_datetime(at) - now) / SECOND)
    except (ValueError, TypeError, OverflowError):  # no date, one without a zone, one that no calendar has
        return None


def number_in(value: object) -> float | None:
    """Return a number as JSON may have it; None: it is none, nor a text that is one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def json_in(body: bytes) -> dict[str, object]:
    """Return a body that is a JSON object; anything else is an empty one."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def words_of(document: Mapping[str, object], name: str) -> str:
    """Return a text of a JSON object; empty: it has none by that name."""
    value = document.get(name)
    return value if isinstance(value, str) else ""


def text_in(body: bytes) -> str:
    """Return a body as text, whatever it is."""
    return body.decode(errors="replace")
