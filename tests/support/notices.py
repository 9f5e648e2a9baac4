"""Notices: some to look at, and any that there can be, written by people who mean harm."""

from hypothesis import strategies as st

from monitord.domain.health import Status
from monitord.domain.instant import DAY, SECOND
from monitord.domain.notice import Line, Notice, NoticeKind, Phase, Picture, Subject

AT = 1_795_806_335 * SECOND

SHOP = Subject(id=7, name="Shop", kind="http", target="https://shop.example/")
DOWN = Notice(
    key="alert-1",
    thread="incident-1",
    kind=NoticeKind.DOWN,
    at=AT,
    contact_name="On call",
    since=AT,
    subject=SHOP,
    status=Status.DOWN,
    category="http.status",
    message="the server answered 503",
    status_code=503,
    response_ms=123.4,
    phases=(Phase("dns", 1.25), Phase("ttfb", 120.0)),
    evidence=("0 ms  dns: 192.0.2.1", "HTTP/1.1 503 Service Unavailable", "<h1>sorry</h1>"),
    picture=Picture(url="https://shots.example/1.png"),
    link="https://monitord.example/monitors/7?a=1&b=2",
)
DIGEST = Notice(
    key="digest-1",
    thread="",
    kind=NoticeKind.DIGEST,
    at=AT,
    lines=(
        Line(subject=SHOP, status=Status.DOWN, at=AT, message="the server answered 503"),
        Line(
            subject=Subject(id=8, name="Mail", kind="tcp", target="mail:25"),
            status=Status.UP,
            at=AT,
            message="",
            kind=NoticeKind.UP,
        ),
    ),
    more_lines=3,
)

NASTY = (
    "<!channel> <@U1> & <https://evil.example|click>",
    "@everyone @here <@&1> [x](javascript:alert(1)) ||spoiler|| # title",
    "```\n*bold* _it_ ~no~ `code` \\` > quote\n1. list",
    "<b>&amp;</i><script>alert('x')</script>\"",
    "{{DATE(2026-01-01T00:00:00Z, SHORT)}} ${x} %s {0}",
    "line\r\nBcc: a@b.example\x0b\x0c\x1c\x85\u2028\u2029\u202egnp.exe\x00\x1b[31m",
    "\ud800 lone \udfff",
    "&" * 5000,
    "`" * 5000,
    "*" * 5000,
    "😀" * 5000,
    "漢" * 5000,
    "\\" * 5000,
    '"' * 5000,
    "\u2003" * 300,
    "",
    " ",
)
"""What would break a markup, a limit or a line."""

texts = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=60), st.text(alphabet="<>&*_`~[](){}@#|\\\"'- \n😀", max_size=300)
)
links = st.one_of(
    st.sampled_from(
        [
            "",
            "https://monitord.example/monitors/7?a=1&b=2",
            "javascript:alert(1)",
            "https://evil.example/|<!channel>",
            'https://evil.example/" onclick="x',
            "https://monitord.example/" + "&" * 1900,
            "https://monitord.example/" + "a" * 5000,
        ]
    ),
    texts,
)
moments = st.integers(min_value=0, max_value=80_000 * DAY)
milliseconds = st.floats(min_value=0, max_value=1e9)
names = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=64)
subjects = st.builds(
    Subject, id=st.integers(1, 2**63 - 1), name=texts, kind=st.sampled_from(["http", "tcp"]), target=texts
)
lines = st.builds(Line, subject=subjects, status=st.sampled_from(Status), at=moments, message=texts)
pictures = st.builds(Picture, url=links)


def notices() -> st.SearchStrategy[Notice]:
    """Any notice, of every kind, with texts that were never cleaned."""
    return st.builds(
        Notice,
        key=names,
        thread=st.one_of(st.just(""), names),
        kind=st.sampled_from(NoticeKind),
        at=moments,
        contact_name=texts,
        subject=st.none() | subjects,
        status=st.sampled_from(Status),
        since=moments,
        duration_s=st.none() | st.floats(min_value=0, max_value=1e9),
        category=texts,
        message=texts,
        status_code=st.none() | st.integers(100, 999),
        response_ms=st.none() | milliseconds,
        phases=st.lists(st.builds(Phase, texts, milliseconds), max_size=6).map(tuple),
        expires_at=moments,
        evidence=st.lists(texts, max_size=40).map(tuple),
        picture=st.none() | pictures,
        link=links,
        lines=st.lists(lines, max_size=50).map(tuple),
        more_lines=st.integers(0, 100_000),
        time_zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]),
    )
