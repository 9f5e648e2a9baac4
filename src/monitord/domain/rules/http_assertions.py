"""What conditions on an HTTP answer may be."""

import json
import re
from collections.abc import Iterator
from functools import lru_cache

from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathError, JSONPathQuery

from monitord.domain.errors import Violation
from monitord.domain.kinds.http import Comparison, HeaderAssertion, JsonAssertion
from monitord.domain.rules.patterns import of_pattern
from monitord.domain.rules.wording import has_controls, quoted

MAX_ASSERTIONS = 20
MAX_PATH_CHARS = 512
MAX_VALUE_CHARS = 1024

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_NUMERIC = (Comparison.LESS, Comparison.AT_MOST, Comparison.GREATER, Comparison.AT_LEAST)
_WITHOUT_VALUE = (Comparison.PRESENT, Comparison.ABSENT)
_PATTERNS = (Comparison.MATCHES, Comparison.NOT_MATCHES)


class _Paths(JSONPathEnvironment):
    """RFC 9535 without `match` and `search`, which run a user's backtracking expression on a target's text (T7)."""

    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        for name in ("match", "search"):
            self.function_extensions.pop(name, None)


_PATHS = _Paths()


@lru_cache(maxsize=4096)
def compiled_path(path: str) -> JSONPathQuery:
    """Return a JSONPath, ready to be asked for. Raises ``ValueError`` with what is wrong with it."""
    try:
        return _PATHS.compile(path)
    except (JSONPathError, RecursionError) as error:
        raise ValueError(str(error).partition("\n")[0]) from None


def json_value(text: str) -> object:
    """Return what a value to compare with stands for: JSON, or else a text without quotes."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def of_header_assertions(assertions: tuple[HeaderAssertion, ...]) -> Iterator[Violation]:
    """Yield what is wrong with conditions on headers."""
    field = "header_assertions"
    if len(assertions) > MAX_ASSERTIONS:
        yield Violation(field, f"must be at most {MAX_ASSERTIONS}, not {len(assertions)}")
        return
    for index, each in enumerate(assertions):
        at = f"{field}[{index}]"
        if not _TOKEN.fullmatch(each.name):
            yield Violation(f"{at}.name", f"must be the name of a header (RFC 9110), not {quoted(each.name)}")
        if each.comparison in _NUMERIC:
            yield Violation(f"{at}.comparison", f"{each.comparison.name} is for numbers in JSON; headers are texts")
        yield from _of_value(each.comparison, each.value, at)


def of_json_assertions(assertions: tuple[JsonAssertion, ...]) -> Iterator[Violation]:
    """Yield what is wrong with conditions on JSON."""
    field = "json_assertions"
    if len(assertions) > MAX_ASSERTIONS:
        yield Violation(field, f"must be at most {MAX_ASSERTIONS}, not {len(assertions)}")
        return
    for index, each in enumerate(assertions):
        at = f"{field}[{index}]"
        if len(each.path) > MAX_PATH_CHARS:
            yield Violation(f"{at}.path", f"must have at most {MAX_PATH_CHARS} characters, not {len(each.path)}")
        else:
            yield from _of_path(each.path, f"{at}.path")
        if each.comparison in _NUMERIC and not _is_number(json_value(each.value)):
            yield Violation(f"{at}.value", f"must be a number for {each.comparison.name}, not {quoted(each.value)}")
        yield from _of_value(each.comparison, each.value, at)


def _of_path(path: str, field: str) -> Iterator[Violation]:
    try:
        if has_controls(path):
            raise ValueError("it contains control characters")
        # Each value is looked at once: two descents, or one for each value that a filter looks at, take time that grows
        # with the square of what the target sends.
        if path.count("..") > 1 or ".." in path.partition("?")[2]:
            raise ValueError("it descends (..) more than once, or within a filter")
        compiled_path(path)
    except ValueError as error:
        yield Violation(field, f"must be a JSONPath (RFC 9535) such as $.status: {error}")


def _of_value(comparison: Comparison, value: str, at: str) -> Iterator[Violation]:
    if comparison in _WITHOUT_VALUE and value:
        yield Violation(f"{at}.value", f"must be empty with {comparison.name}")
    elif len(value) > MAX_VALUE_CHARS:
        yield Violation(f"{at}.value", f"must have at most {MAX_VALUE_CHARS} characters, not {len(value)}")
    elif comparison in _PATTERNS:
        yield from of_pattern(value, f"{at}.value")
    elif has_controls(value):
        yield Violation(f"{at}.value", "must contain no control characters")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
