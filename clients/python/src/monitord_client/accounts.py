"""The calls of AuthService and AccountService."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta

from google.protobuf.field_mask_pb2 import FieldMask

from monitord_client.calls import Calls
from monitord_client.credentials import MemoryStore, Session, TokenStore
from monitord_client.times import duration
from monitord_client.v1 import account_service_pb2 as account_pb
from monitord_client.v1 import auth_service_pb2 as pb
from monitord_client.v1.account_service_pb2_grpc import AccountServiceStub
from monitord_client.v1.auth_pb2 import ApiKey, Scope, User
from monitord_client.v1.auth_service_pb2_grpc import AuthServiceStub


class AccountCalls:
    """Who is asking, their account and sessions, and the keys for machines."""

    def __init__(self, calls: Calls, store: TokenStore | None) -> None:
        self._calls = calls
        self._auth = AuthServiceStub(calls.channel)
        self._accounts = AccountServiceStub(calls.channel)
        self._store = store or MemoryStore()

    async def login(self, email: str, password: str) -> User:
        """Begin a session; from now on every call is made in its name, and its tokens renew themselves."""
        request = pb.LoginRequest(email=email, password=password)
        answer = await self._calls.unproven(self._auth.Login, request)
        await self._keep(answer.tokens)
        return answer.user

    async def login_with_id_token(self, id_token: str) -> pb.LoginWithIdTokenResponse:
        """Begin a session as ``login`` does, with what Firebase gives as the ID token of a user.

        ``is_new_user`` of the answer tells whether the account was made by this.
        """
        answer = await self._calls.unproven(self._auth.LoginWithIdToken, pb.LoginWithIdTokenRequest(id_token=id_token))
        await self._keep(answer.tokens)
        return answer

    async def _keep(self, tokens: pb.TokenPair) -> None:
        async with self._store.exclusive():
            await self._store.save(tokens)
        self._calls.credentials = Session(self._store)

    async def logout(self) -> None:
        """End the session, if there is one."""
        async with self._store.exclusive():
            tokens = await self._store.load()
            if tokens is not None:
                await self._calls.unproven(self._auth.Logout, pb.LogoutRequest(refresh_token=tokens.refresh_token))
                await self._store.save(None)

    async def get_user(self, *, timeout_s: float | None = None) -> User:
        """Return whoever is asking."""
        answer = await self._calls.unary(self._auth.GetUser, pb.GetUserRequest(), safe=True, timeout_s=timeout_s)
        return answer.user

    async def create_api_key(
        self,
        display_name: str,
        scope: Scope.ValueType,
        *,
        time_to_live: timedelta | None = None,
        labels: Mapping[str, str] | None = None,
        allowed_networks: Sequence[str] = (),
        request_id: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.CreateApiKeyResponse:
        """Make a key for the organisation that the call acts in. Its ``secret`` is shown this once.

        With ``labels`` it is for the monitors that have all of them, with ``allowed_networks`` (such as
        ``192.0.2.0/24``, at most 100) for calls from there.
        """
        request = pb.CreateApiKeyRequest(
            display_name=display_name,
            scope=scope,
            time_to_live=duration(time_to_live),
            labels=labels,
            allowed_networks=allowed_networks,
            request_id=request_id or str(uuid.uuid4()),
        )
        return await self._calls.unary(self._auth.CreateApiKey, request, safe=True, timeout_s=timeout_s)

    def list_api_keys(self, *, page_size: int = 0, timeout_s: float | None = None) -> AsyncIterator[ApiKey]:
        """Iterate over the caller's keys, newest first, without their secrets."""
        request = pb.ListApiKeysRequest(page_size=page_size)

        async def fetch(token: str) -> pb.ListApiKeysResponse:
            request.page_token = token
            return await self._calls.unary(self._auth.ListApiKeys, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.api_keys, lambda page: page.next_page_token)

    async def revoke_api_key(self, key_id: str, *, timeout_s: float | None = None) -> None:
        """Make a key worthless at once. Revoking what is revoked is no error."""
        request = pb.RevokeApiKeyRequest(id=key_id)
        await self._calls.unary(self._auth.RevokeApiKey, request, safe=True, timeout_s=timeout_s)

    # AccountService

    async def register(
        self, email: str, password: str, full_name: str = "", *, invitation_token: str = "", invitation_code: str = ""
    ) -> User | None:
        """Begin an account. Whoever was invited has it, and a session as by ``login``, at once.

        None: a mail asks whether the address is the caller's; go on with ``verify_email``.
        """
        request = account_pb.RegisterRequest(
            email=email,
            password=password,
            full_name=full_name,
            invitation_token=invitation_token,
            invitation_code=invitation_code,
        )
        answer = await self._calls.unproven(self._accounts.Register, request)
        if not answer.HasField("tokens"):
            return None
        await self._keep(answer.tokens)
        return answer.user

    async def verify_email(self, *, token: str = "", email: str = "", code: str = "") -> User:
        """Make the account whose address the link's ``token`` proves, or ``code``; begin a session as by ``login``."""
        request = account_pb.VerifyEmailRequest(token=token, email=email, code=code)
        answer = await self._calls.unproven(self._accounts.VerifyEmail, request)
        await self._keep(answer.tokens)
        return answer.user

    async def request_password_reset(self, email: str) -> None:
        """Have a mail sent by which a new password can be set, if there is such an account; that isn't told."""
        request = account_pb.RequestPasswordResetRequest(email=email)
        await self._calls.unproven(self._accounts.RequestPasswordReset, request)

    async def reset_password(self, new_password: str, *, token: str = "", email: str = "", code: str = "") -> None:
        """Set a new password by the token of that mail's link, or by its code. All sessions end."""
        request = account_pb.ResetPasswordRequest(token=token, email=email, code=code, new_password=new_password)
        await self._calls.unproven(self._accounts.ResetPassword, request)

    async def change_password(self, old_password: str, new_password: str, *, timeout_s: float | None = None) -> None:
        """Set a new password by the old one. All sessions end; this client's goes on, with tokens of a new one.

        Raises UnauthenticatedError for a wrong password. Never repeated: wrong ones are counted.
        """
        request = account_pb.ChangePasswordRequest(old_password=old_password, new_password=new_password)
        token = await self._calls.bearer()
        async with self._store.exclusive():  # whoever renewed the old session meanwhile would find it ended
            answer = await self._calls.once(self._accounts.ChangePassword, request, token, timeout_s=timeout_s)
            if isinstance(self._calls.credentials, Session):
                await self._store.save(answer.tokens)
                return
        # A key goes on by itself: nobody would ever use the session that was begun.
        await self._calls.unproven(self._auth.Logout, pb.LogoutRequest(refresh_token=answer.tokens.refresh_token))

    async def invite_user(self, email: str, *, timeout_s: float | None = None) -> None:
        """Invite an address to register. For administrators of this monitord. Never repeated: each is a mail."""
        request = account_pb.InviteUserRequest(email=email)
        await self._calls.unary(self._accounts.InviteUser, request, safe=False, timeout_s=timeout_s)

    async def update_user(self, user: User, *, fields: Sequence[str] = (), timeout_s: float | None = None) -> User:
        """Change ``full_name`` and ``phone``, or those that ``fields`` names; none: those that are set."""
        mask = FieldMask(paths=fields) if fields else None
        request = account_pb.UpdateUserRequest(user=user, update_mask=mask)
        answer = await self._calls.unary(self._accounts.UpdateUser, request, safe=True, timeout_s=timeout_s)
        return answer.user

    def list_sessions(self, *, timeout_s: float | None = None) -> AsyncIterator[account_pb.Session]:
        """Iterate over the caller's sessions that are not over, newest first."""

        async def fetch(_: str) -> account_pb.ListSessionsResponse:
            method, request = self._accounts.ListSessions, account_pb.ListSessionsRequest()
            return await self._calls.unary(method, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.sessions, lambda _: "")

    async def revoke_session(self, session_id: str, *, timeout_s: float | None = None) -> None:
        """End one of the caller's sessions at once. Ending what has ended is no error."""
        request = account_pb.RevokeSessionRequest(id=session_id)
        await self._calls.unary(self._accounts.RevokeSession, request, safe=True, timeout_s=timeout_s)
