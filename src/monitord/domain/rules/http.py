"""What an HTTP check may be."""

import re
from collections.abc import Iterator

from monitord.domain.errors import Violation
from monitord.domain.kinds.http import HttpCheck
from monitord.domain.rules.connection import (
    Context,
    of_certificate_days,
    of_latency,
    of_resolver,
    of_tls_settings,
)
from monitord.domain.rules.headers import of_headers
from monitord.domain.rules.http_assertions import of_header_assertions, of_json_assertions
from monitord.domain.rules.http_auth import of_auth
from monitord.domain.rules.patterns import of_pattern
from monitord.domain.rules.wording import listed, quoted
from monitord.domain.target import InvalidTargetError, parse_target

MAX_BODY_BYTES = 64 * 1024
MAX_STATUS_RANGES = 100
MAX_KEYWORD_BYTES = 1024
MAX_REDIRECTS = 20
MAX_SIZE_BYTES = 1 << 30

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
METHODS_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")

# A keyword may span lines.
_NOT_IN_KEYWORD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def violations(check: HttpCheck, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with an HTTP check."""
    yield from _of_request(check)
    yield from of_headers(check.headers, context.secrets_may_be_kept)
    yield from _of_expectations(check)
    yield from _of_body(check)
    yield from of_auth(check, context)
    if not 1 <= check.max_redirects <= MAX_REDIRECTS:
        yield Violation("max_redirects", f"must be 1 to {MAX_REDIRECTS}, not {check.max_redirects}")
    yield from of_latency(check.expected_latency_ms, context)
    yield from of_resolver(check.resolver)
    yield from of_tls_settings(check.tls, context)
    yield from of_certificate_days(check.min_certificate_days)


def _of_request(check: HttpCheck) -> Iterator[Violation]:
    try:
        parse_target(check.url)
    except InvalidTargetError as error:
        yield Violation("url", str(error))
    if check.method not in METHODS:
        yield Violation("method", f"must be one of {', '.join(METHODS)}, in capitals, not {quoted(check.method)}")
    if check.body and check.method not in METHODS_WITH_BODY:
        yield Violation(
            "body", f"must be empty with {check.method[:40]}; only {listed(METHODS_WITH_BODY)} may have one"
        )
    elif len(check.body) > MAX_BODY_BYTES:
        yield Violation("body", f"must have at most {MAX_BODY_BYTES} bytes, not {len(check.body)}")


def _of_expectations(check: HttpCheck) -> Iterator[Violation]:
    field = "accepted_status_codes"
    if not 1 <= len(check.accepted_status) <= MAX_STATUS_RANGES:
        yield Violation(field, f"must be 1 to {MAX_STATUS_RANGES} numbers or ranges, not {len(check.accepted_status)}")
    else:
        for index, codes in enumerate(check.accepted_status):
            if not 100 <= codes.first <= codes.last <= 999:
                yield Violation(
                    f"{field}[{index}]",
                    f"must be a status code of 100 to 999, or a range of them such as 200-299, "
                    f"not {codes.first}-{codes.last}",
                )
    size = len(check.keyword.encode())
    if size > MAX_KEYWORD_BYTES:
        yield Violation("keyword", f"must have at most {MAX_KEYWORD_BYTES} bytes of UTF-8, not {size}")
    if _NOT_IN_KEYWORD.search(check.keyword):
        yield Violation("keyword", "must contain no control characters but tabs and line breaks")
    if check.keyword and check.method == "HEAD":
        yield Violation("keyword", "must be empty with HEAD, whose answers have no body; use GET")
    if check.keyword_absent and not check.keyword:
        yield Violation("keyword_absent", "needs a keyword whose absence is asked for")


def _of_body(check: HttpCheck) -> Iterator[Violation]:
    yield from of_header_assertions(check.header_assertions)
    yield from of_json_assertions(check.json_assertions)
    yield from of_pattern(check.body_regex, "body_regex")
    if check.body_regex_absent and not check.body_regex:
        yield Violation("body_regex_absent", "needs a regular expression that must not match")
    for field in ("min_body_bytes", "max_body_bytes"):
        if not 0 <= getattr(check, field) <= MAX_SIZE_BYTES:
            yield Violation(field, f"must be 0 to {MAX_SIZE_BYTES}, not {getattr(check, field)}")
    if 0 < check.max_body_bytes < check.min_body_bytes:
        yield Violation("max_body_bytes", f"must be at least min_body_bytes, {check.min_body_bytes}")
    if check.method == "HEAD":
        for field in ("body_regex", "json_assertions", "min_body_bytes", "max_body_bytes"):
            if getattr(check, field):
                yield Violation(field, "must be left out with HEAD, whose answers have no body; use GET")
