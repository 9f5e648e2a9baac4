"""Pushover's API for messages (https://pushover.net/api), as the library apprise speaks to it."""

import json
import re
from urllib.parse import parse_qs

from aiohttp import web

from tests.support.vendors import RefusalError, Seen, Vendor, code_units, demand

TOKEN = "azGDORePK8gMaC0QOYAMyEEuzJnyUi"
USER = "uQiRzpo4DXghDmr9QzzfQu27cmVRsG"
PATH = "/1/messages.json"


class Pushover(Vendor):
    def answer(self, seen: Seen) -> web.Response:
        fields = _fields(seen)
        try:
            demand(seen.path == PATH, "no such place")
            demand(fields.get("token") == TOKEN, "application token is invalid")
            demand(fields.get("user") == USER, "user identifier is not a valid user, group, or subscribed user key")
            demand(re.search(r"\S", fields.get("message", "")), "message cannot be blank")
            demand(code_units(fields["message"]) <= 1024, "message is too long")
            demand(code_units(fields.get("title", "")) <= 250, "title is too long")
        except RefusalError as refusal:
            return web.json_response({"status": 0, "errors": [str(refusal)]}, status=400)
        self.taken.append(fields)
        return web.json_response({"status": 1, "request": "647d2300-702c-4b38-8b2f-d56326ae460b"})


def _fields(seen: Seen) -> dict[str, str]:
    if seen.headers.get("Content-Type", "").startswith("application/json"):
        return {name: str(value) for name, value in json.loads(seen.body).items()}
    return {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
