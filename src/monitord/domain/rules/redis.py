"""What a Redis check may be."""

from collections.abc import Iterator

from monitord.domain.connection import Security
from monitord.domain.errors import Violation
from monitord.domain.kinds.redis import RedisCheck
from monitord.domain.rules.connection import Context, of_length, of_secret, of_secure
from monitord.domain.rules.patterns import of_pattern
from monitord.domain.rules.wording import VISIBLE, has_controls, quoted

MAX_COMMAND_BYTES = 1024
MAX_USER_BYTES = 255

READING = frozenset(
    """
    BITCOUNT BITPOS DBSIZE ECHO EXISTS EXPIRETIME GEODIST GEOHASH GEOPOS GET GETBIT GETRANGE HEXISTS HGET HLEN HMGET
    HSTRLEN INFO LASTSAVE LINDEX LLEN LPOS MGET PEXPIRETIME PING PTTL ROLE SCARD SISMEMBER SMISMEMBER STRLEN TIME TTL
    TYPE XLEN ZCARD ZCOUNT ZLEXCOUNT ZMSCORE ZRANK ZREVRANK ZSCORE
    """.split()  # noqa: SIM905 - a table of words
)
"""Commands that read, answer at once and in bounds: whoever may edit a monitor must not be able to write by it.

PFCOUNT is none of them: it stores the count that it computes.
"""
READING_PAIRS = frozenset({("CLUSTER", "INFO"), ("MEMORY", "USAGE"), ("XINFO", "GROUPS")})
"""Such commands of two words; others that begin with the same word may do anything."""


def violations(check: RedisCheck, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with a Redis check."""
    yield from of_secure(check, context, (Security.PLAIN, Security.TLS))
    yield from of_length(check.user, "user", MAX_USER_BYTES)
    if has_controls(check.user):
        yield Violation("user", VISIBLE)
    yield from of_secret(check.password.value, "password")
    if check.user and not check.password and not context.secrets_may_be_kept:
        yield Violation("password", "must be given with a user: none is stored for this target")
    if not 0 <= check.database <= 65535:
        yield Violation("database", f"must be 0 to 65535, not {check.database}")
    yield from of_length(check.command, "command", MAX_COMMAND_BYTES)
    words = check.command.split()
    if has_controls(check.command):
        yield Violation("command", VISIBLE)
    elif not _reads(words):
        yield Violation(
            "command",
            f"must be one that only reads, such as PING, GET or LLEN, not {quoted(' '.join(words[:2]))}",
        )
    yield from of_pattern(check.expect, "expect")


def _reads(words: list[str]) -> bool:
    upper = tuple(word.upper() for word in words[:2])
    return bool(upper) and (upper[0] in READING or upper in READING_PAIRS)
