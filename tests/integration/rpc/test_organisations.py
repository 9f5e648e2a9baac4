"""Organisations through the API: who sees and does what in them, and what ends with a membership."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from monitord.v1 import (
    auth_pb2,
    auth_service_pb2,
    check_log_service_pb2,
    contact_pb2,
    contact_service_pb2,
    heartbeat_check_pb2,
    incident_service_pb2,
    monitor_pb2,
    monitor_service_pb2,
)
from monitord.v1 import organisation_pb2 as org
from monitord.v1 import organisation_service_pb2 as pb
from tests.integration.identity.conftest import ADMIN, PASSWORD
from tests.support.rpc_server import Api, refusal

BOB = "bob@example.org"
Metadata = tuple[tuple[str, str], ...]


class Team:
    """An organisation of Ann's, and how she and others call in it."""

    def __init__(self, api: Api, id_: int, ann: Metadata) -> None:
        self.api, self.id, self.ann_alone = api, id_, ann
        self.ann, self.bob = self.of(ann), self.of(api.bob.metadata)

    def of(self, metadata: Metadata) -> Metadata:
        return (*metadata, ("x-monitord-organisation", str(self.id)))

    async def invite(self, role: Any, email: str = BOB) -> org.Invitation:
        request = pb.InviteMemberRequest(email=email, role=role)
        return (await self.api.organisations.InviteMember(request, metadata=self.ann)).invitation

    async def let_in(self, role: Any) -> None:
        invitation = await self.invite(role)
        request = pb.AcceptInvitationRequest(id=invitation.id)
        await self.api.organisations.AcceptInvitation(request, metadata=self.api.bob.metadata)

    async def monitor(self, metadata: Metadata, **fields: Any) -> monitor_pb2.Monitor:
        wish = {"name": "shop", "http": {"url": "https://example.org/"}} | fields
        request = monitor_service_pb2.CreateMonitorRequest(monitor=monitor_pb2.Monitor(**wish))
        return (await self.api.monitors.CreateMonitor(request, metadata=metadata)).monitor

    async def monitors(self, metadata: Metadata) -> list[str]:
        listed = await self.api.monitors.ListMonitors(monitor_service_pb2.ListMonitorsRequest(), metadata=metadata)
        return [monitor.name for monitor in listed.monitors]

    async def key(self, metadata: Metadata, scope: Any = auth_pb2.SCOPE_ADMIN) -> Metadata:
        request = auth_service_pb2.CreateApiKeyRequest(display_name="ci", scope=scope)
        made = await self.api.auth.CreateApiKey(request, metadata=metadata)
        return (("authorization", f"Bearer {made.secret}"),)


@pytest.fixture
async def team(api: Api) -> Team:
    ann = await api.identity.sessions.login(ADMIN, PASSWORD, "192.0.2.1")
    metadata = (("authorization", f"Bearer {ann.tokens.access_token}"),)
    made = await api.organisations.CreateOrganisation(
        pb.CreateOrganisationRequest(display_name="Shop & Co"), metadata=metadata
    )
    assert (made.organisation.role, made.organisation.personal) == (org.ROLE_OWNER, False)
    return Team(api, made.organisation.id, metadata)


async def test_what_is_in_one_organisation_is_in_no_other(team: Team) -> None:
    """T9: of the same user, too."""
    made = await team.monitor(team.ann)
    assert await team.monitors(team.ann) == ["shop"]
    assert await team.monitors(team.ann_alone) == []
    request = monitor_service_pb2.GetMonitorRequest(id=made.id)
    assert (await refusal(team.api.monitors.GetMonitor(request, metadata=team.ann_alone))).code == StatusCode.NOT_FOUND


async def test_an_invitation_makes_a_member_of_whoever_has_the_address(team: Team) -> None:
    invitation = await team.invite(org.ROLE_EDITOR)
    assert (invitation.email, invitation.organisation_name, invitation.invited_by) == (BOB, "Shop & Co", ADMIN)
    assert [letter.recipient for letter in team.api.identity.letters] == [BOB]
    assert "an editor" in team.api.identity.letters[0].paragraphs[0]
    organisations, bob = team.api.organisations, team.api.bob.metadata
    assert (await refusal(team.monitors(team.bob))).code == StatusCode.NOT_FOUND

    own = await organisations.ListOwnInvitations(pb.ListOwnInvitationsRequest(), metadata=bob)
    assert [one.id for one in own.invitations] == [invitation.id]
    accepted = await organisations.AcceptInvitation(pb.AcceptInvitationRequest(id=invitation.id), metadata=bob)

    assert (accepted.organisation.id, accepted.organisation.role) == (team.id, org.ROLE_EDITOR)
    await team.monitor(team.bob)
    mine = await organisations.ListOrganisations(pb.ListOrganisationsRequest(), metadata=bob)
    assert [(one.personal, one.role) for one in mine.organisations] == [
        (True, org.ROLE_OWNER),
        (False, org.ROLE_EDITOR),
    ]
    members = await organisations.ListMembers(pb.ListMembersRequest(), metadata=team.bob)
    assert [(one.email, one.role) for one in members.members] == [(ADMIN, org.ROLE_OWNER), (BOB, org.ROLE_EDITOR)]
    again = await refusal(organisations.AcceptInvitation(pb.AcceptInvitationRequest(id=invitation.id), metadata=bob))
    assert again.code == StatusCode.NOT_FOUND


async def test_roles_bound_what_a_member_may_do(team: Team) -> None:
    api = team.api
    made = await team.monitor(team.ann)
    await team.let_in(org.ROLE_VIEWER)
    assert await team.monitors(team.bob) == ["shop"]
    delete = monitor_service_pb2.DeleteMonitorRequest(id=made.id)
    promote = pb.UpdateMemberRequest(user_id=api.bob.principal.user_id, role=org.ROLE_ADMIN)
    for call in (
        team.monitor(team.bob, name="another"),
        api.monitors.DeleteMonitor(delete, metadata=team.bob),
        api.organisations.UpdateMember(promote, metadata=team.bob),
        api.organisations.InviteMember(
            pb.InviteMemberRequest(email="c@example.org", role=org.ROLE_VIEWER), metadata=team.bob
        ),
        api.organisations.ListInvitations(pb.ListInvitationsRequest(), metadata=team.bob),
        api.organisations.DeleteOrganisation(pb.DeleteOrganisationRequest(id=team.id), metadata=team.bob),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == (StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    # What is lent to a key is never more than its owner has.
    key = await team.key(team.bob)
    assert (await refusal(team.monitor(key, name="another"))).code == StatusCode.PERMISSION_DENIED

    await api.organisations.UpdateMember(promote, metadata=team.ann)
    await team.monitor(key, name="another")
    owner = pb.UpdateMemberRequest(user_id=api.bob.principal.user_id, role=org.ROLE_OWNER)
    assert (
        await refusal(api.organisations.UpdateMember(owner, metadata=team.bob))
    ).code == StatusCode.PERMISSION_DENIED


async def test_a_viewer_does_not_see_the_url_of_a_job(team: Team) -> None:
    """T15: who has it can tell monitord that all is well."""
    beat = heartbeat_check_pb2.HeartbeatCheck()
    beat.period.seconds = 60
    made = await team.monitor(team.ann, http=None, heartbeat=beat)
    await team.let_in(org.ROLE_VIEWER)
    request = monitor_service_pb2.GetMonitorRequest(id=made.id)
    seen = await team.api.monitors.GetMonitor(request, metadata=team.bob)
    assert made.heartbeat.ping_url
    assert not seen.monitor.heartbeat.ping_url


async def test_what_a_member_holds_ends_with_the_membership(team: Team) -> None:
    """T12: sessions, keys and streams, at once; the personal organisation stays theirs."""
    api = team.api
    await team.let_in(org.ROLE_EDITOR)
    key = await team.key(team.bob)
    assert await team.monitors(key) == []
    tails = [
        api.check_logs.TailCheckLogs(check_log_service_pb2.TailCheckLogsRequest(), metadata=each)
        for each in (team.bob, key)
    ]
    async with asyncio.timeout(5):
        for _ in tails:
            await api.feed.opened.acquire()

    await api.organisations.RemoveMember(pb.RemoveMemberRequest(user_id=api.bob.principal.user_id), metadata=team.ann)

    async with asyncio.timeout(5):
        for tail in tails:
            last = [message async for message in tail][-1]
            assert last.end.reason == check_log_service_pb2.TAIL_END_REASON_UNAUTHENTICATED
    assert (await refusal(team.monitors(team.bob))).code == StatusCode.NOT_FOUND
    assert (await refusal(team.monitors(key))).code == StatusCode.UNAUTHENTICATED
    assert await team.monitors(api.bob.metadata) == []
    # Back again, the old key stays worthless.
    await team.let_in(org.ROLE_EDITOR)
    assert (await refusal(team.monitors(key))).code == StatusCode.UNAUTHENTICATED


async def both_wait(api: Api) -> None:
    """Return when two transactions of this database wait for a lock."""
    waiting = """
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    async with asyncio.timeout(5), api.database.connection() as held:
        while await held.fetchval(waiting) < 2:
            continue


async def test_an_organisation_never_loses_its_last_owner(team: Team) -> None:
    api = team.api
    await team.let_in(org.ROLE_OWNER)
    ann, bob = api.ann.principal.user_id, api.bob.principal.user_id

    # At the same time, as surely: each makes the other a viewer, and both have to wait before anything is written.
    wishes = ((bob, team.ann), (ann, team.bob))
    async with api.database.transaction() as tx:
        await tx.execute("SELECT FROM memberships WHERE org_id = $1 FOR UPDATE", team.id)
        calls = [
            asyncio.ensure_future(
                api.organisations.UpdateMember(
                    pb.UpdateMemberRequest(user_id=user_id, role=org.ROLE_VIEWER), metadata=by
                )
            )
            for user_id, by in wishes
        ]
        await both_wait(api)
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert sum(isinstance(one, grpc.aio.AioRpcError) for one in results) == 1
    async with api.database.connection() as held:
        owners = await held.fetch("SELECT user_id FROM memberships WHERE org_id = $1 AND role = 'owner'", team.id)
    assert len(owners) == 1
    last = team.ann if owners[0][0] == ann else team.bob
    refused = await refusal(api.organisations.LeaveOrganisation(pb.LeaveOrganisationRequest(), metadata=last))
    assert refused.code == StatusCode.FAILED_PRECONDITION
    assert "only owner" in refused.message


async def test_a_member_may_leave(team: Team) -> None:
    await team.let_in(org.ROLE_VIEWER)
    await team.api.organisations.LeaveOrganisation(pb.LeaveOrganisationRequest(), metadata=team.bob)
    assert (await refusal(team.monitors(team.bob))).code == StatusCode.NOT_FOUND


async def test_a_personal_organisation_is_its_users_alone(team: Team) -> None:
    organisations, own = team.api.organisations, team.ann_alone
    personal = (await organisations.GetOrganisation(pb.GetOrganisationRequest(), metadata=own)).organisation
    for call in (
        organisations.InviteMember(pb.InviteMemberRequest(email=BOB, role=org.ROLE_VIEWER), metadata=own),
        organisations.LeaveOrganisation(pb.LeaveOrganisationRequest(), metadata=own),
        organisations.DeleteOrganisation(pb.DeleteOrganisationRequest(id=personal.id, force=True), metadata=own),
    ):
        assert (await refusal(call)).code == StatusCode.FAILED_PRECONDITION
    assert team.api.identity.letters == []


async def test_a_key_acts_in_its_own_organisation_alone(team: Team) -> None:
    await team.monitor(team.ann)
    key = await team.key(team.ann)
    assert await team.monitors(key) == ["shop"]
    personal = str(team.api.ann.principal.org_id)
    refused = await refusal(team.monitors((*key, ("x-monitord-organisation", personal))))
    assert (refused.code, refused.metadata) == (StatusCode.NOT_FOUND, {"organisation_id": personal})


async def test_an_organisation_goes_with_all_that_is_in_it(team: Team) -> None:
    api = team.api
    made = await team.monitor(team.ann)
    contact = contact_pb2.Contact(name="ops")
    contact.webhook.url = "https://example.org/hook"
    await api.contacts.CreateContact(contact_service_pb2.CreateContactRequest(contact=contact), metadata=team.ann)
    key = await team.key(team.ann)
    await team.let_in(org.ROLE_EDITOR)
    await team.monitor(team.ann_alone, name="kept")

    request = pb.DeleteOrganisationRequest(id=team.id)
    refused = await refusal(api.organisations.DeleteOrganisation(request, metadata=team.ann))
    assert (refused.code, "force" in refused.message) == (StatusCode.FAILED_PRECONDITION, True)
    request.force = True
    wrong = pb.DeleteOrganisationRequest(id=team.id, force=True, etag="v9")
    assert (await refusal(api.organisations.DeleteOrganisation(wrong, metadata=team.ann))).code == StatusCode.ABORTED
    await api.organisations.DeleteOrganisation(request, metadata=team.ann)

    assert (made.id, None) in api.engine.settled, "no further check starts (I13)"
    assert (await refusal(team.monitors(team.ann))).code == StatusCode.NOT_FOUND
    assert (await refusal(team.monitors(team.bob))).code == StatusCode.NOT_FOUND
    assert (await refusal(team.monitors(key))).code == StatusCode.UNAUTHENTICATED
    assert await team.monitors(team.ann_alone) == ["kept"]
    async with api.database.connection() as held:
        tables = await held.fetch("""
            SELECT c.table_name FROM information_schema.columns AS c JOIN information_schema.tables AS t
                USING (table_schema, table_name)
            WHERE c.table_schema = 'public' AND c.column_name = 'org_id' AND t.table_type = 'BASE TABLE'
        """)
        left = {
            name
            for (name,) in tables
            if await held.fetchval(f'SELECT EXISTS (SELECT FROM "{name}" WHERE org_id = $1)', team.id)
        }
    # The janitor deletes log rows; what happened stays in the audit log.
    assert left == {"monitor_purges", "audit_events"}


async def test_it_can_be_renamed_unless_somebody_was_faster(team: Team) -> None:
    organisations = team.api.organisations
    wanted = org.Organisation(display_name="Shop Inc", etag="v1")
    request = pb.UpdateOrganisationRequest(organisation=wanted)
    renamed = await organisations.UpdateOrganisation(request, metadata=team.ann)
    assert (renamed.organisation.display_name, renamed.organisation.etag) == ("Shop Inc", "v2")
    assert (await refusal(organisations.UpdateOrganisation(request, metadata=team.ann))).code == StatusCode.ABORTED
    request.update_mask.paths.append("personal")
    refused = await refusal(organisations.UpdateOrganisation(request, metadata=team.ann))
    assert (refused.code, set(refused.violations)) == (StatusCode.INVALID_ARGUMENT, {"update_mask"})


async def test_the_same_request_makes_one_organisation(team: Team) -> None:
    """I14"""
    request = pb.CreateOrganisationRequest(display_name="Twice", request_id="6f1d3a5e-8a1c-4a53-9d5b-0c1a2b3c4d5e")
    made = [await team.api.organisations.CreateOrganisation(request, metadata=team.ann_alone) for _ in range(2)]
    assert made[0] == made[1]


@pytest.mark.parametrize("email", ["", "nobody", "a b@example.org"])
async def test_an_address_that_is_none_is_told(team: Team, email: str) -> None:
    refused = await refusal(team.invite(org.ROLE_VIEWER, email))
    assert (refused.code, set(refused.violations)) == (StatusCode.INVALID_ARGUMENT, {"email"})
    unset = await refusal(team.invite(org.ROLE_UNSPECIFIED))
    assert set(unset.violations) == {"role"}


async def test_invitations_are_no_weapon(team: Team) -> None:
    """T16: so many mails to one address."""
    for _ in range(3):
        await team.invite(org.ROLE_VIEWER)
    refused = await refusal(team.invite(org.ROLE_VIEWER))
    assert (refused.code, refused.retry_s is not None) == (StatusCode.RESOURCE_EXHAUSTED, True)
    listed = await team.api.organisations.ListInvitations(pb.ListInvitationsRequest(), metadata=team.ann)
    assert len(listed.invitations) == 1, "one for each address: the last"


async def test_an_invitation_can_be_taken_back_or_declined(team: Team) -> None:
    organisations, bob = team.api.organisations, team.api.bob.metadata
    first = await team.invite(org.ROLE_VIEWER)
    await organisations.RevokeInvitation(pb.RevokeInvitationRequest(id=first.id), metadata=team.ann)
    accept = pb.AcceptInvitationRequest(id=first.id)
    assert (await refusal(organisations.AcceptInvitation(accept, metadata=bob))).code == StatusCode.NOT_FOUND
    second = await team.invite(org.ROLE_VIEWER)
    await organisations.DeclineInvitation(pb.DeclineInvitationRequest(id=second.id), metadata=bob)
    listed = await organisations.ListInvitations(pb.ListInvitationsRequest(), metadata=team.ann)
    assert listed.invitations == []


async def test_changes_of_members_are_in_the_audit_log(team: Team) -> None:
    await team.let_in(org.ROLE_VIEWER)
    async with team.api.database.connection() as held:
        rows = await held.fetch(
            "SELECT action, kind, user_id, after::text FROM audit_events WHERE org_id = $1 ORDER BY id", team.id
        )
    ann, bob = team.api.ann.principal.user_id, team.api.bob.principal.user_id
    assert [(row["action"], row["kind"], row["user_id"]) for row in rows] == [
        ("created", "organisation", ann),
        ("created", "member", ann),
        ("created", "invitation", ann),
        ("deleted", "invitation", bob),
        ("created", "member", bob),
    ]
    assert '"token_hash": "***"' in rows[2]["after"]


async def test_who_takes_care_of_an_outage_is_told_by_their_address(team: Team) -> None:
    monitor = await team.monitor(team.ann)
    await team.let_in(org.ROLE_EDITOR)
    async with team.api.database.transaction() as tx:
        change = await tx.fetchval(
            "INSERT INTO monitor_transitions (org_id, monitor_id, before, after, at) VALUES ($1, $2, 3, 5, now()) "
            "RETURNING id",
            team.id,
            monitor.id,
        )
        incident = await tx.fetchval(
            "INSERT INTO incidents (org_id, monitor_id, opened_at, opened_by) VALUES ($1, $2, now(), $3) RETURNING id",
            team.id,
            monitor.id,
            change,
        )
    request = incident_service_pb2.AcknowledgeIncidentRequest(id=incident)
    noted = (await team.api.incidents.AcknowledgeIncident(request, metadata=team.bob)).incident
    assert noted.acknowledged_by == BOB
