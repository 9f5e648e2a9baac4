"""Who a check of a database signs in as, and what it reads there.

Whoever may edit a monitor has a query run with a password that they need not know: the transaction is read-only, and
the query has to begin as one that reads, since servers let more happen in such a transaction than changes of rows
(files written, other sessions ended, settings changed). The rest is up to the rights of the user who signs in.
"""

import re
from collections.abc import Iterator

from monitord.domain.errors import Violation
from monitord.domain.kinds.mysql import MysqlCheck
from monitord.domain.kinds.postgres import PostgresCheck
from monitord.domain.rules.connection import of_length, of_secret
from monitord.domain.rules.patterns import of_pattern
from monitord.domain.rules.wording import VISIBLE, has_controls, quoted

MAX_QUERY_BYTES = 4 * 1024

_FIRST_WORD = re.compile(r"[\s(]*([A-Za-z]*)")
_INTO_FILE = re.compile(r"\b(?:outfile|dumpfile)\b", re.IGNORECASE)
"""SELECT ... INTO OUTFILE writes a file on a MySQL server, in a read-only transaction too."""


def of_sign_in(
    check: PostgresCheck | MysqlCheck, *, user_bytes: int, database_bytes: int, reading: tuple[str, ...]
) -> Iterator[Violation]:
    """Yield what is wrong with the user, the database and the query."""
    yield from of_length(check.user, "user", user_bytes)
    yield from of_length(check.database, "database", database_bytes)
    for field in ("user", "database"):
        if has_controls(getattr(check, field)):
            yield Violation(field, VISIBLE)
    yield from of_secret(check.password.value, "password")
    yield from of_query(check.query, reading)
    yield from of_pattern(check.expect, "expect")
    if not check.user:
        for field in ("password", "database", "query"):
            if getattr(check, field):
                yield Violation(field, "needs a user who signs in")
    if check.expect and not check.query:
        yield Violation("expect", "needs a query whose answer it is about")


def of_query(query: str, reading: tuple[str, ...]) -> Iterator[Violation]:
    """Yield what is wrong with a query; an empty one is none. ``reading`` are the words that it may begin with."""
    yield from of_length(query, "query", MAX_QUERY_BYTES)
    match = _FIRST_WORD.match(query)
    first = match[1].upper() if match is not None else ""
    if query and first not in reading:
        began = first or query.strip()
        yield Violation("query", f"must begin with {', '.join(reading[:-1])} or {reading[-1]}, not {quoted(began, 20)}")
    if found := _INTO_FILE.search(query):
        yield Violation("query", f"must not contain {found[0]}: it would write a file")
