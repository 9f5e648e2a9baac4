"""A notice of each kind, as it could be: to look at (``monitord mail preview``), and to try out templates with."""

from collections.abc import Iterator

from msgspec.structs import replace as change

from monitord.domain.health import Status
from monitord.domain.instant import DAY, MINUTE, SECOND, Instant
from monitord.domain.notice import Line, Notice, NoticeKind, Phase, Picture, Subject

_AT: Instant = 1_795_000_000 * SECOND
_SHOP = Subject(id=42, name="Web shop", kind="http", target="https://shop.example.org/checkout")
_EVIDENCE = (
    "0 ms  dns: shop.example.org is 192.0.2.10, 2001:db8::10",
    "12 ms  connect: 192.0.2.10 port 443",
    "31 ms  tls: TLS 1.3, certificate of shop.example.org, 40 days left",
    "88 ms  judge: status 503 is not one of 200-399",
    "HTTP/1.1 503 Service Unavailable",
    "Content-Type: text/html; charset=utf-8",
    "Retry-After: 120",
    "<html><head><title>Service Unavailable</title></head>",
)
_PHASES = (Phase("dns", 11.8), Phase("connect", 9.2), Phase("tls", 19.1), Phase("ttfb", 47.6), Phase("transfer", 0.4))


def samples(picture: Picture | None = None) -> Iterator[Notice]:
    """Yield one of each kind, those about outages with the picture."""
    down = Notice(
        key="alert-1-1001",
        thread="incident-1-77",
        kind=NoticeKind.DOWN,
        at=_AT,
        contact_name="Ann",
        subject=_SHOP,
        status=Status.DOWN,
        since=_AT,
        category="http.status",
        message="The server answered 503 Service Unavailable.",
        status_code=503,
        response_ms=88.1,
        phases=_PHASES,
        evidence=_EVIDENCE,
        picture=picture,
        link="https://monitord.example.org/incidents/77",
        unsubscribe_url="https://monitord.example.org/contacts/unsubscribe/1-7-abcdefghijklmnopqrstuv",
        time_zone="Europe/Berlin",
    )
    yield down
    yield from _of_the_outage(down)
    odd = change(down, thread="", status=Status.DEGRADED, since=0, status_code=200, picture=None)
    yield from _odd(odd)
    yield _digest(down)
    yield from _without_monitor(odd)


def _of_the_outage(down: Notice) -> Iterator[Notice]:
    later = _AT + 34 * MINUTE
    well = change(down, at=later, status=Status.UP, evidence=(), status_code=200, replies_to=down.key, picture=None)
    yield change(well, key="alert-1-1002", kind=NoticeKind.UP, duration_s=2040.0)
    yield change(well, key="alert-1-1003", kind=NoticeKind.OUTAGE_OVER, duration_s=95.0, at=_AT + 95 * SECOND)
    yield change(down, key="alert-1-1004", kind=NoticeKind.REMINDER, at=_AT + 30 * MINUTE, duration_s=1800.0)
    yield change(down, key="alert-1-1005", kind=NoticeKind.ESCALATION, at=_AT + 10 * MINUTE, duration_s=600.0)


def _odd(odd: Notice) -> Iterator[Notice]:
    yield change(
        odd,
        key="alert-1-1006",
        kind=NoticeKind.DEGRADED,
        category="assert.latency",
        message="The answer took 2.31 s, more than the 1 s that are expected.",
        response_ms=2310.0,
    )
    bare = change(odd, category="", evidence=())
    slow = "The median response time of the last 3 checks is 1.84 s, above 800 ms."
    yield change(bare, key="alert-1-1007", kind=NoticeKind.SLOW, message=slow)
    fast = "The median response time of the last 3 checks is 210 ms again, not above 800 ms."
    yield change(bare, key="alert-1-1008", kind=NoticeKind.SLOW_OVER, message=fast)
    soon = "The certificate expires in 7 days."
    end = _AT + 7 * DAY
    yield change(bare, key="alert-1-1009", kind=NoticeKind.CERTIFICATE, message=soon, expires_at=end)
    given_up = "monitord failed five times in a row to run this check, and gave it up: resume it to try again."
    yield change(
        bare,
        key="alert-1-1010",
        kind=NoticeKind.FAULTED,
        status=Status.FAULTED,
        category="engine.internal",
        message=given_up,
    )


def _without_monitor(odd: Notice) -> Iterator[Notice]:
    plain = change(odd, subject=None, status=Status.UNKNOWN, category="", evidence=(), phases=(), response_ms=None)
    plain = change(plain, status_code=None, link="")
    away = (
        "monitord's own network is down: 412 monitors failed at once, and no anchor answers. Nothing is judged until "
    )
    yield change(plain, key="operator-1", kind=NoticeKind.OPERATOR, message=f"{away}it is back.")
    test = "This is what an alert looks like; nothing is wrong."
    yield change(plain, key="test-1-7-1", kind=NoticeKind.TEST, message=test)
    link = "https://monitord.example.org/contacts/confirm/abcdefghijklmnopqrstuv"
    yield change(plain, key="confirmation-1-7-1", kind=NoticeKind.CONFIRMATION, message="", link=link, code="40718823")


def _digest(down: Notice) -> Notice:
    lines = tuple(
        Line(
            subject=Subject(id=number, name=f"Server {number}", kind="tcp", target=f"s{number}.example.org:443"),
            status=Status.UP if number % 4 == 0 else Status.DOWN,
            at=_AT + number * SECOND,
            message="Works again." if number % 4 == 0 else "The connection was refused.",
            kind=NoticeKind.UP if number % 4 == 0 else NoticeKind.DOWN,
        )
        for number in range(1, 13)
    )
    return Notice(
        key="digest-1-1011",
        thread="",
        kind=NoticeKind.DIGEST,
        at=_AT + 12 * SECOND,
        contact_name=down.contact_name,
        lines=lines,
        link=down.link,
        unsubscribe_url=down.unsubscribe_url,
        time_zone=down.time_zone,
    )
