"""A MySQL or MariaDB server: the handshake, and an optional query."""

from collections.abc import Hashable

from monitord.domain.connection import SecureCheck
from monitord.domain.secrets import Secret


class MysqlCheck(SecureCheck, frozen=True, tag="mysql", kw_only=True, weakref=True):
    """Sign in, and read something in a transaction that cannot write. Without a user the handshake alone is made."""

    port: int = 3306
    user: str = ""
    password: Secret = Secret()
    database: str = ""
    query: str = ""
    expect: str = ""
    """RE2 that must match the first column of the first row, as text; empty: no condition."""

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent; see ``secrets.Holder``."""
        return (*super().origins(), self.user)
