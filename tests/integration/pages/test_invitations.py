"""The page behind an invitation, over HTTP, with the real stores."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from monitord.domain.account import RegistrationMode
from monitord.domain.organisation import Role
from monitord.http_server import HttpServer
from monitord.identity.principal import Principal
from monitord.pages.invitations import InvitationPages
from monitord.storage.database import Database
from tests.integration.identity.conftest import PASSWORD, Identity
from tests.integration.pages.test_accounts import Site

EMAIL = "new@example.org"


class Invited:
    """A site, and somebody who invites."""

    def __init__(self, site: Site, owner: Principal) -> None:
        self.site, self.owner = site, owner

    async def path(self, email: str, role: Role = Role.EDITOR) -> str:
        await self.site.identity.invitations.invite(self.owner, email, role)
        return await self.site.letter()

    async def members(self) -> dict[str, Role]:
        found = await self.site.identity.organisations.members(self.owner)
        return {member.email: member.role for member in found}


@pytest.fixture(params=[RegistrationMode.INVITATION])
async def invited(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Invited]:
    identity = Identity(database)
    registration = identity.registering(request.param)
    application = web.Application()
    application.router.add_routes(InvitationPages(identity.invitations, registration).routes())
    server = HttpServer("127.0.0.1", 0, purpose="test")
    base = f"http://127.0.0.1:{await server.start(application)}"
    owner = await identity.add_user("owner@example.org")
    made = await identity.organisations.create(owner, "Shop <b>& Co</b>")
    owner = Principal(owner.user_id, made.id, owner.scope, owner.credential)
    async with aiohttp.ClientSession() as session:
        yield Invited(Site(session, identity, registration, base), owner)
    await server.stop()
    identity.hasher.close()


async def test_whoever_has_an_account_joins_with_one_click(invited: Invited) -> None:
    await invited.site.identity.add_user("bob@example.org")
    path = await invited.path("bob@example.org")
    status, page = await invited.site.open(path)
    assert status == 200
    assert "<b>" not in page.partition("<body")[2], "a name is text (T6)"
    assert "password" not in page
    assert "bob@example.org" not in await invited.members(), "looking joins nobody: scanners of mail open links"

    assert (await invited.site.open(path, "POST"))[0] == 200
    assert (await invited.members())["bob@example.org"] is Role.EDITOR
    assert (await invited.site.open(path, "POST"))[0] == 404


async def test_whoever_has_none_makes_one_and_is_in(invited: Invited) -> None:
    path = await invited.path(EMAIL)
    status, page = await invited.site.open(path)
    assert (status, "password" in page) == (200, True)
    status, page = await invited.site.open(path, "POST", full_name="New", password="short")
    assert status == 422
    assert "8" in page

    assert (await invited.site.open(path, "POST", full_name="New", password=PASSWORD))[0] == 200
    assert (await invited.members())[EMAIL] is Role.EDITOR
    signed_in = await invited.site.identity.sessions.login(EMAIL, PASSWORD, "192.0.2.1")
    assert signed_in.user.org_id != invited.owner.org_id, "they have one of their own as well"


@pytest.mark.parametrize("invited", [RegistrationMode.OFF], indirect=True)
async def test_where_registration_is_off_it_says_so(invited: Invited) -> None:
    path = await invited.path(EMAIL)
    status, page = await invited.site.open(path, "POST", full_name="New", password=PASSWORD)
    assert (status, "Registration is off" in page) == (409, True)


async def test_a_link_that_is_none_leads_nowhere(invited: Invited) -> None:
    path = await invited.path(EMAIL)
    for wrong in (path[:-1], path[:-1] + ("A" if path[-1] != "A" else "B"), "/invitations/x"):
        assert (await invited.site.open(wrong))[0] == 404
        assert (await invited.site.open(wrong, "POST"))[0] == 404


async def test_a_later_invitation_makes_the_earlier_link_worthless(invited: Invited) -> None:
    first = await invited.path(EMAIL, Role.ADMIN)
    second = await invited.path(EMAIL, Role.VIEWER)
    assert (await invited.site.open(first))[0] == 404
    assert (await invited.site.open(second, "POST", full_name="New", password=PASSWORD))[0] == 200
    assert (await invited.members())[EMAIL] is Role.VIEWER
