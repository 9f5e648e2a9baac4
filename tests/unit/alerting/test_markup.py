"""Limits and escapes: what is cut is cut between characters, never within an escape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.alerting.markup import fit, join_within, shrink, units, web_link

MARKS = {"&": "&amp;", "<": "&lt;", "*": "\\*"}


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("", 5, ""),
        ("abcde", 5, "abcde"),
        ("abcdef", 5, "abcd…"),
        ("&", 5, "&amp;"),
        ("&&", 9, "&amp;…"),
        ("&&", 5, "…"),
        ("a*", 3, "a\\*"),
        ("a**", 4, "a\\*…"),
        ("😀😀", 4, "😀😀"),
        ("😀😀😀", 4, "😀…"),
        ("a\r\nb\u202e", 9, "a  b "),
    ],
)
def test_texts_fit(text: str, limit: int, shown: str) -> None:
    assert fit(text, limit, MARKS) == shown


@given(st.text(alphabet="ab&<*😀\n", max_size=80), st.integers(1, 60))
def test_nothing_is_longer_than_its_limit_and_nothing_is_cut_that_fits(text: str, limit: int) -> None:
    whole = "".join(MARKS.get(char, char) for char in text.replace("\n", " "))
    shown = fit(text, limit, MARKS)
    assert units(shown) <= limit
    assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1]) and units(whole) > limit)


@given(st.lists(st.text(alphabet="ab 😀", max_size=20), max_size=12), st.integers(1, 80))
def test_lines_are_kept_whole(lines: list[str], limit: int) -> None:
    joined = join_within(lines, limit)
    assert units(joined) <= limit
    assert joined in ("\n".join(lines), "\n".join([*lines[: joined.count("\n")], "…"]))


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://monitord.example/a?b=1&c=2", "https://monitord.example/a?b=1&c=2"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
        ("javascript:alert(1)", ""),
        ("HTTPS://x.example/", ""),
        ("https://x.example/ b", ""),
        ("https://x.example/\n", ""),
        ("https://x.example/|<!channel>", ""),
        ("https://x.example/)[x](y", ""),
        ("https://münchen.example/", ""),
        ("https://x.example/" + "a" * 2000, ""),
        ("", ""),
    ],
)
def test_links(url: str, link: str) -> None:
    assert web_link(url) == link


def test_a_link_is_bounded_as_it_is_written() -> None:
    url = "https://x.example/?" + "&" * 10
    assert web_link(url, len(url)) == url
    assert web_link(url, len(url), MARKS) == ""
    assert web_link(url, len(url) + 40, MARKS) == url.replace("&", "&amp;")


def test_as_many_parts_as_fit() -> None:
    parts = [str(number) * 10 for number in range(10)]
    assert shrink(parts, lambda few: "".join(few).encode(), 35) == b"000000000011111111112222222222"
    assert shrink(parts, lambda few: b"frame" + "".join(few).encode(), 3) == b"frame"
