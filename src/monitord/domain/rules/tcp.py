"""What a TCP check may be."""

from collections.abc import Iterator

from monitord.domain.connection import Security
from monitord.domain.errors import Violation
from monitord.domain.kinds.tcp import TcpCheck
from monitord.domain.rules.connection import Context, of_length, of_secure
from monitord.domain.rules.patterns import of_pattern

MAX_SEND_BYTES = 4 * 1024


def violations(check: TcpCheck, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with a TCP check."""
    yield from of_secure(check, context, tuple(Security))
    yield from of_length(check.send, "send", MAX_SEND_BYTES)
    yield from of_pattern(check.expect, "expect")
