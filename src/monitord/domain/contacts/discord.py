"""A channel of Discord, by a webhook."""

from collections.abc import Hashable, Iterator

import msgspec

from monitord.domain.connection import Place
from monitord.domain.secrets import Secret
from monitord.domain.target import InvalidTargetError, parse_target


class DiscordContact(msgspec.Struct, frozen=True, tag="discord", kw_only=True):
    """Execute a webhook of Discord (https://discord.com/developers/docs/resources/webhook)."""

    webhook_url: Secret = Secret()
    """Whoever knows it can post: it is a secret as a whole."""

    @property
    def shown(self) -> str:
        """Return where it leads; the URL itself is a secret."""
        return "Discord"

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
