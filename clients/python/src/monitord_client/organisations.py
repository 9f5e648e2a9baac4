"""The calls of OrganisationService."""

import uuid
from collections.abc import AsyncIterator, Sequence

from google.protobuf.field_mask_pb2 import FieldMask

from monitord_client.calls import Calls
from monitord_client.errors import NotFoundError
from monitord_client.v1 import organisation_service_pb2 as pb
from monitord_client.v1.organisation_pb2 import Invitation, Member, Organisation, Role
from monitord_client.v1.organisation_service_pb2_grpc import OrganisationServiceStub

DELETE_TIMEOUT_S = 30.0
"""An organisation goes with all that is in it."""


class OrganisationCalls:
    """Who shares monitors and contacts. What isn't said to be about the caller is about ``client.organisation``."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._organisations = OrganisationServiceStub(calls.channel)

    async def create_organisation(
        self, display_name: str, *, request_id: str | None = None, timeout_s: float | None = None
    ) -> Organisation:
        """Make an organisation that the caller owns; to act in it, set ``client.organisation`` to its id.

        ``request_id`` is made up when not given, so that a retry creates nothing twice.
        """
        request = pb.CreateOrganisationRequest(display_name=display_name, request_id=request_id or str(uuid.uuid4()))
        method = self._organisations.CreateOrganisation
        answer = await self._calls.unary(method, request, safe=True, timeout_s=timeout_s)
        return answer.organisation

    async def get_organisation(self, *, timeout_s: float | None = None) -> Organisation:
        """Return the organisation that calls act in, with the caller's role there."""
        request = pb.GetOrganisationRequest()
        method = self._organisations.GetOrganisation
        answer = await self._calls.unary(method, request, safe=True, timeout_s=timeout_s)
        return answer.organisation

    def list_organisations(self, *, timeout_s: float | None = None) -> AsyncIterator[Organisation]:
        """Iterate over what the caller is a member of, the personal one first."""

        async def fetch(_: str) -> pb.ListOrganisationsResponse:
            method, request = self._organisations.ListOrganisations, pb.ListOrganisationsRequest()
            return await self._calls.unary(method, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.organisations, _only_one)

    async def update_organisation(
        self, organisation: Organisation, *, fields: Sequence[str] = (), timeout_s: float | None = None
    ) -> Organisation:
        """Change the fields that ``fields`` names (``display_name``, ``allowed_networks``); none: those that are set.

        With an etag in ``organisation``, raises EtagMismatchError when someone changed it since; such a call is never
        repeated, because its own first attempt would look like someone else's change.
        """
        mask = FieldMask(paths=fields) if fields else None
        request = pb.UpdateOrganisationRequest(organisation=organisation, update_mask=mask)
        method = self._organisations.UpdateOrganisation
        answer = await self._calls.unary(method, request, safe=not organisation.etag, timeout_s=timeout_s)
        return answer.organisation

    async def delete_organisation(
        self, organisation_id: int, *, etag: str = "", force: bool = False, timeout_s: float = DELETE_TIMEOUT_S
    ) -> None:
        """Delete the organisation that calls act in, whose id is said once more.

        Raises FailedPreconditionError for the personal one, and without ``force`` where monitors or contacts are in it.
        """
        request = pb.DeleteOrganisationRequest(id=organisation_id, etag=etag, force=force)
        try:
            method = self._organisations.DeleteOrganisation
            await self._calls.unary(method, request, safe=True, timeout_s=timeout_s)
        except NotFoundError as error:
            _unless_done_before(error)

    def list_members(self, *, timeout_s: float | None = None) -> AsyncIterator[Member]:
        """Iterate over the members, those with the highest role first."""

        async def fetch(_: str) -> pb.ListMembersResponse:
            method, request = self._organisations.ListMembers, pb.ListMembersRequest()
            return await self._calls.unary(method, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.members, _only_one)

    async def update_member(self, user_id: int, role: Role.ValueType, *, timeout_s: float | None = None) -> Member:
        """Change what a member may do. Raises FailedPreconditionError when no owner would be left."""
        request = pb.UpdateMemberRequest(user_id=user_id, role=role)
        answer = await self._calls.unary(self._organisations.UpdateMember, request, safe=True, timeout_s=timeout_s)
        return answer.member

    async def remove_member(self, user_id: int, *, timeout_s: float | None = None) -> None:
        """Remove a member: their keys of the organisation and their open streams end at once."""
        request = pb.RemoveMemberRequest(user_id=user_id)
        try:
            await self._calls.unary(self._organisations.RemoveMember, request, safe=True, timeout_s=timeout_s)
        except NotFoundError as error:
            _unless_done_before(error)

    async def leave_organisation(self, *, timeout_s: float | None = None) -> None:
        """Remove the caller. Raises FailedPreconditionError for the last owner."""
        request = pb.LeaveOrganisationRequest()
        try:
            await self._calls.unary(self._organisations.LeaveOrganisation, request, safe=True, timeout_s=timeout_s)
        except NotFoundError as error:
            _unless_done_before(error)

    async def invite_member(self, email: str, role: Role.ValueType, *, timeout_s: float | None = None) -> Invitation:
        """Invite an address, in place of an invitation before. Never repeated: each is a mail."""
        request = pb.InviteMemberRequest(email=email, role=role)
        answer = await self._calls.unary(self._organisations.InviteMember, request, safe=False, timeout_s=timeout_s)
        return answer.invitation

    def list_invitations(self, *, timeout_s: float | None = None) -> AsyncIterator[Invitation]:
        """Iterate over the organisation's invitations that can still be accepted, newest first."""

        async def fetch(_: str) -> pb.ListInvitationsResponse:
            method, request = self._organisations.ListInvitations, pb.ListInvitationsRequest()
            return await self._calls.unary(method, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.invitations, _only_one)

    async def revoke_invitation(self, invitation_id: int, *, timeout_s: float | None = None) -> None:
        """Take an invitation back."""
        request = pb.RevokeInvitationRequest(id=invitation_id)
        try:
            await self._calls.unary(self._organisations.RevokeInvitation, request, safe=True, timeout_s=timeout_s)
        except NotFoundError as error:
            _unless_done_before(error)

    def list_own_invitations(self, *, timeout_s: float | None = None) -> AsyncIterator[Invitation]:
        """Iterate over the invitations to the caller's own address, newest first."""

        async def fetch(_: str) -> pb.ListOwnInvitationsResponse:
            method, request = self._organisations.ListOwnInvitations, pb.ListOwnInvitationsRequest()
            return await self._calls.unary(method, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.invitations, _only_one)

    async def accept_invitation(self, invitation_id: int, *, timeout_s: float | None = None) -> Organisation:
        """Join; return what the caller is a member of now. Never repeated: an invitation can be accepted once."""
        request = pb.AcceptInvitationRequest(id=invitation_id)
        answer = await self._calls.unary(self._organisations.AcceptInvitation, request, safe=False, timeout_s=timeout_s)
        return answer.organisation

    async def decline_invitation(self, invitation_id: int, *, timeout_s: float | None = None) -> None:
        """Refuse an invitation to the caller's own address."""
        request = pb.DeclineInvitationRequest(id=invitation_id)
        try:
            await self._calls.unary(self._organisations.DeclineInvitation, request, safe=True, timeout_s=timeout_s)
        except NotFoundError as error:
            _unless_done_before(error)


def _only_one(_: object) -> str:
    """Return the token of the page that follows: there is none."""
    return ""


def _unless_done_before(error: NotFoundError) -> None:
    """Raise the error, unless an attempt before, whose answer was lost, did what was asked for."""
    if error.attempts == 1:
        raise error
