"""Alerts by mail."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from monitord.alerting.mail_rendering import MailRenderer
from monitord.domain.contacts import Channel, EmailContact
from monitord.domain.delivery import Attempt
from monitord.domain.instant import Instant
from monitord.domain.notice import Notice, Picture
from monitord.domain.target import parse_endpoint


class Server(Protocol):
    """Takes messages; see ``alerting.mail_server``."""

    async def deliver(self, sender: str, recipient: str, message: bytes, timeout_s: float) -> Attempt:
        """Try once to hand a message over."""
        ...


class EmailSender:
    """Renders a notice and hands it to the mail server."""

    def __init__(
        self,
        server: Server,
        renderer: MailRenderer,
        sender: str,
        *,
        now: Callable[[], Instant],
        picture: Callable[[str], Awaitable[Picture | None]],
    ) -> None:
        """``picture`` gives a screenshot, by its URL, as it can stand in a mail; None: it can't be had."""
        self._picture = picture
        self._server = server
        self._renderer = renderer
        self._sender = sender
        self._now = now

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        """Try once, within so many seconds."""
        assert isinstance(channel, EmailContact)
        recipient = ascii_address(channel.address)
        if notice.picture is not None and not notice.picture.content:
            shown = await self._picture(notice.picture.url)
            notice = msgspec.structs.replace(notice, picture=shown or notice.picture)
        message = self._renderer.message(notice, recipient, self._now())
        return await self._server.deliver(self._sender, recipient, message.as_bytes(), timeout_s)


def ascii_address(address: str) -> str:
    """Return an address with its host as it goes over the wire: mail servers need not know other letters."""
    local, _, host = address.rpartition("@")
    return f"{local}@{parse_endpoint(host, 25).host}"
