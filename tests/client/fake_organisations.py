"""OrganisationService of the stand-in, as its one user sees it, by the letter of the contract."""

# ruff: noqa: N802 - the contract names these methods

import uuid
from typing import Any

from grpc import StatusCode

from monitord_client.v1 import organisation_service_pb2 as pb
from monitord_client.v1.organisation_pb2 import ROLE_OWNER, Invitation, Member, Organisation, Role
from monitord_client.v1.organisation_service_pb2_grpc import OrganisationServiceServicer

MINE = "ada@example.com"


class FakeOrganisations(OrganisationServiceServicer):
    """Organisations that the user is in, their members, and invitations to and from them."""

    teams: dict[int, Organisation]
    team_members: dict[int, list[Member]]
    invitations: dict[int, Invitation]

    def found_team(
        self, name: str, role: Role.ValueType = ROLE_OWNER, *, id_: int = 0, personal: bool = False
    ) -> Organisation:
        """Store an organisation that the user is a member of."""
        id_ = id_ or max(self.teams, default=0) + 1
        made = Organisation(id=id_, display_name=name, personal=personal, role=role, etag=uuid.uuid4().hex)
        made.create_time.GetCurrentTime()
        self.teams[id_] = made
        self.team_members[id_] = []
        self.join(id_, 1, MINE, role, "Ada")
        return made

    def join(self, team_id: int, user_id: int, email: str, role: Role.ValueType, name: str = "") -> Member:
        member = Member(user_id=user_id, email=email, full_name=name, role=role)
        member.join_time.GetCurrentTime()
        self.team_members[team_id].append(member)
        self.team_members[team_id].sort(key=lambda each: (-each.role, each.user_id))
        return member

    def ask(self, team_id: int, name: str, email: str, role: Role.ValueType, by: str = MINE) -> Invitation:
        """Store an invitation in place of one before."""
        for id_, one in list(self.invitations.items()):
            if (one.organisation_id, one.email) == (team_id, email):
                del self.invitations[id_]
        invitation = Invitation(
            id=max(self.invitations, default=0) + 1,
            organisation_id=team_id,
            organisation_name=name,
            email=email,
            role=role,
            invited_by=by,
        )
        invitation.create_time.GetCurrentTime()
        invitation.expire_time.FromSeconds(invitation.create_time.seconds + 7 * 86_400)
        self.invitations[invitation.id] = invitation
        return invitation

    async def _missing(self: Any, context: Any, what: str) -> None:
        await self.refuse(context, StatusCode.NOT_FOUND, "NOT_FOUND", f"There is no {what}.")

    async def _forbid(self: Any, context: Any, message: str) -> None:
        await self.refuse(context, StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION", message)

    async def CreateOrganisation(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("CreateOrganisation", request, context)

        def create() -> Any:
            return pb.CreateOrganisationResponse(organisation=self.found_team(request.display_name))

        answer = await self._once(request, context, create)
        await self._leave(context, fault)
        return answer

    async def GetOrganisation(self: Any, request: Any, context: Any) -> Any:
        await self._enter("GetOrganisation", request, context)
        return pb.GetOrganisationResponse(organisation=self.teams[self.acting(context)])

    async def ListOrganisations(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ListOrganisations", request, context)
        return pb.ListOrganisationsResponse(organisations=self.teams.values())

    async def UpdateOrganisation(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("UpdateOrganisation", request, context)
        wanted, stored = request.organisation, self.teams[self.acting(context)]
        if wanted.id and wanted.id != stored.id:
            await self._missing(context, f"organisation {wanted.id}")
        if wanted.etag and wanted.etag != stored.etag:
            await self.refuse(context, StatusCode.ABORTED, "ETAG_MISMATCH", "it was changed")
        assert set(request.update_mask.paths) <= {"display_name", "allowed_networks"}
        request.update_mask.MergeMessage(wanted, stored, True, True)
        stored.etag = uuid.uuid4().hex
        await self._leave(context, fault)
        return pb.UpdateOrganisationResponse(organisation=stored)

    async def DeleteOrganisation(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("DeleteOrganisation", request, context)
        stored = self.teams[self.acting(context)]
        if request.id != stored.id:
            await self._missing(context, f"organisation {request.id}")
        if stored.personal or (self.monitors and not request.force):
            await self._forbid(context, "it has monitors")
        del self.teams[stored.id]
        await self._leave(context, fault)
        return pb.DeleteOrganisationResponse()

    async def ListMembers(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ListMembers", request, context)
        return pb.ListMembersResponse(members=self.team_members[self.acting(context)])

    async def _member(self: Any, user_id: int, context: Any) -> Member:
        members: list[Member] = self.team_members[self.acting(context)]
        found = [member for member in members if member.user_id == user_id]
        if not found:
            await self._missing(context, f"member {user_id}")
        if found[0].role == ROLE_OWNER and sum(each.role == ROLE_OWNER for each in members) == 1:
            await self._forbid(context, "an organisation has at least one owner")
        return found[0]

    async def UpdateMember(self: Any, request: Any, context: Any) -> Any:
        await self._enter("UpdateMember", request, context)
        member = await self._member(request.user_id, context)
        member.role = request.role
        return pb.UpdateMemberResponse(member=member)

    async def RemoveMember(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("RemoveMember", request, context)
        member = await self._member(request.user_id, context)
        self.team_members[self.acting(context)].remove(member)
        await self._leave(context, fault)
        return pb.RemoveMemberResponse()

    async def LeaveOrganisation(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("LeaveOrganisation", request, context)
        await self._member(1, context)
        del self.teams[self.acting(context)]
        await self._leave(context, fault)
        return pb.LeaveOrganisationResponse()

    async def InviteMember(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("InviteMember", request, context)
        team = self.teams[self.acting(context)]
        if team.personal:
            await self._forbid(context, "a personal organisation has no other members")
        invitation = self.ask(team.id, team.display_name, request.email, request.role)
        await self._leave(context, fault)
        return pb.InviteMemberResponse(invitation=invitation)

    async def ListInvitations(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ListInvitations", request, context)
        own = [one for one in self.invitations.values() if one.organisation_id == self.acting(context)]
        return pb.ListInvitationsResponse(invitations=own[::-1])

    async def RevokeInvitation(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("RevokeInvitation", request, context)
        if request.id not in self.invitations:
            await self._missing(context, f"invitation {request.id}")
        del self.invitations[request.id]
        await self._leave(context, fault)
        return pb.RevokeInvitationResponse()

    async def ListOwnInvitations(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ListOwnInvitations", request, context)
        return pb.ListOwnInvitationsResponse(
            invitations=[one for one in self.invitations.values() if one.email == MINE]
        )

    async def _own(self: Any, invitation_id: int, context: Any) -> Invitation:
        invitation: Invitation | None = self.invitations.get(invitation_id)
        if invitation is None or invitation.email != MINE:
            await self._missing(context, f"invitation {invitation_id}")
            raise AssertionError
        del self.invitations[invitation_id]
        return invitation

    async def AcceptInvitation(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("AcceptInvitation", request, context)
        one = await self._own(request.id, context)
        joined = self.found_team(one.organisation_name, one.role, id_=one.organisation_id)
        await self._leave(context, fault)
        return pb.AcceptInvitationResponse(organisation=joined)

    async def DeclineInvitation(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("DeclineInvitation", request, context)
        await self._own(request.id, context)
        await self._leave(context, fault)
        return pb.DeclineInvitationResponse()
