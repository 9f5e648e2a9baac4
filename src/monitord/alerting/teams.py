"""A channel or chat of Microsoft Teams, by a workflow with the trigger "When a Teams webhook request is received".

That it was accepted says that the workflow was started; nothing tells whether it could post the card.

https://support.microsoft.com/office/create-incoming-webhooks-with-workflows-for-microsoft-teams-8ae491c7-0394-4861-ba59-055e33f75498
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from monitord.alerting.http_delivery import HttpDelivery, Post
from monitord.alerting.markup import changes, coloured, fit, shown_facts, shrink, web_link
from monitord.alerting.outcomes import HTTP, Answer, Outcomes, Said, gone, json_in, permanent, retry, text_in, words_of
from monitord.domain.contacts import Channel, TeamsContact
from monitord.domain.delivery import Attempt
from monitord.domain.notice import Notice
from monitord.domain.wording import headline

OUTCOMES: Outcomes = {
    **HTTP,
    # The codes of workflows (https://learn.microsoft.com/azure/logic-apps/logic-apps-http-endpoint) come in
    # {"error": {"code": ...}}.
    "TriggerInputSchemaMismatch": permanent("the workflow expects something else than a card"),
    "InvalidRequestContent": permanent("the workflow does not understand the message"),
    "WorkflowTriggerIsNotEnabled": permanent("the workflow is switched off"),
    "WorkflowNotFound": gone("the workflow does not exist any more"),
    "WorkflowTriggerNotFound": gone("the workflow has no such trigger any more"),
    "WorkflowVersionNotFound": gone("the workflow does not exist any more"),
    "DirectApiAuthorizationRequired": gone("the workflow's URL is not, or no longer, right"),
    "DirectApiInvalidAuthorizationScheme": gone("the workflow's URL is not, or no longer, right"),
    "AuthorizationFailed": permanent("the workflow refuses this sender"),
    "NoResponse": retry(),
    401: gone("the workflow's URL is not, or no longer, right"),
    403: permanent("the workflow refuses this sender"),
    410: gone("the workflow is gone for good"),
}

MARKS = {char: f"\\{char}" for char in "\\`*_{}[]()<>#+-!|~"}
"""Markdown and functions such as ``{{DATE()}}`` (https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features)."""

MAX_BYTES = 20_000
"""Teams takes about 28 KB (https://learn.microsoft.com/connectors/teams#known-issues-and-limitations-with-actions),
counted after the workflow has put the card into a message of its own."""


class TeamsSender:
    """Posts notices to workflows of Microsoft Teams."""

    def __init__(self, delivery: HttpDelivery) -> None:
        """Take what posts."""
        self._delivery = delivery

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        """Try once; see ``dispatcher.Send``."""
        assert isinstance(channel, TeamsContact)
        post = Post(url=channel.webhook_url.value, body=message(notice))
        return await self._delivery.post("teams", post, OUTCOMES, timeout_s, _read)


def _read(answer: Answer) -> Said:
    error = json_in(answer.body).get("error")
    if not isinstance(error, dict):
        return Said(text=text_in(answer.body))
    return Said(code=words_of(error, "code"), text=words_of(error, "message"))


def message(notice: Notice) -> bytes:
    """Return a message with one adaptive card, as JSON; of a long one the last lines are left out."""
    lines = [*changes(notice, 300, MARKS), *(fit(line, 200, MARKS) for line in notice.evidence)]
    return shrink([line for line in lines if line.strip()], lambda few: _message(notice, few), MAX_BYTES)


def _message(notice: Notice, lines: Sequence[str]) -> bytes:
    facts = [{"title": label, "value": value} for label, value in shown_facts(notice, 400, MARKS)]
    title = {"size": "Large", "weight": "Bolder"}
    colour = coloured(notice, bad="Attention", warning="Warning", good="Good")
    body: list[dict[str, Any]] = [_text(fit(headline(notice), 400, MARKS), color=colour, **title)]
    if facts:
        body.append({"type": "FactSet", "facts": facts})
    if notice.picture is not None and (picture := web_link(notice.picture.url, 1000)):
        body.append({"type": "Image", "url": picture, "altText": "Screenshot", "size": "Stretch"})
    body += [_text(line, size="Small", fontType="Monospace", spacing="None") for line in lines]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    if link := web_link(notice.link, 1000):
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open in monitord", "url": link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return msgspec.json.encode({"type": "message", "attachments": [attachment]})


def _text(text: str, **how: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True, **how}
