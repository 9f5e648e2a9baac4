"""Conditions on an answer: its headers, its body by regular expression and size, its JSON."""

from collections.abc import Iterator

from monitord.domain.check import Category
from monitord.domain.kinds.http import Comparison, HeaderAssertion, HttpCheck
from monitord.domain.rules.patterns import compiled
from monitord.probes.failure import Failure
from monitord.probes.http_response import Response
from monitord.probes.text import shown

_EXCERPT = 80
_DENIALS = frozenset({Comparison.ABSENT, Comparison.NOT_EQUALS, Comparison.NOT_MATCHES})


def judge_headers(check: HttpCheck, response: Response) -> Failure | None:
    """Return which condition on a header does not hold, the first of them."""
    for each in check.header_assertions:
        values = response.field(each.name.lower().encode())
        if not _header_holds(each, values):
            return Failure(Category.ASSERT_HEADER, _header_sentence(each, values))
    return None


def judge_body(check: HttpCheck, response: Response) -> Failure | None:
    """Return which condition on the body as a whole does not hold: its expression, or its size."""
    return next(_body_failures(check, response), None)


def holds(comparison: Comparison, text: str, value: str) -> bool:
    """Return whether a text that is there compares with a value as asked."""
    match comparison:
        case Comparison.PRESENT:
            return True
        case Comparison.EQUALS:
            return text == value
        case Comparison.NOT_EQUALS:
            return text != value
        case Comparison.CONTAINS:
            return value in text
        case Comparison.MATCHES:
            return compiled(value).search(text.encode("utf-8", "surrogatepass")) is not None
        case Comparison.NOT_MATCHES:
            return compiled(value).search(text.encode("utf-8", "surrogatepass")) is None
        case _:
            return False


def phrase(comparison: Comparison, value: str) -> str:
    """Return what is demanded, as the end of a sentence that begins with "it"."""
    quoted = repr(shown(value, _EXCERPT))
    return {
        Comparison.PRESENT: "must be there",
        Comparison.ABSENT: "must not be there",
        Comparison.EQUALS: f"must be {quoted}",
        Comparison.NOT_EQUALS: f"must not be {quoted}",
        Comparison.MATCHES: f"must match {quoted}",
        Comparison.NOT_MATCHES: f"must not match {quoted}",
        Comparison.LESS: f"must be less than {shown(value, _EXCERPT)}",
        Comparison.AT_MOST: f"must be at most {shown(value, _EXCERPT)}",
        Comparison.GREATER: f"must be more than {shown(value, _EXCERPT)}",
        Comparison.AT_LEAST: f"must be at least {shown(value, _EXCERPT)}",
        Comparison.CONTAINS: f"must contain {quoted}",
    }[comparison]


def _header_holds(each: HeaderAssertion, values: list[bytes]) -> bool:
    if each.comparison is Comparison.ABSENT:
        return not values
    texts = [value.decode("utf-8", "replace") for value in values]
    verdicts = (holds(each.comparison, text, each.value) for text in texts)
    return bool(texts) and (all(verdicts) if each.comparison in _DENIALS else any(verdicts))


def _header_sentence(each: HeaderAssertion, values: list[bytes]) -> str:
    found = ", ".join(repr(shown(value, _EXCERPT)) for value in values[:3])
    what = f"the answer has {found}" if values else "the answer does not have it"
    return f"The header {each.name} {phrase(each.comparison, each.value)}; {what}."


def _body_failures(check: HttpCheck, response: Response) -> Iterator[Failure]:
    if check.body_regex:
        if response.undecodable:
            yield Failure(
                Category.BODY_DECODE,
                f"The body can't be searched: it comes encoded as {response.undecodable}, unasked.",
            )
        elif (compiled(check.body_regex).search(response.body.content) is not None) is check.body_regex_absent:
            which = "must not, but does, match" if check.body_regex_absent else "does not match"
            yield Failure(
                Category.ASSERT_REGEX, f"{shown(check.body_regex, _EXCERPT)!r} {which} {_part_read(response)}."
            )
    size, is_whole = _size(response)
    if size < check.min_body_bytes and is_whole:
        yield Failure(Category.ASSERT_SIZE, f"The body has {size} bytes; at least {check.min_body_bytes} are expected.")
    if 0 < check.max_body_bytes < size:
        more = "" if is_whole else "more than "
        yield Failure(
            Category.ASSERT_SIZE, f"The body has {more}{size} bytes; at most {check.max_body_bytes} are expected."
        )


def _size(response: Response) -> tuple[int, bool]:
    """Return how many bytes the decoded body has, as far as is known, and whether that is all of them."""
    if not response.capped:
        return response.body.size, True
    if response.length is not None and not response.field(b"content-encoding"):
        return response.length, True
    return response.body.size, False


def _part_read(response: Response) -> str:
    if response.capped:
        return f"in the first {max(1, response.body.size // 1024)} KiB of the body"
    return "in the body"
