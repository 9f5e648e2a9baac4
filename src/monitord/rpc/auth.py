"""AuthService: from messages to identity and back. Who is asking comes from the call's context alone (T10)."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NamedTuple, Protocol, TypeAlias

import grpc
import msgspec

from monitord.domain.allow_list import Network
from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.rules.labels import of_labels
from monitord.domain.rules.networks import read_networks
from monitord.identity.accounts import Accounts, key_violations
from monitord.identity.api_keys import ApiKey
from monitord.identity.firebase_sign_in import NoFirebase
from monitord.identity.principal import Scope
from monitord.identity.sessions import Sessions, SignIn
from monitord.rpc import context as call
from monitord.rpc.convert_account import tokens_pb, user_pb
from monitord.rpc.convert_time import seconds_of, timestamp_pb
from monitord.rpc.paging import KeyText, decode_page_token, encode_page_token, fingerprint, page_size
from monitord.v1 import auth_pb2, auth_service_pb2_grpc
from monitord.v1 import auth_service_pb2 as pb

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

_KeyInstant = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999_999)]
"""Whatever a forged page token says, it is an instant that Postgres and Python have: up to the end of 9999."""

_KEY_ID = re.compile("[0-9A-Za-z]{1,64}")
_REQUEST_ID = re.compile("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_SCOPES = {
    auth_pb2.SCOPE_READ: Scope.READ,
    auth_pb2.SCOPE_WRITE: Scope.WRITE,
    auth_pb2.SCOPE_ADMIN: Scope.ADMIN,
}
_SCOPES_PB = {scope: value for value, scope in _SCOPES.items()}
_LONGEST_ID_TOKEN = 4096


class _KeyPosition(msgspec.Struct, frozen=True, array_like=True):
    created_at: _KeyInstant
    id: KeyText


class RequestLedger(Protocol):
    """Remembers the answers to calls with a request_id for 24 hours (I14)."""

    async def once(
        self, org_id: int, method: str, request_id: str, request: bytes, act: Callable[[Any], Awaitable[bytes]]
    ) -> bytes:
        """Return what ``act`` answered, running it in a transaction unless it has been run for this request_id."""
        ...


class IdTokenSignIn(Protocol):
    """Signs in with ID tokens of Firebase."""

    async def login(self, id_token: str, peer: str) -> tuple[SignIn, bool]:
        """Begin a session, and tell whether the account is new."""
        ...


class AuthHandler(auth_service_pb2_grpc.AuthServiceServicer):
    """Serves AuthService."""

    def __init__(
        self, sessions: Sessions, accounts: Accounts, requests: RequestLedger, firebase: IdTokenSignIn | None = None
    ) -> None:
        """Without ``firebase`` ID tokens are refused with the reason."""
        self._firebase = firebase or NoFirebase()
        self._sessions = sessions
        self._accounts = accounts
        self._requests = requests

    async def Login(self, request: pb.LoginRequest, context: Context) -> pb.LoginResponse:  # noqa: N802
        """Exchange an e-mail address and a password for tokens."""
        signed_in = await self._sessions.login(request.email, request.password, call.peer())
        return pb.LoginResponse(tokens=tokens_pb(signed_in.tokens), user=user_pb(signed_in.user))

    async def LoginWithIdToken(  # noqa: N802
        self, request: pb.LoginWithIdTokenRequest, context: Context
    ) -> pb.LoginWithIdTokenResponse:
        """Exchange an ID token of Firebase for tokens."""
        id_token = _required(request.id_token, "id_token")
        if len(id_token) > _LONGEST_ID_TOKEN:
            raise InvalidArgumentError([Violation("id_token", f"must be at most {_LONGEST_ID_TOKEN} characters")])
        signed_in, is_new = await self._firebase.login(id_token, call.peer())
        return pb.LoginWithIdTokenResponse(
            tokens=tokens_pb(signed_in.tokens), user=user_pb(signed_in.user), is_new_user=is_new
        )

    async def Refresh(self, request: pb.RefreshRequest, context: Context) -> pb.RefreshResponse:  # noqa: N802
        """Exchange a refresh token for new tokens."""
        pair = await self._sessions.refresh(_required(request.refresh_token, "refresh_token"))
        return pb.RefreshResponse(tokens=tokens_pb(pair))

    async def Logout(self, request: pb.LogoutRequest, context: Context) -> pb.LogoutResponse:  # noqa: N802
        """End a session."""
        await self._sessions.logout(_required(request.refresh_token, "refresh_token"))
        return pb.LogoutResponse()

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:  # noqa: N802
        """Return whoever is asking."""
        return pb.GetUserResponse(user=user_pb(await self._accounts.get_user(call.principal())))

    async def CreateApiKey(  # noqa: N802
        self, request: pb.CreateApiKeyRequest, context: Context
    ) -> pb.CreateApiKeyResponse:
        """Make a key."""
        principal = call.principal()
        wish = _read_key(request)

        async def create(tx: Any = None) -> bytes:
            made = await self._accounts.create_api_key(
                principal,
                request.display_name,
                wish.scope,
                wish.lifetime_s,
                labels=dict(request.labels),
                networks=wish.networks,
                tx=tx,
            )
            response = pb.CreateApiKeyResponse(api_key=_api_key_pb(made.key), secret=made.secret)
            return response.SerializeToString()

        if not request.request_id:
            return pb.CreateApiKeyResponse.FromString(await create())
        # The secret in an answer that is given again is for the same user alone, not for all of the organisation.
        asked = b"%d:" % principal.user_id + request.SerializeToString(deterministic=True)
        answer = await self._requests.once(principal.org_id, "CreateApiKey", request.request_id, asked, create)
        return pb.CreateApiKeyResponse.FromString(answer)

    async def ListApiKeys(  # noqa: N802
        self, request: pb.ListApiKeysRequest, context: Context
    ) -> pb.ListApiKeysResponse:
        """Return a page of the caller's keys."""
        principal = call.principal()
        size, query = page_size(request.page_size), fingerprint(principal.org_id, request)
        after = None
        if request.page_token:
            position = decode_page_token(query, request.page_token, _KeyPosition)
            after = (position.created_at, position.id)
        keys = await self._accounts.list_api_keys(principal, limit=size + 1, after=after)
        page = keys[:size]
        response = pb.ListApiKeysResponse(api_keys=[_api_key_pb(key) for key in page])
        if len(keys) > size:
            response.next_page_token = encode_page_token(query, _KeyPosition(page[-1].created_at, page[-1].id))
        return response

    async def RevokeApiKey(  # noqa: N802
        self, request: pb.RevokeApiKeyRequest, context: Context
    ) -> pb.RevokeApiKeyResponse:
        """Make a key worthless."""
        if not _KEY_ID.fullmatch(request.id):
            raise InvalidArgumentError([Violation("id", "must be the id of an API key, as ListApiKeys gives it")])
        await self._accounts.revoke_api_key(call.principal(), request.id)
        return pb.RevokeApiKeyResponse()


class _KeyWish(NamedTuple):
    scope: Scope
    lifetime_s: int | None
    networks: tuple[Network, ...]


def _read_key(request: pb.CreateApiKeyRequest) -> _KeyWish:
    found: list[Violation] = []
    scope = _SCOPES.get(request.scope)
    if scope is None:
        found.append(Violation("scope", f"must be one of {', '.join(map(auth_pb2.Scope.Name, _SCOPES))}"))
    lifetime_s = None
    if request.HasField("time_to_live"):
        lifetime_s = seconds_of(request.time_to_live, "time_to_live", found)
    found += key_violations(request.display_name, lifetime_s)
    found += of_labels(request.labels)
    networks = read_networks(request.allowed_networks, "allowed_networks", found)
    if request.request_id and not _REQUEST_ID.fullmatch(request.request_id):
        found.append(Violation("request_id", "must be a UUID such as 6f1d3a5e-8a1c-4a53-9d5b-0c1a2b3c4d5e, or empty"))
    if found or scope is None:
        raise InvalidArgumentError(found)
    return _KeyWish(scope, lifetime_s, networks)


def _required(value: str, field: str) -> str:
    if not value:
        raise InvalidArgumentError([Violation(field, "is required")])
    return value


def _api_key_pb(key: ApiKey) -> auth_pb2.ApiKey:
    return auth_pb2.ApiKey(
        id=key.id,
        display_name=key.display_name,
        scope=_SCOPES_PB[key.scope],
        create_time=timestamp_pb(key.created_at),
        expire_time=None if key.expires_at is None else timestamp_pb(key.expires_at),
        last_use_time=None if key.last_used_at is None else timestamp_pb(key.last_used_at),
        labels=key.labels,
        allowed_networks=[str(network) for network in key.networks],
    )
