"""What chats have in common that take messages at a URL: whoever knows it can post."""

from collections.abc import Hashable, Iterator

import msgspec

from monitord.domain.connection import Place
from monitord.domain.secrets import Secret
from monitord.domain.target import InvalidTargetError, parse_target


class HookContact(msgspec.Struct, frozen=True, kw_only=True):
    """Post to a URL that is a secret as a whole."""

    webhook_url: Secret = Secret()
    """Whoever knows it can post."""

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent: the URL is the secret, and a new one replaces it."""
        return ()

    def places(self) -> Iterator[Place]:
        """Yield what it will dial."""
        try:
            target = parse_target(self.webhook_url.value)
        except InvalidTargetError:
            return  # the rules say what is wrong with it; or it stays as it is stored
        yield Place("webhook_url", target.host, target.port)
