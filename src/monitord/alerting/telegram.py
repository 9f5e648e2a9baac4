"""A chat of Telegram, by a bot of the user's (https://core.telegram.org/bots/api#sendmessage)."""

import urllib.parse
from typing import Any

import msgspec

from monitord.alerting.http_delivery import HttpDelivery, Post
from monitord.alerting.markup import changes, fit, join_within, shown_facts, units, web_link
from monitord.alerting.outcomes import (
    HTTP,
    Answer,
    Outcomes,
    Said,
    gone,
    json_in,
    number_in,
    permanent,
    text_in,
    words_of,
)
from monitord.domain.contacts import Channel, TelegramContact
from monitord.domain.delivery import Attempt
from monitord.domain.notice import Notice
from monitord.domain.wording import headline

HOST = "https://api.telegram.org"

OUTCOMES: Outcomes = {
    **HTTP,
    # Errors have a status and a description, which alone tells one 400 or 403 from another; it is looked for in this
    # order. No page of the vendor lists them all.
    "migrated": gone("the group became a supergroup: enter its new id"),
    "blocked": gone("the user has blocked the bot"),
    "deactivated": gone("the user's account is gone"),
    "kicked": gone("the bot was removed from the chat"),
    "not_member": gone("the bot is not a member of the chat"),
    "chat_not_found": gone("the bot knows no such chat: write to it first, or add it to the group"),
    "thread_not_found": gone("the topic does not exist any more"),
    "not_started": permanent("the user has not started the bot"),
    "no_rights": permanent("the bot may not write in the chat"),
    "invalid_text": permanent("Telegram does not understand the message"),
    401: gone("the bot's token is not, or no longer, right"),
    404: gone("the bot's token is not, or no longer, right"),
}
_DESCRIPTIONS = (
    ("bot was blocked by the user", "blocked"),
    ("user is deactivated", "deactivated"),
    ("bot was kicked", "kicked"),
    ("bot is not a member", "not_member"),
    ("chat not found", "chat_not_found"),
    ("message thread not found", "thread_not_found"),
    ("bot can't initiate conversation", "not_started"),
    ("not enough rights", "no_rights"),
    ("have no rights", "no_rights"),
    ("need administrator rights", "no_rights"),
    ("can't parse entities", "invalid_text"),
    ("message is too long", "invalid_text"),
    ("message text is empty", "invalid_text"),
)

MARKS = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "@": "@\u2060"}
"""https://core.telegram.org/bots/api#html-style; a joiner keeps an ``@name`` from calling someone into the chat."""
_CODE_MARKS = {char: mark for char, mark in MARKS.items() if char != "@"}
_MAX_LINK = 500
MAX_TEXT = 4096
"""In UTF-16 code units. Telegram counts what is left without the markup; we count all."""


class TelegramSender:
    """Sends notices to chats of Telegram."""

    def __init__(self, delivery: HttpDelivery, *, host: str = HOST) -> None:
        """Take what posts, and the address of the Bot API: Telegram's, or of a server of the operator's own."""
        self._delivery = delivery
        self._host = host

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        """Try once; see ``dispatcher.Send``."""
        assert isinstance(channel, TelegramContact)
        token = channel.bot_token.value
        url = f"{self._host}/bot{urllib.parse.quote(token, safe=':')}/sendMessage"
        body: dict[str, Any] = {
            "chat_id": channel.chat_id,
            "text": text_of(notice),
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
        }
        if channel.message_thread_id:
            body["message_thread_id"] = channel.message_thread_id
        post = Post(url=url, body=msgspec.json.encode(body), secrets=(token, token.partition(":")[2]))
        return await self._delivery.post("telegram", post, OUTCOMES, timeout_s, _read)


def _read(answer: Answer) -> Said:
    """Read what went wrong (https://core.telegram.org/bots/api#making-requests)."""
    body = json_in(answer.body)
    if answer.status < 400:
        return Said()
    description = words_of(body, "description") or text_in(answer.body)
    parameters = body.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    if moved := number_in(parameters.get("migrate_to_chat_id")):
        return Said(code="migrated", text=f"{moved:.0f}")
    lowered = description.lower()
    code = next((code for words, code in _DESCRIPTIONS if words in lowered), None)
    return Said(code=code, text=description, retry_after_s=number_in(parameters.get("retry_after")))


def text_of(notice: Notice) -> str:
    """Return a message in Telegram's HTML, within its limit; the evidence gives way first."""
    parts = [f"<b>{fit(headline(notice), 400, MARKS)}</b>"]
    code = dict(shown_facts(notice, 300, _CODE_MARKS))
    plain = shown_facts(notice, 300, MARKS)
    lines = [f"{label}: " + (f"<code>{code[label]}</code>" if label == "Target" else value) for label, value in plain]
    parts.append(join_within(lines, 2400))
    links = _links(notice)
    left = MAX_TEXT - sum(units(part) + 2 for part in [*parts, links])
    if notice.lines:
        parts.append(join_within(changes(notice, 200, MARKS), left))
    elif left > 100:
        evidence = join_within((fit(line, 160, _CODE_MARKS) for line in notice.evidence), left - 20)
        parts.append(f"<pre>{evidence}</pre>" if evidence.strip() else "")
    return "\n\n".join(part for part in [*parts, links] if part.strip())


def _links(notice: Notice) -> str:
    places = [("Open in monitord", notice.link), ("Screenshot", notice.picture.url if notice.picture else "")]
    urls = ((name, web_link(raw, _MAX_LINK, MARKS)) for name, raw in places)
    return " · ".join(f'<a href="{url}">{name}</a>' for name, url in urls if url)
