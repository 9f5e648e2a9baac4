"""The conversation with a browser: messages in any pieces, and its end."""

import asyncio
import json
from typing import Any

import pytest

from monitord.evidence.capture import devtools
from monitord.evidence.capture.devtools import BrowserGoneError, DevTools, DevToolsError


class Browser:
    """Both ends of a pipe."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.reader = asyncio.StreamReader()
        self.devtools = DevTools(self.reader, self, lambda *event: self.events.append(event))
        self.task = asyncio.create_task(self.devtools.run())

    def write(self, data: bytes) -> None:
        assert data.endswith(b"\0")
        self.told.append(json.loads(data[:-1]))

    def say(self, **message: Any) -> None:
        self.reader.feed_data(json.dumps(message).encode() + b"\0")


async def test_answers_find_their_questions() -> None:
    browser = Browser()
    first = asyncio.create_task(browser.devtools.call("A.b", x=1))
    second = asyncio.create_task(browser.devtools.call("C.d", "session"))
    await asyncio.sleep(0)
    assert browser.told == [
        {"id": 1, "method": "A.b", "params": {"x": 1}},
        {"id": 2, "method": "C.d", "params": {}, "sessionId": "session"},
    ]
    browser.say(id=2, result={"two": 2}, sessionId="session")
    browser.say(id=99, result={})
    browser.say(method="E.f", params={"y": 1}, sessionId="session")
    browser.say(id=1, error={"code": -32000, "message": "no"})
    assert await second == {"two": 2}
    with pytest.raises(DevToolsError, match="no"):
        await first
    assert browser.events == [("session", "E.f", {"y": 1})]
    browser.task.cancel()


async def test_messages_come_in_any_pieces() -> None:
    browser = Browser()
    call = asyncio.create_task(browser.devtools.call("A.b"))
    await asyncio.sleep(0)
    for byte in json.dumps({"id": 1, "result": {"text": "\u00e4"}}).encode() + b"\0":
        browser.reader.feed_data(bytes([byte]))
        await asyncio.sleep(0)
    assert await call == {"text": "\u00e4"}
    browser.task.cancel()


@pytest.mark.parametrize("last", [b"", b"no json\0", b"[]\0", b"x" * 200])
async def test_whoever_waits_learns_that_it_has_gone(last: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devtools, "MAX_MESSAGE_BYTES", 100)
    browser = Browser()
    call = asyncio.create_task(browser.devtools.call("A.b"))
    await asyncio.sleep(0)
    browser.reader.feed_data(last)
    browser.reader.feed_eof()
    with pytest.raises(BrowserGoneError):
        await call
    with pytest.raises(BrowserGoneError):
        browser.devtools.send("A.b")
    await browser.task
