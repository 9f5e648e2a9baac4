"""A Redis (or Valkey) server: PING, or a command that reads."""

from collections.abc import Hashable

from monitord.domain.connection import SecureCheck
from monitord.domain.secrets import Secret


class RedisCheck(SecureCheck, frozen=True, tag="redis", kw_only=True, weakref=True):
    """Sign in if asked to, and run one command that reads."""

    port: int = 6379
    user: str = ""
    password: Secret = Secret()
    database: int = 0
    command: str = "PING"
    expect: str = ""
    """RE2 that must match the answer as text; empty: any answer but an error will do."""

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent; see ``secrets.Holder``."""
        return (*super().origins(), self.user)
