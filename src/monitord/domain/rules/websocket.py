"""What a WebSocket check may be."""

import re
from collections.abc import Iterator

from monitord.domain.errors import Violation
from monitord.domain.kinds.websocket import WebsocketCheck
from monitord.domain.rules.connection import (
    Context,
    of_certificate_days,
    of_latency,
    of_length,
    of_resolver,
    of_tls_settings,
)
from monitord.domain.rules.headers import of_headers
from monitord.domain.rules.patterns import of_pattern
from monitord.domain.rules.wording import quoted
from monitord.domain.target import WEBSOCKET, InvalidTargetError, parse_target

MAX_SEND_BYTES = 4 * 1024
MAX_SUBPROTOCOLS = 10

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")


def violations(check: WebsocketCheck, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with a WebSocket check."""
    try:
        parse_target(check.url, WEBSOCKET)
    except InvalidTargetError as error:
        yield Violation("url", str(error))
    yield from of_headers(check.headers, context.secrets_may_be_kept)
    for index, header in enumerate(check.headers[:50]):
        if header.name.lower().startswith("sec-websocket-"):
            yield Violation(f"headers[{index}].name", f"leave out {header.name[:40]}: monitord writes it itself")
    yield from _of_subprotocols(check.subprotocols)
    yield from of_length(check.send, "send", MAX_SEND_BYTES)
    yield from of_pattern(check.expect, "expect")
    yield from of_latency(check.expected_latency_ms, context)
    yield from of_resolver(check.resolver)
    yield from of_tls_settings(check.tls, context)
    yield from of_certificate_days(check.min_certificate_days)


def _of_subprotocols(names: tuple[str, ...]) -> Iterator[Violation]:
    if len(names) > MAX_SUBPROTOCOLS:
        yield Violation("subprotocols", f"must be at most {MAX_SUBPROTOCOLS}, not {len(names)}")
        return
    for index, name in enumerate(names):
        if not _TOKEN.fullmatch(name):
            yield Violation(f"subprotocols[{index}]", f"must be a token (RFC 6455, 4.1), not {quoted(name)}")
        elif name in names[:index]:
            yield Violation(f"subprotocols[{index}]", f"give {name} once only")
