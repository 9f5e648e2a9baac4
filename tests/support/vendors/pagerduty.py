"""PagerDuty's Events API v2, as https://developer.pagerduty.com/docs/send-alert-event bounds it."""

import re
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from tests.support.vendors import RefusalError, Seen, Vendor, code_units, demand, only

KEY = "0123456789abcdef0123456789abcdef"


def judge(body: bytes) -> None:
    demand(len(body) <= 512 * 1024, "the event is too large")
    event: Any = msgspec.json.decode(body)
    demand(re.fullmatch("[0-9a-zA-Z]{32}", event["routing_key"]), "Length of 'routing_key' is incorrect")
    demand(1 <= len(event["dedup_key"]) <= 255, "'dedup_key' is incorrect")
    if event["event_action"] in ("resolve", "acknowledge"):
        only(event, "routing_key", "event_action", "dedup_key")
        return
    demand(event["event_action"] == "trigger", "'event_action' is incorrect")
    only(event, "routing_key", "event_action", "dedup_key", "client", "client_url", "links", "images", "payload")
    payload = event["payload"]
    only(payload, "summary", "source", "severity", "timestamp", "component", "class", "custom_details")
    demand(payload["summary"].strip() and code_units(payload["summary"]) <= 1024, "'payload.summary' is incorrect")
    demand(payload["source"].strip(), "'payload.source' is missing or blank")
    demand(payload["severity"] in ("info", "warning", "error", "critical"), "'payload.severity' is incorrect")
    datetime.fromisoformat(payload["timestamp"])
    for image in event.get("images", []):
        demand(image["src"].startswith("https://"), "'images.src' is incorrect")
    for link in event.get("links", []):
        demand(re.match("https?://", link["href"]), "'links.href' is incorrect")


class PagerDuty(Vendor):
    """Knows which alerts are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: set[str] = set()
        self.opened: list[str] = []

    def answer(self, seen: Seen) -> web.Response:
        if seen.path != "/v2/enqueue":
            return web.Response(status=404)
        try:
            judge(seen.body)
        except (RefusalError, msgspec.DecodeError, KeyError, ValueError) as refusal:
            errors = {"status": "invalid event", "message": "Event object is invalid", "errors": [str(refusal)]}
            return web.json_response(errors, status=400)
        event = seen.document
        self.taken.append(event)
        if event["event_action"] == "resolve":
            self.open.discard(event["dedup_key"])
        elif event["dedup_key"] not in self.open:
            self.open.add(event["dedup_key"])
            self.opened.append(event["dedup_key"])
        answer = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
        return web.json_response(answer, status=202)
