"""ID tokens of Firebase as the bearer of a call: from the token to the principal, and whether that still holds."""

import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from monitord.domain.errors import ResourceExhaustedError, UnauthenticatedError, UnavailableError
from monitord.domain.instant import SECOND, Instant
from monitord.identity.credential_cache import TTL_S, CredentialCache
from monitord.identity.firebase import FirebaseIdentity
from monitord.identity.principal import FirebaseCredential, Principal, Scope

_NO_ACCOUNT = "This Firebase user has no account here: call LoginWithIdToken once, which makes it."


class FirebaseUser(msgspec.Struct, frozen=True, kw_only=True):
    """The user of a Firebase uid, as the database has it."""

    user_id: int
    org_id: int
    session_version: int = 1
    """As it is now: a stream that was opened before it grew has ended (T12)."""


class FirebaseUserSource(Protocol):
    """Where users are looked up by their uid: who they are is the answer (T9's one exception)."""

    async def firebase_user(self, uid: str) -> FirebaseUser | None:
        """Return the user of a uid of Firebase."""
        ...


class TokenVerifier(Protocol):
    """Knows whom ID tokens prove; see ``firebase.FirebaseTokens``."""

    def takes(self, token: str) -> bool:
        """Tell whether a token says that it is one of Firebase."""
        ...

    async def verify(self, token: str, *, fresh: bool = False) -> FirebaseIdentity:
        """Return whom a token proves, or raise; ``fresh``: as Google says now."""
        ...


class FirebaseBearers:
    """Tells who shows an ID token. Costs microseconds while the token was verified within a minute (T13)."""

    def __init__(
        self,
        tokens: TokenVerifier,
        source: FirebaseUserSource,
        *,
        now: Callable[[], Instant],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = tokens
        self._now = now
        self._users: CredentialCache[str, FirebaseUser] = CredentialCache(source.firebase_user, clock=clock)

    def takes(self, credential: str) -> bool:
        """Tell whether a credential is to be judged here."""
        return self._tokens.takes(credential)

    async def authenticate(self, token: str) -> Principal:
        """Return whom a token proves.

        Raises UnauthenticatedError; UnavailableError when Google or the database is away; ResourceExhaustedError.
        """
        identity = await self._tokens.verify(token)
        user = await self._users.get(identity.uid)
        if user is None:
            raise UnauthenticatedError(_NO_ACCOUNT)
        credential = FirebaseCredential(identity.uid, identity.expires_at, token, user.session_version)
        # As for a session: whoever signed in may do all that there is to do with what is theirs.
        return Principal(user.user_id, user.org_id, Scope.ADMIN, credential)

    async def still_valid(self, principal: Principal, credential: FirebaseCredential) -> bool:
        """Tell whether the token of an open stream is still good: not expired, revoked or disabled, its user there.

        While Google or the database is away the last answer stands, until the token expires.
        """
        if self._now() >= credential.expires_at:
            return False
        try:
            await self._tokens.verify(credential.token)
        except UnauthenticatedError:
            return False
        except (UnavailableError, ResourceExhaustedError):
            pass
        try:
            user = await self._users.get(credential.uid)
        except (UnavailableError, ResourceExhaustedError):
            return True
        return (
            user is not None
            and user.user_id == principal.user_id
            and user.session_version == credential.session_version
        )

    def next_look_s(self, credential: FirebaseCredential) -> float:
        """Return after how many seconds to ask ``still_valid`` again."""
        return max(0.0, min(TTL_S, (credential.expires_at - self._now()) / SECOND))

    def forget(self, uid: str) -> None:
        """Make sure that the next use of a uid asks the database."""
        self._users.forget(uid)
