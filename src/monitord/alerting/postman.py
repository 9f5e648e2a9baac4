"""Sends mails about accounts: soon, a few times, and never in the way of whoever asked for them."""

import asyncio
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr

import jinja2
import structlog

from monitord.alerting.dispatcher import SEND_S
from monitord.alerting.email import Server, ascii_address
from monitord.domain.delivery import Outcome
from monitord.domain.instant import Instant, to_datetime
from monitord.domain.letter import Letter
from monitord.domain.notice import clean

PAUSES_S = (5.0, 30.0, 120.0, 600.0)
"""Between attempts. Who got no mail asks for another."""
MAX_UNDER_WAY = 500
"""Beyond it mails are dropped, and that is logged: limits on who asks come before (T16)."""
_SUBJECT_CHARS = 200

_log = structlog.get_logger(__name__)


class Postman:
    """Takes letters, and sees to it that they arrive."""

    def __init__(self, server: Server, sender: str, sender_name: str, *, now: Callable[[], Instant]) -> None:
        self._server = server
        self._sender = sender
        self._from = formataddr((clean(sender_name), sender))
        self._now = now
        self._under_way: set[asyncio.Task[None]] = set()
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("monitord.alerting"),
            autoescape=jinja2.select_autoescape(["html.j2"]),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._text = environment.get_template("letter.txt.j2")
        self._html = environment.get_template("letter.html.j2")

    def post(self, letter: Letter) -> None:
        """Send a letter, soon."""
        if len(self._under_way) >= MAX_UNDER_WAY:
            _log.error("letter_dropped", letter=letter.key, reason="too many are under way")
            return
        task = asyncio.create_task(self._deliver(letter), name=f"letter {letter.key}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def message(self, letter: Letter, sent_at: Instant) -> EmailMessage:
        """Return a letter as a mail."""
        message = EmailMessage(policy=SMTP)
        message["From"] = self._from
        message["To"] = ascii_address(letter.recipient)
        message["Subject"] = clean(letter.subject, _SUBJECT_CHARS)
        message["Date"] = format_datetime(to_datetime(sent_at))
        message["Message-ID"] = f"<{letter.key}@{self._sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self._text.render(letter=letter))
        message.add_alternative(self._html.render(letter=letter), subtype="html")
        return message

    async def _deliver(self, letter: Letter) -> None:
        content = self.message(letter, self._now()).as_bytes()
        recipient = ascii_address(letter.recipient)
        for pause_s in (*PAUSES_S, None):
            attempt = await self._server.deliver(self._sender, recipient, content, SEND_S)
            if attempt.accepted:
                return
            if attempt.outcome is Outcome.PERMANENT or pause_s is None:
                _log.warning("letter_not_sent", letter=letter.key, code=attempt.code)
                return
            await asyncio.sleep(pause_s)
