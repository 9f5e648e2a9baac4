"""A monitord that tells of a target by mail, seen from outside: through its API, and from where its mails arrive."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import aiohttp
import grpc

from monitord.v1 import (
    alert_pb2,
    alert_service_pb2,
    alert_service_pb2_grpc,
    contact_pb2,
    contact_service_pb2,
    contact_service_pb2_grpc,
)
from monitord_client import Client, http_monitor
from tests.e2e.conftest import FAST
from tests.e2e.target import Target
from tests.e2e.watching import UP, becomes
from tests.support.process import Monitord, until
from tests.support.smtp_server import MailSink

MOMENTS = ("connect", "MAIL", "RCPT", "DATA", ".", "answer")
"""Of a delivery, as ``MailSink.moment`` tells them; from the fifth on the message is there."""

_LINK = re.compile(r"http://\S+/contacts/confirm/\S+")


def settings(database_url: str, sink: MailSink) -> dict[str, str]:
    return {
        **FAST,
        "MONITORD_SCREENSHOTS": "false",  # alerts would wait for them
        "MONITORD_DATABASE_URL": database_url,
        "MONITORD_SMTP_EMAIL": "monitord@example.org",
        "MONITORD_SMTP_HOST": "127.0.0.1",
        "MONITORD_SMTP_PORT": str(sink.port),
        "MONITORD_SMTP_SECURITY": "none",
    }


@dataclass(frozen=True)
class Watched:
    """A monitor of a path, and the contact that is told of it alone."""

    path: str
    monitor_id: int
    contact_id: int
    address: str


class Trap:
    """Kills a process when a moment of a delivery comes."""

    def __init__(self, sink: MailSink) -> None:
        self.fired = 0
        self._process: Monitord | None = None
        self._moment = ""
        sink.moment = self._look

    def arm(self, process: Monitord, moment: str) -> None:
        self._process, self._moment = process, moment

    def _look(self, moment: str) -> bool:
        if self._process is None or moment != self._moment:
            return False
        self._process.process.kill()
        self._process = None
        self.fired += 1
        return True


class Post:
    """The API of contacts and alerts."""

    def __init__(self, process: Monitord) -> None:
        self._channel = grpc.aio.insecure_channel(process.address)
        self._metadata = (("authorization", f"Bearer {process.key}"),)
        self._contacts: Any = contact_service_pb2_grpc.ContactServiceStub(self._channel)
        self._alerts: Any = alert_service_pb2_grpc.AlertServiceStub(self._channel)

    async def __aenter__(self) -> "Post":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def contact(self, name: str, sink: MailSink) -> int:
        """Make a contact, and confirm it as its owner does: by the button behind the link in the mail."""
        address = f"{name}@example.org"
        made = contact_pb2.Contact(name=name, email=contact_pb2.EmailContact(address=address))
        request = contact_service_pb2.CreateContactRequest(contact=made)
        contact_id: int = (await self._contacts.CreateContact(request, metadata=self._metadata)).contact.id

        async def asked() -> list[EmailMessage]:
            return mails(sink, address)

        (mail,) = await until(asked, f"the mail that asks {address}")
        body = mail.get_body(("plain",))
        assert body is not None
        link = _LINK.search(body.get_content())
        assert link is not None
        async with aiohttp.ClientSession() as session, session.post(link[0]) as answer:
            assert answer.status == 200
        return contact_id

    async def tell(self, contact_id: int, monitor_id: int) -> None:
        config = contact_pb2.AlertConfig(monitor_id=monitor_id, contact_id=contact_id)
        await self._contacts.SetAlertConfig(
            contact_service_pb2.SetAlertConfigRequest(config=config), metadata=self._metadata
        )

    async def alerts(self, contact_id: int) -> list[alert_pb2.Alert]:
        """Return a contact's alerts, oldest first, each with its attempts."""
        wish = alert_service_pb2.AlertFilter(contact_id=contact_id)
        request = alert_service_pb2.ListAlertsRequest(filter=wish, page_size=1000)
        listed = (await self._alerts.ListAlerts(request, metadata=self._metadata)).alerts
        return [await self._alert(each.id) for each in reversed(listed)]

    async def _alert(self, alert_id: int) -> alert_pb2.Alert:
        request = alert_service_pb2.GetAlertRequest(id=alert_id)
        alert: alert_pb2.Alert = (await self._alerts.GetAlert(request, metadata=self._metadata)).alert
        return alert

    async def settled(self, contact_id: int, count: int, *, within_s: float = 30.0) -> list[alert_pb2.Alert]:
        """Return a contact's alerts once there are so many, and all are sent."""

        async def look() -> list[alert_pb2.Alert] | None:
            found = await self.alerts(contact_id)
            done = [each for each in found if each.state == alert_pb2.ALERT_STATE_SENT]
            return found if len(found) == len(done) >= count else None

        if not count:
            return []
        return await until(look, f"{count} alerts that are sent to contact {contact_id}", within_s=within_s) or []


async def watch(client: Client, post: Post, sink: MailSink, up: Target, names: Sequence[str]) -> list[Watched]:
    """Make a monitor and a contact for each name; return them once all are up."""
    made = []
    for name in names:
        monitor = http_monitor(name, up.url(f"/{name}"), interval=1)
        monitor.failure_threshold = 1
        stored = await client.create_monitor(monitor)
        contact_id = await post.contact(name, sink)
        await post.tell(contact_id, stored.id)
        made.append(Watched(f"/{name}", stored.id, contact_id, f"{name}@example.org"))
    for each in made:
        await becomes(client, each.monitor_id, UP)
    return made


def mails(sink: MailSink, address: str) -> list[EmailMessage]:
    """Return what came for an address, whole, in order."""
    mine = [mail.content for mail in sink.mails if mail.recipient == address]
    return [BytesParser(EmailMessage, policy=policy.default).parsebytes(content) for content in mine]


def alert_mails(sink: MailSink, address: str) -> list[EmailMessage]:
    """Return the mails about alerts alone: not the first, which asks."""
    return mails(sink, address)[1:]
