"""A channel of Slack, by an incoming webhook."""

from collections.abc import Hashable, Iterator

import msgspec

from monitord.domain.connection import Place
from monitord.domain.secrets import Secret
from monitord.domain.target import InvalidTargetError, parse_target


class SlackContact(msgspec.Struct, frozen=True, tag="slack", kw_only=True):
    """Post to an incoming webhook of Slack (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks)."""

    webhook_url: Secret = Secret()
    """Whoever knows it can post: it is a secret as a whole."""

    @property
    def shown(self) -> str:
        """Return where it leads; the URL itself is a secret."""
        return "Slack"

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
