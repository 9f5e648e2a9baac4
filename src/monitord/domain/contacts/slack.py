"""A channel of Slack, by an incoming webhook."""

from monitord.domain.contacts.hook import HookContact


class SlackContact(HookContact, frozen=True, tag="slack", kw_only=True):
    """Post to an incoming webhook of Slack (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks)."""

    @property
    def shown(self) -> str:
        """Return where it leads; the URL itself is a secret."""
        return "Slack"
