"""A channel of Slack, by an incoming webhook (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks)."""

from typing import Any

import msgspec

from monitord.alerting.http_delivery import HttpDelivery, Post
from monitord.alerting.markup import changes, fit, join_within, shown_facts, web_link
from monitord.alerting.outcomes import HTTP, Answer, Outcomes, Said, gone, json_in, permanent, retry, text_in, words_of
from monitord.domain.contacts import Channel, SlackContact
from monitord.domain.delivery import Attempt
from monitord.domain.notice import Notice
from monitord.domain.wording import headline

OUTCOMES: Outcomes = {
    **HTTP,
    # The body of an answer is one of these words, see "Handling errors" of the page above and
    # https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks.
    "invalid_payload": permanent("Slack does not understand the message"),
    "invalid_blocks": permanent("Slack does not understand the message"),
    "invalid_blocks_format": permanent("Slack does not understand the message"),
    "no_text": permanent("Slack does not understand the message"),
    "missing_text_or_fallback_or_attachments": permanent("Slack does not understand the message"),
    "too_many_attachments": permanent("Slack does not understand the message"),
    "user_not_found": gone("the user does not exist any more"),
    "action_prohibited": permanent("an administrator of the workspace forbids this webhook to post"),
    "posting_to_general_channel_denied": permanent("an administrator of the workspace forbids posting to #general"),
    "channel_not_found": gone("the channel does not exist any more"),
    "channel_is_archived": gone("the channel is archived"),
    "invalid_token": gone("the webhook's URL is not, or no longer, right"),
    "token_revoked": gone("the webhook was revoked"),
    "no_service": gone("the webhook was removed or switched off"),
    "no_service_id": gone("the webhook's URL is not, or no longer, right"),
    "no_active_hooks": gone("the webhook was switched off"),
    "no_team": gone("the workspace does not exist any more"),
    "team_disabled": gone("the workspace is switched off"),
    "rate_limited": retry(),
    "ratelimited": retry(),
    "rollup_error": retry(),
    410: gone("the webhook is gone for good"),
}

MARKS = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""https://docs.slack.dev/messaging/formatting-message-text#escaping"""
_CODE_MARKS = {**MARKS, "`": "ˋ"}
"""Nothing escapes a backtick within code: another sign stands for it."""

# https://docs.slack.dev/reference/block-kit/blocks
MAX_BLOCKS = 50
MAX_HEADER = 150
MAX_TEXT = 3000
MAX_FALLBACK = 4000
"""Slack cuts at 40,000, and advises this (https://docs.slack.dev/changelog/2018-truncating-really-long-messages)."""


class SlackSender:
    """Posts notices to channels of Slack."""

    def __init__(self, delivery: HttpDelivery) -> None:
        """Take what posts."""
        self._delivery = delivery

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        """Try once; see ``dispatcher.Send``."""
        assert isinstance(channel, SlackContact)
        post = Post(url=channel.webhook_url.value, body=msgspec.json.encode(message(notice)))
        return await self._delivery.post("slack", post, OUTCOMES, timeout_s, _read)


def _read(answer: Answer) -> Said:
    """Read the word that a webhook answers with; the webhooks of workflows put it into JSON."""
    word = words_of(json_in(answer.body), "error") or text_in(answer.body).strip()
    return Said(code=word, text=word)


def message(notice: Notice) -> dict[str, Any]:
    """Return a message of blocks, with a text for where only one line is shown.

    Texts of others are ``plain_text``, in which nothing becomes a mention, a link or an emoji. The screenshot is a
    link: for an image that Slack can't fetch it refuses the whole message.
    """
    blocks = [
        {"type": "header", "text": _plain(fit(headline(notice), MAX_HEADER, MARKS))},
        _section(join_within((f"{label}: {value}" for label, value in shown_facts(notice, 400, MARKS)), MAX_TEXT)),
        _section(join_within(changes(notice, 300, MARKS), MAX_TEXT)),
    ]
    evidence = join_within((fit(line, 200, _CODE_MARKS) for line in notice.evidence), MAX_TEXT - 8)
    if evidence.strip():
        blocks.append({"type": "section", "text": _marked(f"```\n{evidence}\n```")})
    if links := _links(notice):
        blocks.append({"type": "context", "elements": [_marked(links)]})
    return {
        "text": fit(headline(notice), MAX_FALLBACK, MARKS),
        "blocks": [block for block in blocks if block],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _plain(text)} if text.strip() else {}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _marked(text: str) -> dict[str, Any]:
    """Return a text in which only our own markup counts: ``verbatim`` keeps Slack from finding names in it."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _links(notice: Notice) -> str:
    places = [("Open in monitord", notice.link), ("Screenshot", notice.picture.url if notice.picture else "")]
    return " · ".join(f"<{url}|{name}>" for name, raw in places if (url := web_link(raw, 1000, MARKS)))
