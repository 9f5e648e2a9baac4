"""Who a check of a database signs in as, and what it reads there."""

from collections.abc import Iterator

from monitord.domain.errors import Violation
from monitord.domain.kinds.mysql import MysqlCheck
from monitord.domain.kinds.postgres import PostgresCheck
from monitord.domain.rules.connection import of_length, of_secret
from monitord.domain.rules.patterns import of_pattern

MAX_QUERY_BYTES = 4 * 1024


def of_sign_in(check: PostgresCheck | MysqlCheck, *, user_bytes: int, database_bytes: int) -> Iterator[Violation]:
    """Yield what is wrong with the user, the database and the query."""
    yield from of_length(check.user, "user", user_bytes)
    yield from of_length(check.database, "database", database_bytes)
    yield from of_secret(check.password.value, "password")
    yield from of_length(check.query, "query", MAX_QUERY_BYTES)
    yield from of_pattern(check.expect, "expect")
    if not check.user:
        for field in ("password", "database", "query"):
            if getattr(check, field):
                yield Violation(field, "needs a user who signs in")
    if check.expect and not check.query:
        yield Violation("expect", "needs a query whose answer it is about")
