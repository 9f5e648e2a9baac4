"""Webhooks of Discord (https://discord.com/developers/docs/resources/message#embed-object-embed-limits)."""

import re
from datetime import datetime
from typing import Any

from aiohttp import web

from tests.support.vendors import RefusalError, Seen, Vendor, code_units, demand, only

PATH = "/api/webhooks/123456789012345678/tokenTOKEN-tokenTOKEN_tokenTOKEN"


def judge(document: Any) -> None:
    only(document, "embeds", "allowed_mentions")
    demand(document["allowed_mentions"] == {"parse": []}, "somebody could be mentioned")
    demand(len(document["embeds"]) == 1, "embeds")
    embed = document["embeds"][0]
    only(embed, "title", "description", "url", "color", "fields", "timestamp", "image")
    total = _text(embed["title"], 256) + code_units(embed["description"])
    demand(code_units(embed["description"]) <= 4096, "description")
    if "```" in embed["description"]:
        demand(embed["description"].count("`") == 6, "code that ends early")
    elif embed["description"]:
        _plain(embed["description"])
    _plain(embed["title"])
    demand(len(embed["fields"]) <= 25, "fields")
    for field in embed["fields"]:
        only(field, "name", "value", "inline")
        total += _text(field["name"], 256) + _text(field["value"], 1024)
        code = re.fullmatch(r"`([^`]+)`", field["value"])
        if code is None:
            _plain(field["value"])
    demand(total <= 6000, "embeds: too long together")
    demand(0 <= embed["color"] <= 0xFFFFFF, "color")
    datetime.fromisoformat(embed["timestamp"])
    for url in (embed.get("url", "https://x"), embed.get("image", {"url": "https://x"})["url"]):
        demand(re.match(r"https?://", url) and len(url) <= 2048, "url")


def _text(text: str, limit: int) -> int:
    demand(text.strip() and code_units(text) <= limit, "text")
    return code_units(text)


def _plain(text: str) -> None:
    """Refuse a sign of Markdown that nothing escapes."""
    bare = re.sub(r"\\.", "", text)
    demand(not re.search(r"[*_~`|<>\[\]@#\\]", bare), f"Markdown: {bare}")


class Discord(Vendor):
    def answer(self, seen: Seen) -> web.Response:
        if seen.path != PATH:
            return web.json_response({"message": "Unknown Webhook", "code": 10015}, status=404)
        try:
            judge(seen.document)
        except (RefusalError, KeyError, ValueError) as refusal:
            errors = {"embeds": str(refusal)}
            return web.json_response({"message": "Invalid Form Body", "code": 50035, "errors": errors}, status=400)
        self.taken.append(seen.document)
        return web.json_response({"id": "1"}) if "wait=true" in seen.query else web.Response(status=204)
