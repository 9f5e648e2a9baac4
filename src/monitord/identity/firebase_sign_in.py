"""Signing in with an ID token of Firebase, and the accounts that are made by it."""

from collections.abc import Callable
from hashlib import sha256
from typing import Protocol

import msgspec

from monitord.domain.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from monitord.domain.instant import Instant
from monitord.identity.firebase import FirebaseIdentity
from monitord.identity.firebase_bearers import TokenVerifier
from monitord.identity.sessions import SignIn
from monitord.identity.throttle import LoginThrottle
from monitord.identity.user import Account

_NOT_SET_UP = "Signing in with Firebase is not set up: whoever runs this server has to set FIREBASE_SERVICE_ACCOUNT."
_NOT_OURS = "This is no ID token of this server's Firebase project: send what getIdToken gives."
_TAKEN = "There is an account with this e-mail address that signs in in another way: sign in as before."
_CHANGED = "The account was changed at this moment: sign in again."


class FirebaseAccount(msgspec.Struct, frozen=True):
    """The account of a Firebase user."""

    account: Account
    is_new: bool


class FirebaseAccountStore(Protocol):
    """Where accounts are kept. Raises UnavailableError when the database is away."""

    async def firebase_account(self, identity: FirebaseIdentity, *, at: Instant) -> FirebaseAccount | None:
        """Return the account of a Firebase user, which is made if there is none.

        One that was kept without a uid is theirs only if they have proven its address, and sign in as it always did:
        someone else may have opened it with a password (T14). None: there is one with the address they have proven,
        and it isn't theirs by that rule. An address that is not proven finds, takes and tells nothing.
        """
        ...


class SessionStarter(Protocol):
    """Begins sessions; see ``sessions.Sessions``."""

    async def begin(self, account: Account, peer: str) -> SignIn | None:
        """Begin a session of one who has proven who they are; None when the session version has changed."""
        ...


class FirebaseSignIn:
    """What LoginWithIdToken does."""

    def __init__(
        self,
        tokens: TokenVerifier,
        store: FirebaseAccountStore,
        sessions: SessionStarter,
        throttle: LoginThrottle,
        *,
        now: Callable[[], Instant],
        made: Callable[[str], None],
    ) -> None:
        """``throttle`` is that of passwords: wrong tokens and wrong passwords of an address count together.

        ``made`` is told the uid of each account that was made or found.
        """
        self._tokens = tokens
        self._store = store
        self._sessions = sessions
        self._throttle = throttle
        self._now = now
        self._made = made

    async def login(self, id_token: str, peer: str) -> tuple[SignIn, bool]:
        """Begin a session, and tell whether the account is new.

        Google is asked at this moment whether the token was revoked or its user disabled (T13). Raises
        UnauthenticatedError; AlreadyExistsError when the address, which is proven, is another account's;
        ResourceExhaustedError after too many failures of an address; UnavailableError when Google or the database is
        away.
        """
        attempt = self._throttle.begin(sha256(id_token.encode("utf-8", "surrogatepass")).hexdigest(), peer)
        try:
            if not self._tokens.takes(id_token):
                raise UnauthenticatedError(_NOT_OURS)
            identity = await self._tokens.verify(id_token, fresh=True)
            found = await self._store.firebase_account(identity, at=self._now())
            signed_in = None if found is None else await self._sessions.begin(found.account, peer)
        except (UnavailableError, ResourceExhaustedError):
            attempt.undecided()
            raise
        # Not `succeeded`: the address learns nothing that would let it try passwords of others.
        attempt.undecided()
        if found is None:
            raise AlreadyExistsError(_TAKEN)
        if signed_in is None:
            raise UnauthenticatedError(_CHANGED)
        self._made(identity.uid)
        return signed_in, found.is_new


class NoFirebase:
    """What LoginWithIdToken does where Firebase is not set up."""

    async def login(self, id_token: str, peer: str) -> tuple[SignIn, bool]:
        """Raise FailedPreconditionError."""
        raise FailedPreconditionError(_NOT_SET_UP)
