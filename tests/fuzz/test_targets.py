"""No text of a user or of a redirect makes the parser of targets raise anything but its own refusal."""

from collections.abc import Callable
from functools import partial

from monitord.domain.target import (
    WEBSOCKET,
    Endpoint,
    InvalidTargetError,
    Target,
    parse_endpoint,
    parse_server,
    parse_target,
    resolve_redirect,
)
from tests.fuzz.mutation import mutated, rounds

URLS = [
    b"https://example.com/a/../b?c=d",
    b"http://127.0.0.1:8080/",
    b"http://[2001:db8::1]:80/x",
    "https://bücher.example/straße".encode(),
    b"//elsewhere.example/x",
    b"../up?q#f",
]
WORDS = [b"@", b"\\", b"//", b":", b"%00", b"[", b"]", b"0x7f.1", "\u202e".encode(), "１".encode(), b"xn--", b"a" * 300]


PARSERS: tuple[Callable[[str], Target | Endpoint], ...] = (
    parse_target,
    partial(parse_target, schemes=WEBSOCKET),
    partial(resolve_redirect, parse_target("https://example.com/base/page?q=1")),
    partial(parse_endpoint, port=80),
    partial(parse_server, default_port=53),
)


def test_no_text_breaks_the_parser_of_targets() -> None:
    for label, chance in rounds("targets", 6_000):
        text = mutated(chance.choice(URLS), chance, WORDS).decode("utf-8", chance.choice(("replace", "ignore")))
        for parse in PARSERS:
            try:
                parsed = parse(text)
            except InvalidTargetError:
                continue
            except Exception as error:
                raise AssertionError(f"{label}: {text!r}") from error
            assert 1 <= parsed.port <= 65535, label
            assert parsed.host.isascii(), label
            assert not set(parsed.host) & set(" @/\\%[]"), label


def test_what_was_parsed_is_parsed_the_same_again() -> None:
    """(T3) What is shown is what is dialled: the URL of a target is that target's."""
    for label, chance in rounds("targets again", 3_000):
        text = mutated(chance.choice(URLS), chance, WORDS).decode("utf-8", "ignore")
        try:
            target = parse_target(text)
        except InvalidTargetError:
            continue
        if len(target.url) <= 2048:
            assert parse_target(target.url) == target, f"{label}: {text!r}"
