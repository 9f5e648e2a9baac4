"""The webhook: what is posted, who can tell that it is ours, and what the user may not set."""

import hashlib
import hmac
import re
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web

from monitord.alerting import webhook
from monitord.alerting.http_delivery import HttpDelivery
from monitord.alerting.webhook import WebhookSender, document
from monitord.domain.contacts import WebhookContact
from monitord.domain.delivery import Outcome
from monitord.domain.instant import SECOND
from monitord.domain.notice import NoticeKind, Picture
from monitord.domain.secrets import Header, Secret
from tests.support.notices import AT, DIGEST, DOWN
from tests.support.vendors import Canned, Seen, Vendor, serving


class Receiver(Vendor):
    """Takes what is signed with its key, once, as the documentation of the webhook tells it to."""

    key = "whsec-of-the-receiver"

    def __init__(self) -> None:
        super().__init__()
        self.known: set[str] = set()

    def answer(self, seen: Seen) -> web.Response:
        parts = dict(part.split("=") for part in seen.headers["X-Monitord-Signature"].split(","))
        wanted = hmac.new(self.key.encode(), parts["t"].encode() + b"." + seen.body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, parts["v1"]):
            return web.Response(status=401, text=f"not signed with {self.key}")
        if (name := seen.headers["X-Monitord-Delivery"]) not in self.known:
            self.known.add(name)
            self.taken.append(seen.document)
        return web.Response(status=202)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with serving(service := Receiver()):
        yield service


def test_the_document_of_an_outage() -> None:
    assert document(DOWN) == {
        "version": 1,
        "id": "alert-1",
        "thread": "incident-1",
        "event": "down",
        "test": False,
        "at": "2026-11-27T19:05:35.000Z",
        "summary": "[DOWN] Shop - the server answered 503",
        "contact": "On call",
        "monitor": {"id": "7", "name": "Shop", "type": "http", "target": "https://shop.example/"},
        "status": "down",
        "since": "2026-11-27T19:05:35.000Z",
        "duration_s": None,
        "category": "http.status",
        "message": "the server answered 503",
        "status_code": 503,
        "response_ms": 123.4,
        "phases": [{"name": "dns", "ms": 1.25}, {"name": "ttfb", "ms": 120.0}],
        "expires_at": None,
        "evidence": ["0 ms  dns: 192.0.2.1", "HTTP/1.1 503 Service Unavailable", "<h1>sorry</h1>"],
        "screenshot_url": "https://shots.example/1.png",
        "link": "https://monitord.example/monitors/7?a=1&b=2",
        "lines": [],
        "more_lines": 0,
    }


def test_the_document_of_a_digest() -> None:
    shown = document(DIGEST)
    assert (shown["event"], shown["monitor"], shown["since"], shown["more_lines"]) == ("digest", None, None, 3)
    assert shown["lines"][1] == {
        "monitor": {"id": "8", "name": "Mail", "type": "tcp", "target": "mail:25"},
        "status": "up",
        "at": "2026-11-27T19:05:35.000Z",
        "message": "",
    }


def test_a_test_says_so_and_a_certificate_when_it_ends() -> None:
    assert document(msgspec.structs.replace(DOWN, kind=NoticeKind.TEST))["test"] is True
    shown = document(msgspec.structs.replace(DOWN, kind=NoticeKind.CERTIFICATE, expires_at=AT + SECOND, picture=None))
    assert (shown["expires_at"], shown["screenshot_url"]) == ("2026-11-27T19:05:36.000Z", None)
    assert document(msgspec.structs.replace(DOWN, picture=Picture(url="javascript:x")))["screenshot_url"] is None


def test_every_field_is_documented() -> None:
    documented = re.findall(r"^([a-z_]+) +(?:string|integer|number|boolean|object|array)", webhook.__doc__ or "", re.M)
    assert documented == list(document(DOWN))
    for kind in NoticeKind:
        assert re.search(rf"\b{kind.value}\b", webhook.__doc__ or "")


async def test_a_receiver_can_tell_who_sent_it(delivery: HttpDelivery, receiver: Receiver) -> None:
    contact = WebhookContact(url=f"{receiver.base}/alerts", signing_key=Secret(Receiver.key))
    assert (await WebhookSender(delivery).send(contact, DOWN, 20.0)).accepted
    assert receiver.taken == [document(DOWN)]
    headers = receiver.seen[0].headers
    assert headers["X-Monitord-Signature"].startswith(f"t={AT // SECOND},v1=")
    assert headers["Idempotency-Key"] == headers["X-Monitord-Delivery"] == DOWN.key


async def test_a_wrong_key_is_tried_again_and_not_told(delivery: HttpDelivery, receiver: Receiver) -> None:
    contact = WebhookContact(url=receiver.base, signing_key=Secret("another-key"))
    attempt = await WebhookSender(delivery).send(contact, DOWN, 20.0)
    assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "http.401")


async def test_what_is_sent_twice_can_be_taken_once(delivery: HttpDelivery, receiver: Receiver) -> None:
    contact = WebhookContact(url=receiver.base, signing_key=Secret(Receiver.key))
    for _ in range(2):
        assert (await WebhookSender(delivery).send(contact, DOWN, 20.0)).accepted
    assert len(receiver.taken) == 1


async def test_headers_of_the_user(delivery: HttpDelivery, receiver: Receiver) -> None:
    headers = (
        Header("Authorization", "Bearer let-me-in-please", secret=True),
        Header("X-Team", "blue"),
        Header("host", "evil.example"),
        Header("Content-Length", "0"),
        Header("X-Monitord-Signature", "t=0,v1=forged"),
        Header("idempotency-key", "forged"),
        Header("Transfer-Encoding", "chunked"),
    )
    receiver.canned.append(Canned(status=400, body=b"Bearer let-me-in-please is not let-me-in-please"))
    attempt = await WebhookSender(delivery).send(WebhookContact(url=receiver.base, headers=headers), DOWN, 20.0)
    assert attempt.detail == "HTTP 400: *** is not ***"
    sent = receiver.seen[0].headers
    assert (sent["Authorization"], sent["X-Team"]) == ("Bearer let-me-in-please", "blue")
    assert sent["Host"] == receiver.base.removeprefix("http://")
    assert sent["Idempotency-Key"] == DOWN.key
    assert "X-Monitord-Signature" not in sent
    assert "Transfer-Encoding" not in sent
    assert receiver.seen[0].document == document(DOWN)
