"""What a monitor may be: every rule that the comments of ``monitor.proto`` state, with a sentence for each breach.

Fields are named by their paths in the API, which is what users read.
"""

import re
import unicodedata
from collections.abc import Iterator

import msgspec

from monitord.domain.errors import Violation
from monitord.domain.monitor import Header, HttpCheck, MonitorSpec
from monitord.domain.target import InvalidTargetError, parse_target

MAX_NAME_CHARS = 200
MAX_LABELS = 64
MAX_LABEL_KEY_CHARS = 63
MAX_LABEL_VALUE_CHARS = 255
MAX_INTERVAL_S = 86_400
MIN_TIMEOUT_MS = 100
MAX_TIMEOUT_MS = 60_000
MAX_THRESHOLD = 10
MAX_HEADERS = 50
MAX_HEADER_NAME_CHARS = 128
MAX_HEADER_VALUE_BYTES = 4096
MAX_HEADERS_BYTES = 32 * 1024
"""All names and values together; more than the common servers take."""
MAX_BODY_BYTES = 64 * 1024
MAX_STATUS_RANGES = 100
MAX_KEYWORD_BYTES = 1024
MAX_REDIRECTS = 20

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
METHODS_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
OWN_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that frame a message or a connection: the prober writes them itself (RFC 9110, 7.6.1)."""
SINGLE_HEADERS = frozenset({"host", "user-agent"})

_LABEL_KEY = re.compile(r"[A-Za-z0-9._/-]{1,63}")
# RFC 9110, 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110, 5.5: no controls but the tab.
_NOT_IN_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# A keyword may span lines.
_NOT_IN_KEYWORD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_VISIBLE = "must contain no control characters, line breaks or NUL"


class Limits(msgspec.Struct, frozen=True):
    """What an operator decides about all monitors."""

    min_interval_s: int = 5
    """The shortest interval, and the shortest interval of re-checks, in seconds."""


def violations(
    spec: MonitorSpec, limits: Limits, *, prefix: str = "", secrets_may_be_kept: bool = False
) -> list[Violation]:
    """Return everything that is wrong with a monitor; empty when nothing is.

    ``prefix`` stands before each field, such as ``monitor.``. ``secrets_may_be_kept`` allows secret headers without a
    value, which whoever stores the monitor fills with those stored before.
    """
    found = [*_of_identity(spec), *_of_times(spec, limits), *_of_http(spec, secrets_may_be_kept)]
    return [Violation(prefix + one.field, one.description) for one in found]


def quoted(text: str, limit: int = 40) -> str:
    """Return a user's text so that it can stand in a sentence: short, on one line, in quotes."""
    return repr(text if len(text) <= limit else text[:limit] + "…")


def _of_identity(spec: MonitorSpec) -> Iterator[Violation]:
    if not 1 <= len(spec.name) <= MAX_NAME_CHARS:
        yield Violation("name", f"must have 1 to {MAX_NAME_CHARS} characters, not {len(spec.name)}")
    if _has_controls(spec.name):
        yield Violation("name", _VISIBLE)
    if len(spec.labels) > MAX_LABELS:
        # One sentence, not ten thousand.
        yield Violation("labels", f"must be at most {MAX_LABELS}, not {len(spec.labels)}")
        return
    for key, value in spec.labels.items():
        yield from _of_label(key, value)


def _of_label(key: str, value: str) -> Iterator[Violation]:
    if not _LABEL_KEY.fullmatch(key):
        yield Violation(
            "labels",
            f"the key {quoted(key)} must have 1 to {MAX_LABEL_KEY_CHARS} letters, digits or any of - _ . /",
        )
    elif len(value) > MAX_LABEL_VALUE_CHARS:
        yield Violation(f"labels[{key}]", f"must have at most {MAX_LABEL_VALUE_CHARS} characters, not {len(value)}")
    elif _has_controls(value):
        yield Violation(f"labels[{key}]", _VISIBLE)


def _of_times(spec: MonitorSpec, limits: Limits) -> Iterator[Violation]:
    floor = limits.min_interval_s
    interval_is_right = floor <= spec.interval_s <= MAX_INTERVAL_S
    if not interval_is_right:
        yield Violation("interval", f"must be {floor} s to {MAX_INTERVAL_S} s (24 h), not {spec.interval_s} s")
    if not MIN_TIMEOUT_MS <= spec.timeout_ms <= MAX_TIMEOUT_MS:
        yield Violation("timeout", f"must be 100 ms to 60 s, not {_duration(spec.timeout_ms)}")
    elif interval_is_right and spec.timeout_ms > spec.interval_s * 1000:
        yield Violation(
            "timeout", f"must be at most the interval of {spec.interval_s} s, not {_duration(spec.timeout_ms)}"
        )
    if interval_is_right and not floor <= spec.recheck_interval_s <= spec.interval_s:
        yield Violation(
            "recheck_interval",
            f"must be {floor} s to the interval of {spec.interval_s} s, not {spec.recheck_interval_s} s",
        )
    for field in ("failure_threshold", "success_threshold"):
        value = getattr(spec, field)
        if not 1 <= value <= MAX_THRESHOLD:
            yield Violation(field, f"must be 1 to {MAX_THRESHOLD}, not {value}")


def _of_http(spec: MonitorSpec, secrets_may_be_kept: bool) -> Iterator[Violation]:
    check = spec.check
    yield from _of_request(check)
    yield from _of_headers(check.headers, secrets_may_be_kept)
    yield from _of_expectations(check)
    if not 1 <= check.max_redirects <= MAX_REDIRECTS:
        yield Violation("http.max_redirects", f"must be 1 to {MAX_REDIRECTS}, not {check.max_redirects}")
    if check.expected_latency_ms < 0 or check.expected_latency_ms >= max(spec.timeout_ms, 1):
        yield Violation(
            "http.expected_latency",
            f"must be more than 0 and shorter than the timeout of {_duration(spec.timeout_ms)}, "
            f"not {_duration(check.expected_latency_ms)}",
        )


def _of_request(check: HttpCheck) -> Iterator[Violation]:
    try:
        parse_target(check.url)
    except InvalidTargetError as error:
        yield Violation("http.url", str(error))
    if check.method not in METHODS:
        yield Violation("http.method", f"must be one of {', '.join(METHODS)}, in capitals, not {quoted(check.method)}")
    if check.body and check.method not in METHODS_WITH_BODY:
        yield Violation(
            "http.body", f"must be empty with {check.method[:40]}; only {_listed(METHODS_WITH_BODY)} may have one"
        )
    elif len(check.body) > MAX_BODY_BYTES:
        yield Violation("http.body", f"must have at most {MAX_BODY_BYTES} bytes, not {len(check.body)}")


def _of_headers(headers: tuple[Header, ...], secrets_may_be_kept: bool) -> Iterator[Violation]:
    if len(headers) > MAX_HEADERS:
        yield Violation("http.headers", f"must be at most {MAX_HEADERS}, not {len(headers)}")
        return
    size = sum(len(header.name) + len(header.value.encode()) for header in headers)
    if size > MAX_HEADERS_BYTES:
        yield Violation("http.headers", f"must have at most {MAX_HEADERS_BYTES} bytes together, not {size}")
    before: dict[str, Header] = {}
    for index, header in enumerate(headers):
        at = f"http.headers[{index}]"
        yield from _of_header_name(header, before, at)
        yield from _of_header_value(header, secrets_may_be_kept, at)
        before[header.name.lower()] = header


def _of_header_name(header: Header, before: dict[str, Header], at: str) -> Iterator[Violation]:
    name = header.name.lower()
    twin = before.get(name)
    if not _TOKEN.fullmatch(header.name) or len(name) > MAX_HEADER_NAME_CHARS:
        yield Violation(
            f"{at}.name",
            f"must be 1 to {MAX_HEADER_NAME_CHARS} letters, digits or any of !#$%&'*+-.^_`|~ (RFC 9110), "
            f"not {quoted(header.name)}",
        )
    elif name in OWN_HEADERS:
        yield Violation(f"{at}.name", f"leave out {header.name}: monitord writes it itself")
    elif twin is not None and (name in SINGLE_HEADERS or header.secret or twin.secret):
        yield Violation(f"{at}.name", f"give {header.name} once only, as it is secret or there can be but one")


def _of_header_value(header: Header, secret_may_be_kept: bool, at: str) -> Iterator[Violation]:
    size = len(header.value.encode())
    if size > MAX_HEADER_VALUE_BYTES:
        yield Violation(f"{at}.value", f"must have at most {MAX_HEADER_VALUE_BYTES} bytes, not {size}")
    if _NOT_IN_HEADER.search(header.value):
        yield Violation(f"{at}.value", "must contain no line breaks, NUL or other control characters")
    if header.secret and not header.value and not secret_may_be_kept:
        yield Violation(
            f"{at}.value", "must be given: no value of this secret header is stored for this scheme, host and port"
        )


def _of_expectations(check: HttpCheck) -> Iterator[Violation]:
    field = "http.accepted_status_codes"
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
        yield Violation("http.keyword", f"must have at most {MAX_KEYWORD_BYTES} bytes of UTF-8, not {size}")
    if _NOT_IN_KEYWORD.search(check.keyword):
        yield Violation("http.keyword", "must contain no control characters but tabs and line breaks")
    if check.keyword and check.method == "HEAD":
        yield Violation("http.keyword", "must be empty with HEAD, whose answers have no body; use GET")
    if check.keyword_absent and not check.keyword:
        yield Violation("http.keyword_absent", "needs a keyword whose absence is asked for")


def _has_controls(text: str) -> bool:
    """Tell control characters, lone surrogates, and line and paragraph separators (I12)."""
    return not text.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)


def _duration(millis: int) -> str:
    return f"{millis // 1000} s" if millis % 1000 == 0 and millis else f"{millis} ms"


def _listed(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"
