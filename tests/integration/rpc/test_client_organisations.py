"""The client's calls of organisations, accounts and the audit log, against the real server and its stores."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from monitord_client import (
    Client,
    FailedPreconditionError,
    NotFoundError,
    Organisation,
    PermissionDeniedError,
    Scope,
    UnauthenticatedError,
    User,
    http_monitor,
)
from monitord_client.v1.organisation_pb2 import ROLE_EDITOR, ROLE_OWNER, ROLE_VIEWER
from tests.integration.identity.conftest import ADMIN, PASSWORD
from tests.support.rpc_server import Api

BOB = "bob@example.org"


@asynccontextmanager
async def signed_in(api: Api, email: str) -> AsyncIterator[Client]:
    async with Client(f"127.0.0.1:{api.port}") as client:
        await client.login(email, PASSWORD)
        yield client


@pytest.fixture
async def ann(api: Api) -> AsyncIterator[Client]:
    async with signed_in(api, ADMIN) as client:
        yield client


@pytest.fixture
async def bob(api: Api) -> AsyncIterator[Client]:
    async with signed_in(api, BOB) as client:
        yield client


async def test_an_organisation_is_shared_until_a_member_is_removed(api: Api, ann: Client, bob: Client) -> None:
    """T9, T12: what Bob holds there ends with his membership; what is his own stays."""
    shop = await ann.create_organisation("Shop")
    ann.organisation = shop.id
    invitation = await ann.invite_member(BOB, ROLE_VIEWER)
    assert [one.id async for one in ann.list_invitations()] == [invitation.id]
    assert [one.organisation_name async for one in bob.list_own_invitations()] == ["Shop"]
    assert (await bob.accept_invitation(invitation.id)).role == ROLE_VIEWER
    assert [one.display_name async for one in bob.list_organisations()][1:] == ["Shop"]

    bob.organisation = shop.id
    with pytest.raises(PermissionDeniedError):
        await bob.create_monitor(http_monitor("shop", "https://example.org/"))
    user = await bob.get_user()
    assert (await ann.update_member(user.id, ROLE_EDITOR)).email == BOB
    made = await bob.create_monitor(http_monitor("shop", "https://example.org/"))
    assert [monitor.id async for monitor in ann.list_monitors()] == [made.id]
    key = await bob.create_api_key("ci", Scope.Value("SCOPE_READ"), allowed_networks=["127.0.0.0/8"])
    with pytest.raises(FailedPreconditionError):
        await ann.leave_organisation()

    async with (
        Client(f"127.0.0.1:{api.port}", api_key=key.secret, organisation=shop.id) as machine,
        asyncio.timeout(20),
        aclosing(bob.tail()) as rows,
    ):
        assert (await machine.get_monitor(made.id)).name == "shop"
        following = asyncio.ensure_future(anext(rows))
        await api.feed.opened.acquire()
        assert api.feed.asked[0][0] == shop.id
        await ann.remove_member(user.id)
        with pytest.raises(NotFoundError):
            await following  # the stream ended, and its place is refused
        with pytest.raises(NotFoundError):
            await bob.get_monitor(made.id)
        with pytest.raises(UnauthenticatedError):
            await machine.get_monitor(made.id)
    bob.organisation = None
    assert [monitor.id async for monitor in bob.list_monitors()] == []

    told = [(event.action, event.kind) async for event in ann.list_audit_events(kinds=["member", "monitor"])]
    assert told[0] == ("deleted", "member")
    assert [event.user_email async for event in ann.list_audit_events(kinds=["monitor"], by_user=user.id)] == [BOB]


async def test_an_organisation_changes_and_goes(ann: Client) -> None:
    shop = await ann.create_organisation("Shop")
    with pytest.raises(NotFoundError):
        await ann.delete_organisation(shop.id)  # acts in her own
    ann.organisation = shop.id
    wish = Organisation(id=shop.id, allowed_networks=["127.0.0.0/8"], etag=shop.etag)
    changed = await ann.update_organisation(wish, fields=["allowed_networks"])
    assert (changed.display_name, list(changed.allowed_networks)) == ("Shop", ["127.0.0.0/8"])
    assert [(member.email, member.role) async for member in ann.list_members()] == [(ADMIN, ROLE_OWNER)]
    await ann.create_monitor(http_monitor("shop", "https://example.org/"))
    with pytest.raises(FailedPreconditionError):
        await ann.delete_organisation(shop.id)
    await ann.delete_organisation(shop.id, force=True)
    with pytest.raises(NotFoundError):
        await ann.get_organisation()


async def test_invitations_are_taken_back_and_declined(ann: Client, bob: Client) -> None:
    ann.organisation = (await ann.create_organisation("Shop")).id
    first = await ann.invite_member(BOB, ROLE_VIEWER)
    await ann.revoke_invitation(first.id)
    with pytest.raises(NotFoundError):
        await bob.accept_invitation(first.id)
    second = await ann.invite_member(BOB, ROLE_VIEWER)
    await bob.decline_invitation(second.id)
    assert [one async for one in ann.list_invitations()] == []


async def test_an_account_from_its_first_mail_to_a_forgotten_password(api: Api) -> None:
    letters = api.identity.letters
    async with Client(f"127.0.0.1:{api.port}") as client:
        assert await client.register("cy@example.org", "correct horse", "Cy") is None
        assert (await client.verify_email(token=_token(letters[-1].link))).full_name == "Cy"
        assert (await client.update_user(User(phone="+49 30 1"), fields=["phone"])).phone == "+49 30 1"
        (session,) = [one async for one in client.list_sessions()]
        assert session.current
        with pytest.raises(UnauthenticatedError):
            await client.change_password("wrong horse", "battery staple")
        await client.change_password("correct horse", "battery staple")
        (renewed,) = [one async for one in client.list_sessions()]
        assert renewed.id != session.id
        await client.request_password_reset("cy@example.org")
        await client.reset_password("correct horse", token=_token(letters[-1].link))
        with pytest.raises(UnauthenticatedError):
            await client.get_user()
        await client.login("cy@example.org", "correct horse")
        (own,) = [one async for one in client.list_sessions()]
        await client.revoke_session(own.id)
        with pytest.raises(UnauthenticatedError):
            await client.get_user()


def _token(link: str) -> str:
    return link.rpartition("/")[2]
