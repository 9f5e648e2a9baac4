"""OrganisationService: from messages to identity and back. Which organisation is meant comes from the edge (T10)."""

# ruff: noqa: N802 (the generated base class names the methods)

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from google.protobuf import duration_pb2

from monitord.domain.errors import InvalidArgumentError, NotFoundError, Violation
from monitord.domain.organisation import Invitation, Member, Organisation, OrganisationChanges, Role
from monitord.domain.plan import Quota, Usage
from monitord.domain.rules.networks import read_networks
from monitord.identity.invitations import Invitations
from monitord.identity.organisations import Organisations
from monitord.rpc import context as call
from monitord.rpc.convert_monitor import version_of
from monitord.rpc.convert_time import timestamp_pb
from monitord.rpc.engine import Engine
from monitord.rpc.field_mask import written_paths
from monitord.rpc.requests import RequestLedger, require_id, require_request_id
from monitord.v1 import organisation_pb2, organisation_service_pb2_grpc
from monitord.v1 import organisation_service_pb2 as pb

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

_WRITABLE = ("display_name", "allowed_networks")
_DAY_S = 86_400


class OrganisationService(organisation_service_pb2_grpc.OrganisationServiceServicer):
    """Serves OrganisationService."""

    def __init__(
        self,
        organisations: Organisations,
        invitations: Invitations,
        requests: RequestLedger,
        engine: Engine,
        usage: Callable[[int], Awaitable[Usage]],
    ) -> None:
        """``usage`` tells of an organisation how much there is, and may be."""
        self._organisations = organisations
        self._invitations = invitations
        self._requests = requests
        self._engine = engine
        self._usage = usage

    async def CreateOrganisation(
        self, request: pb.CreateOrganisationRequest, context: Context
    ) -> pb.CreateOrganisationResponse:
        """Make an organisation."""
        principal = call.principal()
        request_id = require_request_id(request.request_id)

        async def create(tx: Any = None) -> bytes:
            made = await self._organisations.create(principal, request.display_name, tx=tx)
            return pb.CreateOrganisationResponse(organisation=_organisation_pb(made)).SerializeToString()

        if not request_id:
            return pb.CreateOrganisationResponse.FromString(await create())
        # Whoever acts in the same organisation has a request of their own.
        asked = b"%d:" % principal.user_id + request.SerializeToString(deterministic=True)
        answer = await self._requests.once(principal.org_id, "CreateOrganisation", request_id, asked, create)
        return pb.CreateOrganisationResponse.FromString(answer)

    async def GetOrganisation(self, request: pb.GetOrganisationRequest, context: Context) -> pb.GetOrganisationResponse:
        """Return the organisation."""
        found = await self._organisations.get(call.principal())
        return pb.GetOrganisationResponse(organisation=_organisation_pb(found))

    async def GetUsage(self, request: pb.GetUsageRequest, context: Context) -> pb.GetUsageResponse:
        """Return how much there is, and may be."""
        return pb.GetUsageResponse(usage=_usage_pb(await self._usage(call.principal().org_id)))

    async def ListOrganisations(
        self, request: pb.ListOrganisationsRequest, context: Context
    ) -> pb.ListOrganisationsResponse:
        """Return the caller's organisations."""
        found = await self._organisations.list_own(call.principal())
        return pb.ListOrganisationsResponse(organisations=[_organisation_pb(one) for one in found])

    async def UpdateOrganisation(
        self, request: pb.UpdateOrganisationRequest, context: Context
    ) -> pb.UpdateOrganisationResponse:
        """Change the organisation."""
        wanted = request.organisation
        if wanted.id:
            _require_own(wanted.id)
        changes = _changes(wanted, written_paths(wanted, request.update_mask.paths, _WRITABLE))
        updated = await self._organisations.update(call.principal(), changes, expected_version=version_of(wanted.etag))
        return pb.UpdateOrganisationResponse(organisation=_organisation_pb(updated))

    async def DeleteOrganisation(
        self, request: pb.DeleteOrganisationRequest, context: Context
    ) -> pb.DeleteOrganisationResponse:
        """Delete the organisation, and let its monitors go."""
        _require_own(require_id(request.id, what="organisation"))
        monitors = await self._organisations.delete(
            call.principal(), force=request.force, expected_version=version_of(request.etag)
        )
        if monitors:
            await self._engine.let_go(*monitors)
        return pb.DeleteOrganisationResponse()

    async def ListMembers(self, request: pb.ListMembersRequest, context: Context) -> pb.ListMembersResponse:
        """Return the members."""
        members = await self._organisations.members(call.principal())
        return pb.ListMembersResponse(members=[_member_pb(member) for member in members])

    async def UpdateMember(self, request: pb.UpdateMemberRequest, context: Context) -> pb.UpdateMemberResponse:
        """Change what a member may do."""
        user_id = require_id(request.user_id, "user_id", "user")
        member = await self._organisations.set_role(call.principal(), user_id, _role(request.role))
        return pb.UpdateMemberResponse(member=_member_pb(member))

    async def RemoveMember(self, request: pb.RemoveMemberRequest, context: Context) -> pb.RemoveMemberResponse:
        """Remove a member."""
        await self._organisations.remove(call.principal(), require_id(request.user_id, "user_id", "user"))
        return pb.RemoveMemberResponse()

    async def LeaveOrganisation(
        self, request: pb.LeaveOrganisationRequest, context: Context
    ) -> pb.LeaveOrganisationResponse:
        """Remove the caller."""
        principal = call.principal()
        await self._organisations.remove(principal, principal.user_id)
        return pb.LeaveOrganisationResponse()

    async def InviteMember(self, request: pb.InviteMemberRequest, context: Context) -> pb.InviteMemberResponse:
        """Invite an address."""
        invitation = await self._invitations.invite(call.principal(), request.email, _role(request.role))
        return pb.InviteMemberResponse(invitation=_invitation_pb(invitation))

    async def ListInvitations(self, request: pb.ListInvitationsRequest, context: Context) -> pb.ListInvitationsResponse:
        """Return the organisation's invitations."""
        found = await self._invitations.list(call.principal())
        return pb.ListInvitationsResponse(invitations=[_invitation_pb(one) for one in found])

    async def RevokeInvitation(
        self, request: pb.RevokeInvitationRequest, context: Context
    ) -> pb.RevokeInvitationResponse:
        """Take an invitation back."""
        await self._invitations.revoke(call.principal(), require_id(request.id, what="invitation"))
        return pb.RevokeInvitationResponse()

    async def ListOwnInvitations(
        self, request: pb.ListOwnInvitationsRequest, context: Context
    ) -> pb.ListOwnInvitationsResponse:
        """Return the invitations to the caller."""
        found = await self._invitations.list_own(call.principal())
        return pb.ListOwnInvitationsResponse(invitations=[_invitation_pb(one) for one in found])

    async def AcceptInvitation(
        self, request: pb.AcceptInvitationRequest, context: Context
    ) -> pb.AcceptInvitationResponse:
        """Join."""
        principal = call.principal()
        org_id = await self._invitations.accept(principal.user_id, require_id(request.id, what="invitation"))
        joined = await self._organisations.joined(principal, org_id)
        return pb.AcceptInvitationResponse(organisation=_organisation_pb(joined))

    async def DeclineInvitation(
        self, request: pb.DeclineInvitationRequest, context: Context
    ) -> pb.DeclineInvitationResponse:
        """Refuse to join."""
        await self._invitations.decline(call.principal(), require_id(request.id, what="invitation"))
        return pb.DeclineInvitationResponse()


def _require_own(org_id: int) -> None:
    """Raise NotFoundError unless the call acts in this organisation."""
    if org_id != call.principal().org_id:
        raise NotFoundError(
            f"This call does not act in the organisation {org_id}: name it in the metadata x-monitord-organisation.",
            organisation_id=str(org_id),
        )


def _changes(wanted: organisation_pb2.Organisation, paths: list[str]) -> OrganisationChanges:
    found: list[Violation] = []
    networks = None
    if "allowed_networks" in paths:
        networks = read_networks(wanted.allowed_networks, "organisation.allowed_networks", found)
    if found:
        raise InvalidArgumentError(found)
    return OrganisationChanges(name=wanted.display_name if "display_name" in paths else None, networks=networks)


def _role(value: int) -> Role:
    try:
        return Role(value)  # the same numbers; a test holds them together
    except ValueError:
        names = ", ".join(f"ROLE_{role.name}" for role in Role)
        raise InvalidArgumentError([Violation("role", f"must be one of {names}")]) from None


def _organisation_pb(one: Organisation) -> organisation_pb2.Organisation:
    return organisation_pb2.Organisation(
        id=one.id,
        display_name=one.name,
        personal=one.personal,
        role=one.role,  # type: ignore[arg-type]
        create_time=timestamp_pb(one.created_at),
        etag=f"v{one.version}",
        allowed_networks=[str(network) for network in one.networks],
        plan=one.plan,
    )


def _usage_pb(usage: Usage) -> organisation_pb2.Usage:
    return organisation_pb2.Usage(
        plan=usage.plan,
        monitors=_quota_pb(usage.monitors),
        contacts=_quota_pb(usage.contacts),
        seats=_quota_pb(usage.seats),
        min_interval=duration_pb2.Duration(seconds=usage.min_interval_s),
        retention=duration_pb2.Duration(seconds=usage.retention_days * _DAY_S),
        rpc_rate=usage.rpc_rate,
    )


def _quota_pb(quota: Quota) -> organisation_pb2.Quota:
    return organisation_pb2.Quota(used=quota.used, limit=quota.limit)


def _member_pb(one: Member) -> organisation_pb2.Member:
    return organisation_pb2.Member(
        user_id=one.user_id,
        email=one.email,
        full_name=one.full_name,
        role=one.role,  # type: ignore[arg-type]
        join_time=timestamp_pb(one.joined_at),
    )


def _invitation_pb(one: Invitation) -> organisation_pb2.Invitation:
    return organisation_pb2.Invitation(
        id=one.id,
        organisation_id=one.org_id,
        organisation_name=one.org_name,
        email=one.email,
        role=one.role,  # type: ignore[arg-type]
        invited_by=one.invited_by,
        create_time=timestamp_pb(one.created_at),
        expire_time=timestamp_pb(one.expires_at),
    )
