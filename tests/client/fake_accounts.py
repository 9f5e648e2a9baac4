"""The services of the stand-in that are about its one user: their account, and what was done."""

# ruff: noqa: N802 - the contract names these methods

import uuid
from typing import Any

from grpc import StatusCode

from monitord_client.v1 import account_service_pb2 as accounts
from monitord_client.v1 import audit_service_pb2 as audit
from monitord_client.v1.account_service_pb2_grpc import AccountServiceServicer
from monitord_client.v1.audit_service_pb2_grpc import AuditServiceServicer
from monitord_client.v1.auth_pb2 import User

PERSONAL = "Ada"
PROOF = "12345678"


class FakeAccounts(AccountServiceServicer):
    """One user's password and sessions; whoever registers with an invitation becomes that user."""

    user: User
    password: str
    sessions: list[accounts.Session]

    def begin_session(self, *, current: bool = False) -> accounts.Session:
        session = accounts.Session(id=str(uuid.uuid4()), address="192.0.2.7", current=current)
        session.create_time.GetCurrentTime()
        session.expire_time.FromSeconds(session.create_time.seconds + 30 * 86_400)
        self.sessions.insert(0, session)
        return session

    def end_sessions(self: Any) -> None:
        self.valid_tokens -= {token for token in self.valid_tokens if token.startswith("access-")}
        self.refreshable.clear()
        self.sessions.clear()

    async def Register(self: Any, request: Any, context: Any) -> Any:
        await self._enter("Register", request, context, proof=False)
        if not request.invitation_token and not request.invitation_code:
            return accounts.RegisterResponse()
        return accounts.RegisterResponse(tokens=self._tokens(), user=self.user)

    async def _prove(self: Any, request: Any, context: Any) -> None:
        if PROOF not in (request.token, request.code):
            await self.refuse(context, StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION", "that proves nothing")

    async def VerifyEmail(self: Any, request: Any, context: Any) -> Any:
        await self._enter("VerifyEmail", request, context, proof=False)
        await self._prove(request, context)
        return accounts.VerifyEmailResponse(tokens=self._tokens(), user=self.user)

    async def RequestPasswordReset(self: Any, request: Any, context: Any) -> Any:
        await self._enter("RequestPasswordReset", request, context, proof=False)
        return accounts.RequestPasswordResetResponse()

    async def ResetPassword(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ResetPassword", request, context, proof=False)
        await self._prove(request, context)
        self.end_sessions()
        self.password = request.new_password
        return accounts.ResetPasswordResponse()

    async def ChangePassword(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ChangePassword", request, context)
        if request.old_password != self.password:
            await self.refuse(context, StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", "The old password is wrong.")
        if len(request.new_password) < 8:
            await self.refuse_field(context, "new_password", "must have at least 8 characters")
        self.end_sessions()
        self.password = request.new_password
        return accounts.ChangePasswordResponse(tokens=self._tokens())

    async def InviteUser(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("InviteUser", request, context)
        await self._leave(context, fault)
        return accounts.InviteUserResponse()

    async def UpdateUser(self: Any, request: Any, context: Any) -> Any:
        await self._enter("UpdateUser", request, context)
        assert set(request.update_mask.paths) <= {"full_name", "phone"}
        request.update_mask.MergeMessage(request.user, self.user, True, True)
        return accounts.UpdateUserResponse(user=self.user)

    async def ListSessions(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ListSessions", request, context)
        return accounts.ListSessionsResponse(sessions=self.sessions)

    async def RevokeSession(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("RevokeSession", request, context)
        uuid.UUID(request.id)
        self.sessions[:] = [session for session in self.sessions if session.id != request.id]
        await self._leave(context, fault)
        return accounts.RevokeSessionResponse()


class FakeAudit(AuditServiceServicer):
    """Events as a test wrote them down, newest last."""

    events: list[audit.AuditEvent]

    async def ListAuditEvents(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ListAuditEvents", request, context)
        found = [
            event
            for event in reversed(self.events)
            if (not request.by_user or event.user_id == request.by_user)
            and (not request.kinds or event.kind in request.kinds)
            and (not request.thing or event.thing == request.thing)
            and event.time.seconds >= request.start_time.seconds
            and (not request.HasField("end_time") or event.time.seconds < request.end_time.seconds)
        ]
        page, token = await self._page(found, request, context)
        return audit.ListAuditEventsResponse(events=page, next_page_token=token)
