"""A workflow of Microsoft Teams that takes a webhook with an adaptive card of version 1.4."""

import re
from typing import Any

import msgspec
from aiohttp import web

from tests.support.vendors import RefusalError, Seen, Vendor, demand, only

PATH = "/workflows/0123456789abcdef/triggers/manual/paths/invoke"
QUERY = "api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=s3cr3t-signature_AbC%2Bd"


def judge(body: bytes) -> None:
    demand(len(body) <= 28_000, "too large")
    document: Any = msgspec.json.decode(body)
    only(document, "type", "attachments")
    demand(document["type"] == "message" and len(document["attachments"]) == 1, "message")
    attachment = document["attachments"][0]
    only(attachment, "contentType", "contentUrl", "content")
    demand(attachment["contentType"] == "application/vnd.microsoft.card.adaptive", "contentType")
    card = attachment["content"]
    only(card, "$schema", "type", "version", "msteams", "body", "actions")
    demand(card["type"] == "AdaptiveCard" and card["version"] == "1.4" and card["body"], "card")
    for element in card["body"]:
        _element(element)
    for action in card.get("actions", []):
        only(action, "type", "title", "url")
        demand(action["type"] == "Action.OpenUrl" and re.match("https?://", action["url"]), "action")


def _element(element: dict[str, Any]) -> None:
    match element["type"]:
        case "TextBlock":
            only(element, "type", "text", "wrap", "size", "weight", "color", "fontType", "spacing")
            _plain(element["text"])
        case "FactSet":
            only(element, "type", "facts")
            demand(element["facts"], "facts")
            for fact in element["facts"]:
                only(fact, "title", "value")
                _plain(fact["value"])
        case "Image":
            only(element, "type", "url", "altText", "size")
            demand(re.match("https?://", element["url"]), "image")
        case _:
            raise RefusalError(element["type"])


def _plain(text: str) -> None:
    demand(text.strip(), "empty")
    bare = re.sub(r"\\.", "", text)
    demand(not re.search(r"[*_~`|<>\[\]{}#\\]", bare), f"Markdown: {bare}")


class Teams(Vendor):
    def answer(self, seen: Seen) -> web.Response:
        if seen.path != PATH:
            return _error(404, "WorkflowNotFound", "The workflow could not be found.")
        if "s3cr3t-signature" not in seen.query:
            return _error(401, "DirectApiAuthorizationRequired", "The request must be authenticated.")
        try:
            judge(seen.body)
        except (RefusalError, msgspec.DecodeError, KeyError) as refusal:
            return _error(400, "TriggerInputSchemaMismatch", str(refusal))
        self.taken.append(seen.document)
        return web.Response(status=202)


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
