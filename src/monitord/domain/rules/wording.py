"""How the rules speak: a user's text in a sentence, lengths of time, lists of words."""

import unicodedata

VISIBLE = "must contain no control characters, line breaks or NUL"


def quoted(text: str, limit: int = 40) -> str:
    """Return a user's text so that it can stand in a sentence: short, on one line, in quotes."""
    return repr(text if len(text) <= limit else text[:limit] + "…")


def has_controls(text: str) -> bool:
    """Tell control characters, lone surrogates, and line and paragraph separators (I12)."""
    return not text.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)


def duration(millis: int) -> str:
    """Return a length of time as people write it."""
    return f"{millis // 1000} s" if millis % 1000 == 0 and millis else f"{millis} ms"


def listed(words: tuple[str, ...]) -> str:
    """Return words as a list in a sentence; at least two."""
    return f"{', '.join(words[:-1])} and {words[-1]}"
