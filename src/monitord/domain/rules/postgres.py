"""What a Postgres check may be."""

from collections.abc import Iterator

from monitord.domain.connection import Security
from monitord.domain.errors import Violation
from monitord.domain.kinds.postgres import PostgresCheck
from monitord.domain.rules.connection import Context, of_secure
from monitord.domain.rules.sign_in import of_sign_in

MAX_USER_BYTES = 63
MAX_DATABASE_BYTES = 63
"""Longer names are cut by the server (NAMEDATALEN)."""
READING = ("SELECT", "WITH", "SHOW", "TABLE", "VALUES", "EXPLAIN")


def violations(check: PostgresCheck, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with a Postgres check."""
    yield from of_secure(check, context, (Security.PLAIN, Security.TLS))
    yield from of_sign_in(check, user_bytes=MAX_USER_BYTES, database_bytes=MAX_DATABASE_BYTES, reading=READING)
