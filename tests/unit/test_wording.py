"""The words that every channel shares."""

import msgspec
import pytest

from monitord.domain.health import Status
from monitord.domain.instant import MINUTE, SECOND
from monitord.domain.notice import Line, Notice, NoticeKind, Phase, Subject
from monitord.domain.wording import digest_line, duration, facts, headline, milliseconds, moment

SHOP = Subject(id=7, name="Shop", kind="http", target="https://shop.example/")
AT = 1_795_806_335 * SECOND
DOWN = Notice(
    key="alert-1",
    thread="incident-1",
    kind=NoticeKind.DOWN,
    at=AT,
    since=AT,
    subject=SHOP,
    status=Status.DOWN,
    category="http.status",
    message="the server answered 503",
    status_code=503,
    response_ms=123.4,
    phases=(Phase("dns", 1.25), Phase("ttfb", 120.0)),
)


@pytest.mark.parametrize(
    ("kind", "duration_s", "line"),
    [
        (NoticeKind.DOWN, None, "[DOWN] Shop - the server answered 503"),
        (NoticeKind.UP, 200.0, "[UP] Shop - works again after 3 min 20 s"),
        (NoticeKind.UP, None, "[UP] Shop - works again"),
        (NoticeKind.OUTAGE_OVER, 45.0, "[WAS DOWN] Shop - was down for 45 s, and works again"),
        (NoticeKind.REMINDER, 3600.0, "[STILL DOWN] Shop - down for 1 h: the server answered 503"),
        (
            NoticeKind.ESCALATION,
            900.0,
            "[STILL DOWN] Shop - down for 15 min, not acknowledged: the server answered 503",
        ),
    ],
)
def test_headlines(kind: NoticeKind, duration_s: float | None, line: str) -> None:
    assert headline(msgspec.structs.replace(DOWN, kind=kind, duration_s=duration_s)) == line


def test_every_kind_has_a_headline() -> None:
    for kind in NoticeKind:
        notice = msgspec.structs.replace(DOWN, kind=kind, duration_s=1.0, subject=None, lines=())
        assert headline(notice).startswith("[")


@pytest.mark.parametrize(
    ("statuses", "more", "line"),
    [
        ([Status.DOWN, Status.DOWN, Status.UP], 0, "[DIGEST] 2 monitors down, 1 well again"),
        ([Status.DOWN], 0, "[DIGEST] 1 monitor down"),
        ([Status.UP], 0, "[DIGEST] 1 monitor well again"),
        ([Status.UP, Status.UP], 0, "[DIGEST] 2 monitors well again"),
        ([Status.DOWN, Status.DEGRADED], 0, "[DIGEST] 1 monitor down, 1 with other news"),
        ([Status.DOWN], 9_999, "[DIGEST] 10000 monitors changed"),
    ],
)
def test_a_digest_counts(statuses: list[Status], more: int, line: str) -> None:
    kinds = {Status.DOWN: NoticeKind.DOWN, Status.UP: NoticeKind.UP}
    lines = tuple(
        Line(subject=SHOP, status=status, at=AT, message="", kind=kinds.get(status, NoticeKind.CERTIFICATE))
        for status in statuses
    )
    digest = Notice(key="d", thread="", kind=NoticeKind.DIGEST, at=AT, lines=lines, more_lines=more)
    assert headline(digest) == line


def test_facts_of_an_outage() -> None:
    assert list(facts(DOWN)) == [
        ("Monitor", "Shop"),
        ("Target", "https://shop.example/"),
        ("Reason", "the server answered 503"),
        ("Category", "http.status"),
        ("Since", "2026-11-27 19:05:35 UTC"),
        ("Status code", "503"),
        ("Response time", "123 ms"),
        ("Phases", "dns 1.2 ms, ttfb 120 ms"),
    ]


def test_facts_of_a_recovery() -> None:
    up = msgspec.structs.replace(
        DOWN, kind=NoticeKind.UP, at=AT + 2 * MINUTE, duration_s=120.0, time_zone="Europe/Berlin"
    )
    told = dict(facts(up))
    assert told["It was"] == "the server answered 503"
    assert told["Since"] == "2026-11-27 20:05:35 CET"
    assert told["Until"] == "2026-11-27 20:07:35 CET"
    assert told["Lasted"] == "2 min"


def test_a_line_of_a_digest() -> None:
    line = Line(subject=SHOP, status=Status.DOWN, at=AT, message="no answer")
    assert digest_line(line, "UTC") == "DOWN Shop (2026-11-27 19:05:35 UTC): no answer"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.6, "1 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3601, "1 h"),
        (3720, "1 h 2 min"),
        (90_000, "1 d 1 h"),
        (-3, "0 s"),
    ],
)
def test_lengths_of_time(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("ms", "words"), [(0.42, "0.4 ms"), (12.3, "12 ms"), (999.4, "999 ms"), (1234.0, "1.23 s")])
def test_times_of_checks(ms: float, words: str) -> None:
    assert milliseconds(ms) == words


def test_a_moment_tells_its_zone() -> None:
    assert moment(AT, "Asia/Kolkata") == "2026-11-28 00:35:35 IST"
