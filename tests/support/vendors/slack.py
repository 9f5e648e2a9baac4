"""Incoming webhooks of Slack, as https://docs.slack.dev/reference/block-kit/blocks bounds them."""

import re
from typing import Any

import msgspec
from aiohttp import web

from tests.support.vendors import RefusalError, Seen, Vendor, code_units, demand, only

PATH = "/services/T0AB12CD/B0EF34GH/abcdEFGH1234ijklMNOP5678"


def judge(document: Any) -> None:
    demand(isinstance(document, dict), "invalid_payload")
    only(document, "text", "blocks", "unfurl_links", "unfurl_media")
    demand(document.get("text"), "no_text")
    _escaped(document["text"], 4000, marks=())
    demand(1 <= len(document["blocks"]) <= 50, "invalid_blocks")
    for block in document["blocks"]:
        _block(block)


def _block(block: dict[str, Any]) -> None:
    match block["type"]:
        case "header":
            only(block, "type", "text")
            demand(block["text"]["type"] == "plain_text", "invalid_blocks")
            _text(block["text"], 150)
        case "section":
            only(block, "type", "text")
            _text(block["text"], 3000)
        case "context":
            only(block, "type", "elements")
            demand(1 <= len(block["elements"]) <= 10, "invalid_blocks")
            for element in block["elements"]:
                _text(element, 3000)
        case _:
            raise RefusalError("invalid_blocks")


def _text(text: dict[str, Any], limit: int) -> None:
    if text["type"] == "plain_text":
        only(text, "type", "text", "emoji")
        demand(text["emoji"] is False, "emoji")
        _escaped(text["text"], limit, marks=())
    else:
        only(text, "type", "text", "verbatim")
        demand(text["type"] == "mrkdwn" and text["verbatim"] is True, "invalid_blocks")
        _escaped(text["text"], limit, marks=("Open in monitord", "Screenshot"))
        demand(text["text"].count("`") in (0, 6), "code that ends early")


def _escaped(text: str, limit: int, marks: tuple[str, ...]) -> None:
    demand(text.strip() and code_units(text) <= limit, "invalid_blocks")
    for mark in marks:
        text = re.sub(rf"<https?://[^<>|\s]+\|{mark}>", "", text)
    demand("<" not in text and ">" not in text, "not escaped")
    demand(not re.search(r"&(?!amp;|lt;|gt;)", text), "not escaped")


class Slack(Vendor):
    def answer(self, seen: Seen) -> web.Response:
        if seen.path != PATH:
            return web.Response(status=404, text="no_service")
        try:
            judge(seen.document)
        except (msgspec.DecodeError, KeyError):
            return web.Response(status=400, text="invalid_payload")
        except RefusalError as refusal:
            return web.Response(status=400, text=str(refusal))
        self.taken.append(seen.document)
        return web.Response(text="ok")
