"""Organisations, accounts and the audit log: the client's calls."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from grpc import StatusCode

from monitord_client import (
    AuditEvent,
    CheckLog,
    Client,
    EtagMismatchError,
    FailedPreconditionError,
    NotFoundError,
    Organisation,
    Role,
    Row,
    Scope,
    UnauthenticatedError,
    UnavailableError,
    User,
    http_monitor,
)
from monitord_client.credentials import MemoryStore
from monitord_client.v1.organisation_pb2 import ROLE_EDITOR, ROLE_OWNER, ROLE_VIEWER
from tests.client.fake_accounts import PROOF
from tests.client.fake_monitord import FakeMonitord, Fault, Plan
from tests.client.test_incidents import beat, incident, said, shown, take

LOST = Fault(StatusCode.UNAVAILABLE, after_acting=True)
MINE = "ada@example.com"
BOB = "bob@example.org"


async def test_every_call_acts_in_the_organisation_that_was_chosen(server: FakeMonitord, client: Client) -> None:
    team = server.found_team("Shop")
    async with Client(server.address, api_key="mk_test_0123456789", organisation=team.id) as there:
        await there.create_monitor(http_monitor("shop", "http://127.0.0.1"))
        assert [monitor.name async for monitor in there.list_monitors()] == ["shop"]
        assert b"".join([chunk async for chunk in there.export_alerts()])
    assert server.acted == [("CreateMonitor", 2), ("ListMonitors", 2), ("ExportAlerts", 2)]
    await client.get_user()
    assert server.acted[-1] == ("GetUser", 1)
    client.organisation = team.id
    await client.get_user()
    assert server.acted[-1] == ("GetUser", 2)
    client.organisation = 99
    with pytest.raises(NotFoundError, match="no organisation 99"):
        await client.get_user()


async def test_a_stream_that_resumes_stays_in_its_organisation(server: FakeMonitord, client: Client) -> None:
    client.organisation = server.found_team("Shop").id
    for sequence in (1, 2):
        await server.store(CheckLog(monitor_id=1, sequence=sequence))
    server.plans.append(Plan(rows=1, breaks=Fault(StatusCode.UNAVAILABLE)))
    rows: list[int] = []
    async with asyncio.timeout(5), aclosing(client.tail(last=2)) as events:
        async for event in events:
            rows += [event.check_log.sequence] if isinstance(event, Row) else []
            if len(rows) == 2:
                break
    assert rows == [1, 2]
    assert server.acted == [("TailCheckLogs", 2)] * 2


async def test_a_watch_that_resumes_stays_in_its_organisation(server: FakeMonitord, client: Client) -> None:
    client.organisation = server.found_team("Shop").id
    server.scripts += [[beat("a"), Fault(StatusCode.UNAVAILABLE)], [said("b", opened=incident(1))]]
    assert shown(await take(client, 3)) == ["Disconnected", "Reconnected", "Opened 1"]
    assert server.acted == [("WatchIncidents", 2)] * 2


@pytest.mark.parametrize("wrong", [0, -1, 2**63])
async def test_what_cannot_be_an_organisation_is_refused(server: FakeMonitord, client: Client, wrong: int) -> None:
    with pytest.raises(ValueError, match="is not the id of an organisation"):
        client.organisation = wrong
    with pytest.raises(ValueError, match="is not the id of an organisation"):
        Client(server.address, organisation=wrong)


async def test_the_life_of_an_organisation(server: FakeMonitord, client: Client) -> None:
    server.faults["CreateOrganisation"].append(LOST)
    made = await client.create_organisation("Shop")
    assert [one.display_name async for one in client.list_organisations()] == ["Ada", "Shop"]
    client.organisation = made.id
    wish = Organisation(display_name="Shop & Co", allowed_networks=["192.0.2.0/24"], etag=made.etag)
    changed = await client.update_organisation(wish, fields=["display_name"])
    assert (changed.display_name, list(changed.allowed_networks)) == ("Shop & Co", [])
    with pytest.raises(EtagMismatchError):
        await client.update_organisation(wish)
    assert (await client.get_organisation()).role == ROLE_OWNER

    await client.create_monitor(http_monitor("shop", "http://127.0.0.1"))
    with pytest.raises(FailedPreconditionError):
        await client.delete_organisation(made.id)
    with pytest.raises(NotFoundError):
        await client.delete_organisation(1, force=True)
    server.faults["DeleteOrganisation"].append(LOST)
    await client.delete_organisation(made.id, force=True)
    assert list(server.teams) == [1]


async def test_members_come_change_and_go(server: FakeMonitord, client: Client) -> None:
    client.organisation = team = server.found_team("Shop").id
    server.join(team, 7, BOB, ROLE_VIEWER)
    assert [member.email async for member in client.list_members()] == [MINE, BOB]
    assert (await client.update_member(7, ROLE_EDITOR)).role == ROLE_EDITOR
    server.faults["RemoveMember"].append(LOST)
    await client.remove_member(7)
    with pytest.raises(NotFoundError):
        await client.remove_member(7)
    with pytest.raises(FailedPreconditionError):
        await client.leave_organisation()
    server.join(team, 7, BOB, ROLE_OWNER)
    server.faults["LeaveOrganisation"].append(LOST)
    await client.leave_organisation()
    assert team not in server.teams


async def test_invitations_are_sent_listed_and_taken_back(server: FakeMonitord, client: Client) -> None:
    client.organisation = server.found_team("Shop").id
    invitation = await client.invite_member(BOB, ROLE_VIEWER)
    assert [one.email async for one in client.list_invitations()] == [BOB]
    server.faults["RevokeInvitation"].append(LOST)
    await client.revoke_invitation(invitation.id)
    with pytest.raises(NotFoundError):
        await client.revoke_invitation(invitation.id)


async def test_own_invitations_are_accepted_or_declined(server: FakeMonitord, client: Client) -> None:
    first, second = (server.ask(number, name, MINE, ROLE_EDITOR, BOB) for number, name in ((8, "Shop"), (9, "Blog")))
    assert [one.organisation_name async for one in client.list_own_invitations()] == ["Shop", "Blog"]
    joined = await client.accept_invitation(first.id)
    assert (joined.id, joined.role) == (8, ROLE_EDITOR)
    server.faults["DeclineInvitation"].append(LOST)
    await client.decline_invitation(second.id)
    with pytest.raises(NotFoundError):
        await client.decline_invitation(second.id)


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("InviteMember", lambda client: client.invite_member(BOB, Role.Value("ROLE_VIEWER"))),
        ("InviteUser", lambda client: client.invite_user(BOB)),
        ("AcceptInvitation", lambda client: client.accept_invitation(1)),
    ],
)
async def test_what_sends_a_mail_or_uses_something_up_is_never_repeated(
    server: FakeMonitord, client: Client, method: str, call: Callable[[Client], Awaitable[object]]
) -> None:
    client.organisation = server.found_team("Shop").id
    server.ask(8, "Blog", MINE, ROLE_VIEWER)
    server.faults[method].append(LOST)
    with pytest.raises(UnavailableError):
        await call(client)
    assert len(server.called(method)) == 1


async def test_whoever_registers_is_signed_in_once_the_address_is_proven(server: FakeMonitord) -> None:
    async with Client(server.address) as client:
        assert await client.register(MINE, "correct horse", "Ada") is None
        with pytest.raises(UnauthenticatedError):
            await client.get_user()
        with pytest.raises(FailedPreconditionError):
            await client.verify_email(email=MINE, code="00000000")
        assert (await client.verify_email(email=MINE, code=PROOF)).email == MINE
        assert (await client.get_user()).email == MINE
    async with Client(server.address) as client:
        invited = await client.register(MINE, "correct horse", invitation_token="t")
        assert invited is not None
        assert (await client.get_user()).id == invited.id


async def test_a_session_goes_on_with_a_new_password(server: FakeMonitord) -> None:
    store = MemoryStore()
    async with Client(server.address, session=store) as client:
        await client.login(MINE, "correct horse")
        with pytest.raises(UnauthenticatedError, match="old password is wrong"):
            await client.change_password("wrong horse", "battery staple")
        assert (len(server.called("ChangePassword")), server.called("Refresh")) == (1, []), "wrong ones are counted"
        await client.change_password("correct horse", "battery staple")
        assert (await client.get_user()).email == MINE
    assert (server.password, len(server.refreshable)) == ("battery staple", 1)


async def test_a_key_leaves_no_session_behind(server: FakeMonitord, client: Client) -> None:
    await client.change_password("correct horse", "battery staple")
    assert (await client.get_user()).email == MINE
    assert server.refreshable == {}


async def test_a_forgotten_password_is_set_anew(server: FakeMonitord) -> None:
    async with Client(server.address) as client:
        await client.request_password_reset(MINE)
        await client.reset_password("battery staple", token=PROOF)
        await client.login(MINE, "battery staple")


async def test_users_sessions_and_keys(server: FakeMonitord, client: Client) -> None:
    wish = User(full_name="Ada L.", phone="+44 1")
    assert (await client.update_user(wish, fields=["phone"])).full_name == "Ada"
    assert server.user.phone == "+44 1"
    sessions = [server.begin_session(), server.begin_session()]
    assert [one.id async for one in client.list_sessions()] == [one.id for one in reversed(sessions)]
    server.faults["RevokeSession"].append(LOST)
    await client.revoke_session(sessions[0].id)
    assert server.sessions == [sessions[1]]
    networks = ["192.0.2.0/24"]
    made = await client.create_api_key(
        "ci", Scope.Value("SCOPE_READ"), labels={"team": "web"}, allowed_networks=networks
    )
    assert (dict(made.api_key.labels), list(made.api_key.allowed_networks)) == ({"team": "web"}, networks)


async def test_the_audit_log_is_read_page_by_page(server: FakeMonitord, client: Client) -> None:
    server.page_size = 2
    for number in range(5):
        event = AuditEvent(id=number, user_id=1 + number % 2, kind="monitor", thing=str(number))
        event.time.FromSeconds(1_700_000_000 + number)
        server.events.append(event)
    assert [event.id async for event in client.list_audit_events()] == [4, 3, 2, 1, 0]
    assert [event.id async for event in client.list_audit_events(by_user=1, kinds=["monitor"])] == [4, 2, 0]
    since = datetime.fromtimestamp(1_700_000_003, UTC)
    assert [event.id async for event in client.list_audit_events(start=since)] == [4, 3]
    assert [event.id async for event in client.list_audit_events(end=since, thing="1")] == [1]
