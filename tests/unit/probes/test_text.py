"""Text from targets is shown without surprises (T19)."""

from hypothesis import given
from hypothesis import strategies as st

from monitord.probes.text import shown


@given(st.binary(max_size=400) | st.text(max_size=400))
def test_what_is_shown_is_printable_and_short(raw: bytes | str) -> None:
    text = shown(raw, 100)
    assert len(text) <= 100
    assert not any(ord(char) < 32 or char in "\x7f\u202e\u2028\u2029\u0085" for char in text)


def test_what_is_harmless_stays() -> None:
    assert shown("Grüße, 世界") == "Grüße, 世界"
    assert shown("Grüße".encode()) == "Grüße"
    assert shown("Grüße".encode("latin-1")) == "Grüße"
    assert shown("a\tb\x1b[31m\u202e") == "a b\ufffd[31m\ufffd"
