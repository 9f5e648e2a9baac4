"""AccountService: from messages to identity and back. Who is asking comes from the call's context alone (T10)."""

# ruff: noqa: N802 (the generated base class names the methods)

import contextlib
from collections.abc import AsyncGenerator
from typing import Any, TypeAlias
from uuid import UUID

import grpc

from monitord.domain.errors import InvalidArgumentError, PermissionDeniedError, Violation
from monitord.identity.account_deletion import AccountDeletion
from monitord.identity.accounts import Accounts
from monitord.identity.principal import ApiKeyCredential, Principal, SessionCredential
from monitord.identity.registration import Registration
from monitord.identity.user import Profile
from monitord.rpc import context as call
from monitord.rpc.account_export import AccountFile
from monitord.rpc.convert_account import tokens_pb, user_pb
from monitord.rpc.convert_time import timestamp_pb
from monitord.rpc.engine import Engine
from monitord.rpc.field_mask import written_paths
from monitord.rpc.limits import CallLimit
from monitord.v1 import account_service_pb2 as pb
from monitord.v1 import account_service_pb2_grpc

_EXPORTS_IN_ALL = 4
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

_WRITABLE = ("full_name", "phone", "bio")
"""Fields of a user that they decide themselves (T11)."""


class AccountService(account_service_pb2_grpc.AccountServiceServicer):
    """Serves AccountService."""

    def __init__(
        self,
        registration: Registration,
        accounts: Accounts,
        deletion: AccountDeletion,
        file: AccountFile,
        engine: Engine,
    ) -> None:
        self._registration = registration
        self._accounts = accounts
        self._deletion = deletion
        self._file = file
        self._engine = engine
        self._exports = CallLimit("exports", per_caller=1, in_all=_EXPORTS_IN_ALL)

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterResponse:
        """Begin an account."""
        signed_in = await self._registration.register(
            request.email,
            request.password,
            request.full_name,
            call.peer(),
            invitation=request.invitation_token,
            code=request.invitation_code,
        )
        if signed_in is None:
            return pb.RegisterResponse()
        return pb.RegisterResponse(tokens=tokens_pb(signed_in.tokens), user=user_pb(signed_in.user))

    async def VerifyEmail(self, request: pb.VerifyEmailRequest, context: Context) -> pb.VerifyEmailResponse:
        """Make the account whose address is proven."""
        signed_in = await self._registration.verify_email(
            call.peer(), token=request.token, email=request.email, code=request.code
        )
        return pb.VerifyEmailResponse(tokens=tokens_pb(signed_in.tokens), user=user_pb(signed_in.user))

    async def RequestPasswordReset(
        self, request: pb.RequestPasswordResetRequest, context: Context
    ) -> pb.RequestPasswordResetResponse:
        """Send a mail by which a new password can be set."""
        await self._registration.request_reset(request.email, call.peer())
        return pb.RequestPasswordResetResponse()

    async def ResetPassword(self, request: pb.ResetPasswordRequest, context: Context) -> pb.ResetPasswordResponse:
        """Set a new password by a mail."""
        await self._registration.reset(
            request.new_password, token=request.token, email=request.email, code=request.code
        )
        return pb.ResetPasswordResponse()

    async def ChangePassword(self, request: pb.ChangePasswordRequest, context: Context) -> pb.ChangePasswordResponse:
        """Set a new password by the old one."""
        signed_in = await self._registration.change_password(
            call.principal(), request.old_password, request.new_password, call.peer()
        )
        return pb.ChangePasswordResponse(tokens=tokens_pb(signed_in.tokens))

    async def InviteUser(self, request: pb.InviteUserRequest, context: Context) -> pb.InviteUserResponse:
        """Invite somebody to register."""
        await self._registration.invite(call.principal(), request.email)
        return pb.InviteUserResponse()

    async def UpdateUser(self, request: pb.UpdateUserRequest, context: Context) -> pb.UpdateUserResponse:
        """Change what the caller says of themselves."""
        changes = {
            path: getattr(request.user, path)
            for path in written_paths(request.user, request.update_mask.paths, _WRITABLE)
        }
        user = await self._accounts.update_user(call.principal(), Profile(**changes))
        return pb.UpdateUserResponse(user=user_pb(user))

    async def CompleteProfile(self, request: pb.CompleteProfileRequest, context: Context) -> pb.CompleteProfileResponse:
        """Store what a new account leaves open."""
        said = Profile(full_name=request.full_name, phone=request.phone, bio=request.bio)
        return pb.CompleteProfileResponse(user=user_pb(await self._accounts.complete_profile(call.principal(), said)))

    async def ExportAccount(
        self, request: pb.ExportAccountRequest, context: Context
    ) -> AsyncGenerator[pb.ExportAccountResponse, None]:
        """Send everything that is kept about the caller, and note it once all of it was taken."""
        principal = _in_person()
        with self._exports.hold(principal.user_id):
            async with contextlib.aclosing(self._file.chunks(principal)) as chunks:
                async for chunk in chunks:
                    yield pb.ExportAccountResponse(chunk=chunk)
            await self._deletion.exported(principal)

    async def DeleteAccount(self, request: pb.DeleteAccountRequest, context: Context) -> pb.DeleteAccountResponse:
        """Begin the deletion of the caller's account."""
        deletion_at, paused = await self._deletion.begin(
            _in_person(),
            request.password,
            request.confirm_email,
            call.peer(),
            without_export=request.without_export,
        )
        await self._engine.acts_on(paused)
        return pb.DeleteAccountResponse(delete_time=timestamp_pb(deletion_at))

    async def CancelAccountDeletion(
        self, request: pb.CancelAccountDeletionRequest, context: Context
    ) -> pb.CancelAccountDeletionResponse:
        """Take the deletion back."""
        principal = _in_person()
        await self._engine.acts_on(await self._deletion.cancel(principal))
        return pb.CancelAccountDeletionResponse(user=user_pb(await self._accounts.get_user(principal)))

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Context) -> pb.ListSessionsResponse:
        """Return the caller's sessions."""
        principal = call.principal()
        own = principal.credential.session_id if isinstance(principal.credential, SessionCredential) else None
        return pb.ListSessionsResponse(
            sessions=[
                pb.Session(
                    id=str(session.id),
                    create_time=timestamp_pb(session.created_at),
                    expire_time=timestamp_pb(session.expires_at),
                    address=session.address,
                    current=session.id == own,
                )
                for session in await self._accounts.list_sessions(principal)
            ]
        )

    async def RevokeSession(self, request: pb.RevokeSessionRequest, context: Context) -> pb.RevokeSessionResponse:
        """End one of the caller's sessions."""
        try:
            session_id = UUID(request.id)
        except ValueError:
            raise InvalidArgumentError(
                [Violation("id", "must be the id of a session, as ListSessions gives it")]
            ) from None
        await self._accounts.revoke_session(call.principal(), session_id)
        return pb.RevokeSessionResponse()


def _in_person() -> Principal:
    """Return the caller, who has signed in. Raises PermissionDeniedError for a key, which is for one organisation."""
    principal = call.principal()
    if isinstance(principal.credential, ApiKeyCredential):
        raise PermissionDeniedError("This is about all that is yours, and an API key is for one organisation: sign in.")
    return principal
