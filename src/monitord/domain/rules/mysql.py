"""What a MySQL check may be."""

from collections.abc import Iterator

from monitord.domain.connection import Security
from monitord.domain.errors import Violation
from monitord.domain.kinds.mysql import MysqlCheck
from monitord.domain.rules.connection import Context, of_secure
from monitord.domain.rules.sign_in import of_sign_in

MAX_USER_BYTES = 80
MAX_DATABASE_BYTES = 64
READING = ("SELECT", "WITH", "SHOW", "TABLE", "VALUES", "EXPLAIN", "DESCRIBE")


def violations(check: MysqlCheck, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with a MySQL check."""
    yield from of_secure(check, context, (Security.PLAIN, Security.TLS))
    yield from of_sign_in(check, user_bytes=MAX_USER_BYTES, database_bytes=MAX_DATABASE_BYTES, reading=READING)
