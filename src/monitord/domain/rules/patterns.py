"""Regular expressions of users: RE2 alone, whose time grows with the text and never explodes (T7)."""

from collections.abc import Iterator
from functools import lru_cache

import re2

from monitord.domain.errors import Violation

MAX_PATTERN_CHARS = 1024
_MAX_PROGRAM_BYTES = 1 << 20


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> "re2._Regexp[bytes]":
    """Return a pattern, ready to search bytes: it is read as UTF-8, and what is searched need not be.

    Raises:
        ValueError: it is no regular expression of RE2's; the text says why.
    """
    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.UTF8
    options.max_mem = _MAX_PROGRAM_BYTES
    try:
        return re2.compile(pattern.encode(), options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None


def of_pattern(pattern: str, field: str) -> Iterator[Violation]:
    """Yield what is wrong with a regular expression; an empty one is none."""
    if len(pattern) > MAX_PATTERN_CHARS:
        yield Violation(field, f"must have at most {MAX_PATTERN_CHARS} characters, not {len(pattern)}")
        return
    if "\0" in pattern:
        yield Violation(field, r"must contain no NUL; write \x00")
        return
    try:
        compiled(pattern)
    except (ValueError, UnicodeEncodeError) as error:
        yield Violation(field, f"must be a regular expression in RE2's syntax: {error}")
