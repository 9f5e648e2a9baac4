"""What request headers may be."""

import re
from collections.abc import Iterator

from monitord.domain.errors import Violation
from monitord.domain.rules.wording import quoted
from monitord.domain.secrets import Header

MAX_HEADERS = 50
MAX_HEADER_NAME_CHARS = 128
MAX_HEADER_VALUE_BYTES = 4096
MAX_HEADERS_BYTES = 32 * 1024
"""All names and values together; more than the common servers take."""

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

# RFC 9110, 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110, 5.5: no controls but the tab.
_NOT_IN_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def of_headers(headers: tuple[Header, ...], secrets_may_be_kept: bool, field: str = "headers") -> Iterator[Violation]:
    """Yield what is wrong with headers of HTTP, or metadata of gRPC."""
    if len(headers) > MAX_HEADERS:
        yield Violation(field, f"must be at most {MAX_HEADERS}, not {len(headers)}")
        return
    size = sum(len(header.name) + len(header.value.encode()) for header in headers)
    if size > MAX_HEADERS_BYTES:
        yield Violation(field, f"must have at most {MAX_HEADERS_BYTES} bytes together, not {size}")
    before: dict[str, Header] = {}
    for index, header in enumerate(headers):
        at = f"{field}[{index}]"
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
