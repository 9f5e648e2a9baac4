"""A channel of Discord, by a webhook."""

from monitord.domain.contacts.hook import HookContact


class DiscordContact(HookContact, frozen=True, tag="discord", kw_only=True):
    """Execute a webhook of Discord (https://discord.com/developers/docs/resources/webhook)."""

    @property
    def shown(self) -> str:
        """Return where it leads; the URL itself is a secret."""
        return "Discord"
