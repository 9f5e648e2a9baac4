"""The calls of AuthService."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

from monitord_client.calls import Calls
from monitord_client.credentials import MemoryStore, Session, TokenStore
from monitord_client.times import duration
from monitord_client.v1 import auth_service_pb2 as pb
from monitord_client.v1.auth_pb2 import ApiKey, Scope, User
from monitord_client.v1.auth_service_pb2_grpc import AuthServiceStub


class AccountCalls:
    """Who is asking, and the keys for machines."""

    def __init__(self, calls: Calls, store: TokenStore | None) -> None:
        self._calls = calls
        self._auth = AuthServiceStub(calls.channel)
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
        request_id: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.CreateApiKeyResponse:
        """Make a key. Its ``secret`` is shown this once."""
        request = pb.CreateApiKeyRequest(
            display_name=display_name,
            scope=scope,
            time_to_live=duration(time_to_live),
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
