"""The pages behind the links in mails, over HTTP, with the real stores."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from monitord.alerting.greeter import Greeter
from monitord.domain.contact import Contact, ContactSpec
from monitord.domain.contacts import Channel, EmailContact
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.notice import Notice
from monitord.http_server import HttpServer
from monitord.identity.contact_links import ContactLinks
from monitord.identity.vault import Vault
from monitord.pages.contacts import ContactPages
from monitord.storage.confirmations import ConfirmationStore
from monitord.storage.contacts import ContactStore
from monitord.storage.database import Database
from tests.support.stored import NOON, Clock, organisation


@dataclass
class Site:
    """A listener, the contact whose links lead there, and the mails that it was sent."""

    session: aiohttp.ClientSession
    contacts: ContactStore
    greeter: Greeter
    contact: Contact
    mails: list[Notice]
    clock: Clock

    async def stored(self) -> Contact:
        return await self.contacts.get(self.contact.org_id, self.contact.id)

    async def ask(self) -> Notice:
        assert (await self.greeter.send_confirmation(self.contact.org_id, self.contact.id)).accepted
        return self.mails[-1]

    async def open(self, url: str, method: str = "GET") -> tuple[int, str]:
        async with self.session.request(method, url) as response:
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            return response.status, await response.text()


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    mails: list[Notice] = []

    async def send(channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        mails.append(notice)
        return Attempt(outcome=Outcome.ACCEPTED, code="smtp.250")

    clock, vault, base = Clock(NOON), Vault([bytes(32)]), ["http://unset"]
    contacts = ContactStore(database, vault, clock=clock)
    links = ContactLinks(vault.derive, lambda: base[0])
    confirmations = ConfirmationStore(database, contacts, clock=clock)
    greeter = Greeter(contacts, confirmations, links, {"email": send}, now=clock)
    server = HttpServer("127.0.0.1", 0, purpose="test")
    application = web.Application()
    application.router.add_routes(ContactPages(greeter, links).routes())
    base[0] = f"http://127.0.0.1:{await server.start(application)}"
    spec = ContactSpec(name="ann", channel=EmailContact(address="ann@example.org"))
    contact = await contacts.create(await organisation(database), spec)
    async with aiohttp.ClientSession() as session:
        yield Site(session, contacts, greeter, contact, mails, clock)
    await greeter.close()
    await server.stop()


async def test_a_link_confirms_by_its_button_once(site: Site) -> None:
    """Scanners of mail open links, and press no buttons."""
    link = (await site.ask()).link
    status, page = await site.open(link)
    assert (status, '<form method="post">' in page) == (200, True)
    assert (await site.stored()).verified_at is None
    status, page = await site.open(link, "POST")
    assert (status, "ann@example.org" in page) == (200, True)
    assert (await site.stored()).verified_at == site.clock.now
    assert (await site.open(link, "POST"))[0] == (await site.open(link))[0] == 404


async def test_a_link_expires_and_a_newer_one_replaces_it(site: Site) -> None:
    first = (await site.ask()).link
    site.clock.now += 61 * 1_000_000
    second = (await site.ask()).link
    assert (await site.open(first, "POST"))[0] == 404
    site.clock.now += 24 * 3600 * 1_000_000
    assert (await site.open(second, "POST"))[0] == 404
    assert (await site.stored()).verified_at is None


@pytest.mark.parametrize("token", ["x", "a" * 22, "%00", "..%2f..", "a" * 5000])
async def test_what_is_no_link_is_told_so(site: Site, token: str) -> None:
    base = (await site.ask()).link.rpartition("/contacts/")[0]
    for path in ("confirm", "unsubscribe"):
        assert (await site.open(f"{base}/contacts/{path}/{token}", "POST"))[0] == 404


async def test_one_click_unsubscribes(site: Site) -> None:
    """RFC 8058: a POST without cookies or more questions."""
    asked = await site.ask()
    await site.open(asked.link, "POST")
    assert (await site.open(asked.unsubscribe_url))[0] == 200
    assert (await site.stored()).disabled_reason is None
    async with site.session.post(asked.unsubscribe_url, data={"List-Unsubscribe": "One-Click"}) as response:
        assert response.status == 200
    gone = await site.stored()
    assert (gone.disabled_reason, gone.verified_at) == ("unsubscribed", None)
    forged = asked.unsubscribe_url[:-1] + ("A" if asked.unsubscribe_url[-1] != "A" else "B")
    assert (await site.open(forged, "POST"))[0] == 404


async def test_a_contact_that_is_gone_wants_no_more_either(site: Site) -> None:
    url = (await site.ask()).unsubscribe_url
    await site.contacts.delete(site.contact.org_id, site.contact.id)
    assert (await site.open(url, "POST"))[0] == 200
