"""From what a call shows to the principal it acts for, and whether that still holds (T10, T12)."""

import asyncio
import hmac
import time
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec

from monitord.domain.allow_list import Network, holds
from monitord.domain.errors import (
    AddressNotAllowedError,
    NotFoundError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from monitord.domain.instant import SECOND, Instant
from monitord.domain.organisation import Role
from monitord.identity import api_keys
from monitord.identity.credential_cache import TTL_S, CredentialCache
from monitord.identity.firebase_bearers import FirebaseBearers
from monitord.identity.principal import (
    ApiKeyCredential,
    Credential,
    FirebaseCredential,
    Principal,
    Scope,
    SessionCredential,
)
from monitord.identity.tokens import Tokens

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_LONGEST_CREDENTIAL = 4096
_NOBODY = bytes(32)

_NO_CREDENTIAL = "Send the metadata `authorization: Bearer <access token or API key>`; Login gives an access token."
_WRONG_API_KEY = "The API key is unknown, expired or revoked: send one that is valid, or make one with CreateApiKey."
_ENDED_SESSION = "The session of this access token has ended: sign in again with Login."


class Seat(msgspec.Struct, frozen=True):
    """Somebody's place in an organisation, as the database has it."""

    role: Role
    networks: tuple[Network, ...] = ()
    """From where the organisation may be acted in; empty: from everywhere."""


class ApiKeyState(msgspec.Struct, frozen=True, kw_only=True):
    """An API key that is not revoked, and whose owner is a member of its organisation, as the database has it."""

    key_id: str
    user_id: int
    org_id: int
    scope: Scope
    seat: Seat
    """The owner's, in the key's organisation."""
    networks: tuple[Network, ...] = ()
    """From where the key may be used; empty: from everywhere."""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Of the monitors that the key is for; empty: all."""
    digest: bytes
    expires_at: Instant | None

    def __repr__(self) -> str:
        """Leave the digest out (T15)."""
        return f"ApiKeyState({self.key_id!r}, user_id={self.user_id}, scope={self.scope!r})"


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """A session that has not been ended, as the database has it."""

    session_id: UUID
    user_id: int
    org_id: int
    """The user's personal one."""
    session_version: int
    """The user's, now."""
    expires_at: Instant


class Membership(NamedTuple):
    """Somebody in an organisation."""

    user_id: int
    org_id: int


class CredentialSource(Protocol):
    """Where credentials are looked up, by their own id: who owns them is the answer (T9's one exception)."""

    async def api_key_state(self, key_id: str) -> ApiKeyState | None:
        """Return the key unless it is unknown or revoked; an expired one may come back."""
        ...

    async def session_state(self, session_id: UUID) -> SessionState | None:
        """Return the session unless it is unknown or was ended; an expired one may come back."""
        ...

    async def seat_of(self, member: Membership) -> Seat | None:
        """Return a user's place in an organisation; None when they are no member."""
        ...


class Authenticator:
    """Tells who is asking. Costs microseconds and no query while the credential was seen within ten seconds."""

    def __init__(
        self,
        source: CredentialSource,
        tokens: Tokens,
        *,
        now: Callable[[], Instant],
        on_use: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        firebase: FirebaseBearers | None = None,
    ) -> None:
        """``on_use`` is told the id of an API key with each use of it. Without ``firebase`` no ID token is taken."""
        self._firebase = firebase
        self._tokens = tokens
        self._now = now
        self._on_use = on_use
        self._keys: CredentialCache[str, ApiKeyState] = CredentialCache(source.api_key_state, clock=clock)
        self._sessions: CredentialCache[UUID, SessionState] = CredentialCache(source.session_state, clock=clock)
        self._seats: CredentialCache[Membership, Seat] = CredentialCache(source.seat_of, clock=clock)
        self._changed = asyncio.Event()

    async def authenticate(self, authorization: str | None, org_id: int | None = None, address: str = "") -> Principal:
        """Return whom the value of the ``authorization`` metadata proves, as they act in an organisation.

        Without ``org_id`` that is an API key's own, and a user's personal one; ``address`` is where the call comes
        from. Raises UnauthenticatedError, with a sentence that says what would be right and nothing of who exists;
        NotFoundError for an organisation that they are no member of; AddressNotAllowedError; UnavailableError when the
        database is away; ResourceExhaustedError under a flood of unknown keys.
        """
        credential = _bearer(authorization)
        if credential.startswith(api_keys.PREFIX):
            return await self._by_api_key(credential, org_id, address)
        if self._firebase is not None and self._firebase.takes(credential):
            proven = await self._firebase.authenticate(credential)
        else:
            proven = await self._by_access_token(credential)
        return await self._seated(proven, proven.org_id if org_id is None else org_id, address)

    async def still_valid(self, principal: Principal) -> bool:
        """Tell whether the credential of an open stream is still good (T12).

        An access token's own expiry ends no stream that it opened; the end of its session does. An ID token of Firebase
        has no session, and its expiry ends the stream. While the database is
        away the last answer stands: nothing can be revoked then, and there is nothing new that a stream could show.
        """
        credential = principal.credential
        if isinstance(credential, ApiKeyCredential):
            key = await self._current(self._keys, credential.key_id)
            return key is not None and not self._has_passed(key.expires_at) and _is_let_in(key, principal.address)
        if isinstance(credential, FirebaseCredential):
            proven = self._firebase is not None and await self._firebase.still_valid(principal, credential)
        else:
            session = await self._current(self._sessions, credential.session_id)
            proven = session is not None and self._holds(session, credential)
        return proven and await self._keeps_seat(principal)

    async def wait_until_invalid(self, principal: Principal) -> None:
        """Return as soon as the credential stops being good: at once for what happens here, else within ten seconds.

        For an open stream to run beside its messages.
        """
        while True:
            changed = self._changed
            if not await self.still_valid(principal):
                return
            try:
                async with asyncio.timeout(self._next_look_s(principal.credential)):
                    await changed.wait()
            except TimeoutError:
                continue

    def forget(self, credential: Credential) -> None:
        """Make sure that the next use of a credential asks the database: call this after it has been ended there."""
        if isinstance(credential, ApiKeyCredential):
            self._keys.forget(credential.key_id)
        elif isinstance(credential, FirebaseCredential):
            if self._firebase is not None:
                self._firebase.forget(credential.uid)
        else:
            self._sessions.forget(credential.session_id)
        self._announce()

    def forget_member(self, user_id: int, org_id: int) -> None:
        """Make sure that the next use of a membership asks the database, keys included: call this after it changed."""
        self._seats.forget(Membership(user_id, org_id))
        self._keys.forget_where(lambda _, key: key.user_id == user_id and key.org_id == org_id)
        self._announce()

    def forget_organisation(self, org_id: int) -> None:
        """Do the same for all members of an organisation: call this after its allow list changed."""
        self._seats.forget_where(lambda member, _: member.org_id == org_id)
        self._keys.forget_where(lambda _, key: key.org_id == org_id)
        self._announce()

    async def _seated(self, proven: Principal, org_id: int, address: str) -> Principal:
        """Return a user as they act in an organisation of theirs."""
        seat = await self._seats.get(Membership(proven.user_id, org_id))
        if seat is None:
            raise _no_organisation(org_id)
        if not _allows(seat.networks, address):
            raise _not_from_there("organisation", address)
        return msgspec.structs.replace(proven, org_id=org_id, role=seat.role, address=address)

    async def _by_api_key(self, text: str, org_id: int | None, address: str) -> Principal:
        key_id = api_keys.parse_id(text)
        if key_id is None:
            raise UnauthenticatedError(
                "This begins like an API key and is none: it may have been cut or mistyped. "
                "Send it as CreateApiKey gave it."
            )
        key = await self._keys.get(key_id)
        right = hmac.compare_digest(api_keys.digest(text), _NOBODY if key is None else key.digest)
        if key is None or not right or self._has_passed(key.expires_at):
            raise UnauthenticatedError(_WRONG_API_KEY)
        if org_id not in (None, key.org_id):
            raise _no_organisation(org_id)
        if not _is_let_in(key, address):
            raise _not_from_there("API key, or of its organisation", address)
        self._on_use(key_id)
        return Principal(
            key.user_id,
            key.org_id,
            key.scope,
            ApiKeyCredential(key_id),
            key.seat.role,
            labels=key.labels,
            networks=key.networks,
            address=address,
        )

    async def _by_access_token(self, token: str) -> Principal:
        claims = self._tokens.verify_access(token)
        session = await self._sessions.get(claims.credential.session_id)
        if session is None or session.user_id != claims.user_id or not self._holds(session, claims.credential):
            raise UnauthenticatedError(_ENDED_SESSION)
        # Whoever signed in may do all that there is to do with what is theirs; lesser scopes are for keys.
        return Principal(session.user_id, session.org_id, Scope.ADMIN, claims.credential)

    def _holds(self, session: SessionState, credential: SessionCredential) -> bool:
        return session.session_version == credential.session_version and not self._has_passed(session.expires_at)

    def _has_passed(self, expires_at: Instant | None) -> bool:
        return expires_at is not None and self._now() >= expires_at

    def _next_look_s(self, credential: Credential) -> float:
        state: ApiKeyState | SessionState | None
        if isinstance(credential, ApiKeyCredential):
            state = self._keys.last_known(credential.key_id)
        elif isinstance(credential, FirebaseCredential):
            return TTL_S if self._firebase is None else self._firebase.next_look_s(credential)
        else:
            state = self._sessions.last_known(credential.session_id)
        if state is None or state.expires_at is None:
            return TTL_S
        return max(0.0, min(TTL_S, (state.expires_at - self._now()) / SECOND))

    async def _keeps_seat(self, principal: Principal) -> bool:
        try:
            seat = await self._seats.get(Membership(principal.user_id, principal.org_id))
        except (UnavailableError, ResourceExhaustedError):
            return True  # they had it when they began
        return seat is not None and _allows(seat.networks, principal.address)

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _current(self, cache: CredentialCache[K, V], key: K) -> V | None:
        try:
            return await cache.get(key)
        except (UnavailableError, ResourceExhaustedError):
            return cache.last_known(key)


def _bearer(authorization: str | None) -> str:
    """Return the credential of ``Bearer <credential>``; the scheme's case doesn't matter (RFC 9110, 11.1)."""
    scheme, _, credential = (authorization or "").partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential or len(credential) > _LONGEST_CREDENTIAL:
        raise UnauthenticatedError(_NO_CREDENTIAL)
    return credential


def _allows(networks: Collection[Network], address: str) -> bool:
    return not networks or holds(networks, address)


def _is_let_in(key: ApiKeyState, address: str) -> bool:
    return _allows(key.networks, address) and _allows(key.seat.networks, address)


def _no_organisation(org_id: int | None) -> NotFoundError:
    return NotFoundError(
        f"There is no organisation {org_id} that this credential may act in.", organisation_id=str(org_id)
    )


def _not_from_there(what: str, address: str) -> AddressNotAllowedError:
    return AddressNotAllowedError(
        f"The allow list of this {what} does not have {address or 'this address'}: an administrator can add it.",
        address=address,
    )
