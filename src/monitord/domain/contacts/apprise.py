"""Any service that the library apprise knows and the operator allows."""

from collections.abc import Hashable, Iterator

import msgspec

from monitord.domain.connection import Place
from monitord.domain.secrets import Secret


class AppriseContact(msgspec.Struct, frozen=True, tag="apprise", kw_only=True):
    """Send through apprise, which has a client of its own: only to services whose hosts are the vendor's, and fixed."""

    url: Secret = Secret()
    """As apprise writes it, such as ``pover://user@token``; it holds the credentials, and is a secret as a whole."""

    @property
    def shown(self) -> str:
        """Return where it leads: the service's scheme, never more of the URL."""
        scheme = self.url.value.partition("://")[0]
        return f"{scheme} (by apprise)" if scheme else "a service of apprise"

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent: the URL is the secret, and a new one replaces it."""
        return ()

    def places(self) -> Iterator[Place]:
        """Yield what it will dial: the vendor's hosts, which apprise alone knows."""
        return iter(())
