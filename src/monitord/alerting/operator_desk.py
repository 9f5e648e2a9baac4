"""Tells the operator about monitord itself, by mail: kept in memory, since what it tells of concerns this process."""

import asyncio
from collections.abc import Callable

import structlog

from monitord.alerting.dispatcher import SEND_S, Send
from monitord.domain.contacts import EmailContact
from monitord.domain.instant import SECOND, Instant
from monitord.domain.notice import Notice, NoticeKind, clean

LIFETIME_S = 24 * 3600.0
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 600.0
_CHARS = 500

_log = structlog.get_logger(__name__)


class OperatorDesk:
    """Sends one message a topic: what waits is replaced by later news of the same topic, which says more."""

    def __init__(self, send: Send, address: str, *, now: Callable[[], Instant]) -> None:
        self._send = send
        self._channel = EmailContact(address=address)
        self._now = now
        self._waiting: dict[str, tuple[Instant, str]] = {}
        self._news = asyncio.Event()

    def tell(self, topic: str, message: str) -> None:
        """Send a message as soon as that can be, and for a day."""
        self._waiting[topic] = (self._now(), clean(message, _CHARS))
        self._news.set()

    async def run(self) -> None:
        """Send until cancelled."""
        wait_s = FIRST_RETRY_S
        while True:
            if not self._waiting:
                self._news.clear()
                await self._news.wait()
                wait_s = FIRST_RETRY_S
            for topic, (at, message) in list(self._waiting.items()):
                await self._try(topic, at, message)
            if self._waiting:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, LAST_RETRY_S)

    async def _try(self, topic: str, at: Instant, message: str) -> None:
        notice = Notice(
            key=f"operator-{at}", thread="", kind=NoticeKind.OPERATOR, at=at, contact_name="operator", message=message
        )
        attempt = await self._send(self._channel, notice, SEND_S)
        too_old = (self._now() - at) / SECOND > LIFETIME_S
        if not attempt.accepted:
            _log.warning("operator_not_told", topic=topic, code=attempt.code, reason=attempt.detail, given_up=too_old)
        if (attempt.accepted or too_old) and self._waiting.get(topic) == (at, message):
            del self._waiting[topic]
