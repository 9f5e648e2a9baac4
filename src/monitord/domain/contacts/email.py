"""A mailbox."""

from collections.abc import Hashable, Iterator

import msgspec

from monitord.domain.connection import Place


class EmailContact(msgspec.Struct, frozen=True, tag="email", kw_only=True):
    """Send a mail. The address confirms before its first alert (T16)."""

    address: str
    """Validated before it gets here; of at most 254 characters (RFC 5321, 4.5.3.1.3)."""

    @property
    def shown(self) -> str:
        """Return where it leads."""
        return self.address

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent: it has none."""
        return ()

    def places(self) -> Iterator[Place]:
        """Yield what it will dial: nothing of the user's choice, only the operator's mail server."""
        return iter(())
