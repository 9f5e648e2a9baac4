"""A chat of Telegram, by a bot."""

from collections.abc import Hashable, Iterator

import msgspec

from monitord.domain.connection import Place
from monitord.domain.secrets import Secret


class TelegramContact(msgspec.Struct, frozen=True, tag="telegram", kw_only=True):
    """Send a message as a bot of the user's (https://core.telegram.org/bots/api#sendmessage)."""

    bot_token: Secret = Secret()
    chat_id: str
    """A number, negative for groups, or a public channel's ``@name``."""
    message_thread_id: int = 0
    """The topic of a forum group; 0: none."""

    @property
    def shown(self) -> str:
        """Return where it leads."""
        return f"Telegram chat {self.chat_id}"

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent: to Telegram alone."""
        return ("telegram",)

    def places(self) -> Iterator[Place]:
        """Yield what it will dial: Telegram's own host, which is no choice of the user's."""
        return iter(())
