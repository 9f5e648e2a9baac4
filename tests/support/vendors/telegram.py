"""Telegram's Bot API: ``sendMessage`` with HTML, as https://core.telegram.org/bots/api bounds it."""

from html.parser import HTMLParser
from typing import Any

from aiohttp import web

from tests.support.vendors import RefusalError, Seen, Vendor, code_units, demand, only

TOKEN = "1234567:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
_TAGS = {"b", "code", "pre", "a"}


class _Html(HTMLParser):
    """Telegram's subset: known tags, each closed in its order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.shown = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        demand(tag in _TAGS, f'Bad Request: can\'t parse entities: unsupported start tag "{tag}"')
        demand(not attrs or (tag == "a" and [name for name, _ in attrs] == ["href"]), "attributes")
        demand(tag != "a" or str(attrs[0][1]).startswith("http"), "href")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        demand(self.open and self.open.pop() == tag, f'Bad Request: can\'t parse entities: unmatched end tag "{tag}"')

    def handle_data(self, data: str) -> None:
        demand("<" not in data and ">" not in data and "&" not in data, "Bad Request: can't parse entities")
        in_code = {"code", "pre"} & set(self.open)
        demand(in_code or not any(part[:1].isalpha() for part in data.split("@")[1:]), "somebody is mentioned")
        self.shown += data

    def handle_entityref(self, name: str) -> None:
        demand(name in {"lt", "gt", "amp", "quot"}, f"Bad Request: can't parse entities: {name}")
        self.shown += "x"


def judge(text: str) -> None:
    html = _Html()
    html.feed(text)
    html.close()
    demand(not html.open, "Bad Request: can't parse entities: can't find end tag")
    demand(html.shown.strip(), "Bad Request: message text is empty")
    demand(code_units(text) <= 4096, "Bad Request: message is too long")


class Telegram(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.chats = {"-100200300": {5}, "@status": set[int]()}

    def answer(self, seen: Seen) -> web.Response:
        if seen.path != f"/bot{TOKEN}/sendMessage":
            return _error(401, "Unauthorized")
        document: Any = seen.document
        try:
            only(document, "chat_id", "text", "parse_mode", "link_preview_options", "message_thread_id")
            demand(document["chat_id"] in self.chats, "Bad Request: chat not found")
            thread = document.get("message_thread_id")
            topics = self.chats[document["chat_id"]]
            demand(thread is None or thread in topics, "Bad Request: message thread not found")
            demand(document["parse_mode"] == "HTML", "parse_mode")
            demand(document["link_preview_options"] == {"is_disabled": True}, "link preview")
            judge(document["text"])
        except RefusalError as refusal:
            return _error(400, str(refusal))
        self.taken.append(document)
        return web.json_response({"ok": True, "result": {"message_id": 1}})


def _error(status: int, description: str, **parameters: int) -> web.Response:
    body = {"ok": False, "error_code": status, "description": description}
    return web.json_response({**body, "parameters": parameters} if parameters else body, status=status)
