"""The pages behind the links in mails about accounts, over HTTP, with the real stores."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from monitord.domain.account import RegistrationMode
from monitord.http_server import HttpServer
from monitord.identity.registration import Registration
from monitord.pages.accounts import AccountPages
from monitord.storage.database import Database
from tests.integration.identity.conftest import PASSWORD, Identity

EMAIL = "ann@example.org"


@dataclass
class Site:
    """A listener, and the identity behind it."""

    session: aiohttp.ClientSession
    identity: Identity
    registration: Registration
    base: str

    async def letter(self) -> str:
        """Return the path of the last mail's link."""
        return self.identity.letters[-1].link.removeprefix("http://public.test")

    async def open(self, path: str, method: str = "GET", **form: str) -> tuple[int, str]:
        async with self.session.request(method, self.base + path, data=form or None) as response:
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            return response.status, await response.text()


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    identity = Identity(database)
    registration = identity.registering(RegistrationMode.OPEN)
    application = web.Application()
    application.router.add_routes(AccountPages(registration).routes())
    server = HttpServer("127.0.0.1", 0, purpose="test")
    base = f"http://127.0.0.1:{await server.start(application)}"
    async with aiohttp.ClientSession() as session:
        yield Site(session, identity, registration, base)
    await server.stop()
    identity.hasher.close()


async def test_from_the_mail_to_the_account_and_to_a_new_password(site: Site) -> None:
    await site.registration.register(EMAIL, PASSWORD, "Ann", "192.0.2.1")
    path = await site.letter()
    assert "<form" in (await site.open(path))[1]
    assert (await site.open(path, "POST"))[0] == 200
    assert (await site.open(path, "POST"))[0] == 404
    assert (await site.identity.sessions.login(EMAIL, PASSWORD, "192.0.2.1")).user.email == EMAIL
    await site.registration.request_reset(EMAIL, "192.0.2.1")
    path = await site.letter()
    status, page = await site.open(path, "POST", password="short")
    assert (status, "Must be at least 8 characters long." in page) == (422, True)
    assert (await site.open(path, "POST", password="a much longer one"))[0] == 200
    assert await site.identity.sessions.login(EMAIL, "a much longer one", "192.0.2.1")


async def test_an_invitation_has_a_form_that_says_what_is_wrong(site: Site) -> None:
    admin = await site.identity.admin()
    await site.registration.invite(admin, EMAIL)
    path = await site.letter()
    status, page = await site.open(path, "POST", email=EMAIL, full_name="<b>Ann</b>", password="x")
    assert (status, "<b>Ann" in page) == (422, False)
    assert (await site.open(path, "POST", email=EMAIL, full_name="Ann", password=PASSWORD))[0] == 200
    assert (await site.identity.sessions.login(EMAIL, PASSWORD, "192.0.2.1")).user.full_name == "Ann"


@pytest.mark.parametrize("path", ["verify-email", "reset-password", "register"])
async def test_what_is_no_link_is_told_so(site: Site, path: str) -> None:
    for token in ("x", "a" * 22, "a" * 3000):
        status, _ = await site.open(f"/accounts/{path}/{token}", "POST", email=EMAIL, password=PASSWORD, full_name="A")
        assert status == 404
