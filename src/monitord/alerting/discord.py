"""A channel of Discord, by a webhook (https://discord.com/developers/docs/resources/webhook#execute-webhook)."""

from typing import Any

import msgspec

from monitord.alerting.http_delivery import HttpDelivery, Post
from monitord.alerting.markup import changes, coloured, fit, join_within, shown_facts, units, web_link
from monitord.alerting.outcomes import (
    HTTP,
    Answer,
    Outcomes,
    Said,
    gone,
    json_in,
    number_in,
    permanent,
    retry,
    text_in,
    words_of,
)
from monitord.domain.contacts import Channel, DiscordContact
from monitord.domain.delivery import Attempt
from monitord.domain.instant import to_datetime
from monitord.domain.notice import Notice
from monitord.domain.wording import headline

OUTCOMES: Outcomes = {
    **HTTP,
    # https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
    "10003": gone("the channel does not exist any more"),
    "10015": gone("the webhook does not exist any more"),
    "50027": gone("the webhook's URL is not, or no longer, right"),
    "50006": permanent("Discord does not understand the message"),
    "50035": permanent("Discord does not understand the message"),
    "50013": permanent("the webhook lacks a permission"),
    "160005": permanent("the thread is locked"),
    "200000": permanent("AutoMod of the server blocks the message"),
    "200001": permanent("AutoMod of the server blocks the message"),
    "220001": permanent("a forum's webhook needs a thread: add ?thread_id= to its URL"),
    "240000": permanent("Discord takes a link in the message to be harmful"),
    "20028": retry(),
    "20029": retry(),
    "40062": retry(),
    "130000": retry(),
    401: gone("the webhook's URL is not, or no longer, right"),
    404: permanent("there is no webhook at this address"),
    410: gone("the webhook is gone for good"),
}

MARKS = {char: f"\\{char}" for char in "\\*_~`|<>[]()#@"}
"""https://support.discord.com/hc/en-us/articles/210298617: a backslash before a sign takes its meaning."""
_CODE_MARKS = {"`": "ˋ"}
"""Nothing escapes a backtick within code: another sign stands for it."""

# https://discord.com/developers/docs/resources/message#embed-object-embed-limits
MAX_TITLE = 256
MAX_DESCRIPTION = 4096
MAX_FIELDS = 25
MAX_NAME = 256
MAX_VALUE = 1024
MAX_TOTAL = 6000
_MAX_SHOWN = 350
"""Of each fact: all of them, the title and the lines have to stay within the total."""
_AS_CODE = frozenset({"Target", "Phases"})
"""A URL is shown as it is only as code: in a link Discord shows the backslashes, too."""


class DiscordSender:
    """Posts notices to channels of Discord."""

    def __init__(self, delivery: HttpDelivery) -> None:
        """Take what posts."""
        self._delivery = delivery

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        """Try once; see ``dispatcher.Send``."""
        assert isinstance(channel, DiscordContact)
        url = channel.webhook_url.value
        waited = f"{url}{'&' if '?' in url else '?'}wait=true"  # else it answers before it knows whether it can post
        post = Post(url=waited, body=msgspec.json.encode(message(notice)))
        return await self._delivery.post("discord", post, OUTCOMES, timeout_s, _read)


def _read(answer: Answer) -> Said:
    """Read an error, or the limit of rates (https://discord.com/developers/docs/topics/rate-limits)."""
    body = json_in(answer.body)
    if not body:
        return Said(text=text_in(answer.body))
    code = number_in(body.get("code"))
    return Said(
        code=f"{code:.0f}" if code and answer.status >= 400 else None,
        text=words_of(body, "message"),
        retry_after_s=number_in(body.get("retry_after")),
    )


def message(notice: Notice) -> dict[str, Any]:
    """Return a message of one embed; nobody is ever mentioned by it."""
    title = fit(headline(notice), MAX_TITLE, MARKS)
    fields = _fields(notice)
    left = MAX_TOTAL - units(title) - sum(units(field["name"]) + units(field["value"]) for field in fields)
    embed: dict[str, Any] = {
        "title": title,
        "description": _description(notice, min(left, MAX_DESCRIPTION)),
        "color": int(coloured(notice, bad="d92d20", warning="f79009", good="12b76a"), 16),
        "fields": fields,
        "timestamp": to_datetime(notice.at).isoformat(),
    }
    if link := web_link(notice.link):
        embed["url"] = link
    if notice.picture is not None and (picture := web_link(notice.picture.url)):
        embed["image"] = {"url": picture}
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def _fields(notice: Notice) -> list[dict[str, Any]]:
    code = dict(shown_facts(notice, _MAX_SHOWN, _CODE_MARKS))
    return [
        {
            "name": label,
            "value": f"`{code[label]}`" if label in _AS_CODE else value,
            "inline": len(value) <= 40,
        }
        for label, value in shown_facts(notice, _MAX_SHOWN, MARKS)
    ][:MAX_FIELDS]


def _description(notice: Notice, limit: int) -> str:
    if notice.lines:
        return join_within(changes(notice, 300, MARKS), limit)
    lines = join_within((fit(line, 200, _CODE_MARKS) for line in notice.evidence), limit - 8)
    return f"```\n{lines}\n```" if lines.strip() else ""
