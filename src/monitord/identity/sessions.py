"""Signing in, staying signed in, signing out."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias
from uuid import UUID, uuid4

import msgspec
import structlog

from monitord.domain.errors import (
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from monitord.domain.instant import DAY, Instant
from monitord.identity import passwords, tokens
from monitord.identity.passwords import Passwords
from monitord.identity.principal import Credential, SessionCredential
from monitord.identity.throttle import LoginThrottle
from monitord.identity.tokens import TokenPair, Tokens
from monitord.identity.user import Account, User, normalise_email

IDLE_LIFETIME_US = 30 * DAY
"""A session that is not refreshed for this long is over."""
LONGEST_LIFETIME_US = 90 * DAY
"""So is one that began this long ago, however often it was refreshed."""

_WRONG_LOGIN = "The e-mail address or the password is wrong."
_OVER = "The refresh token was used before, or its session is over: sign in again with Login."
_NOT_WELCOME = "This Firebase user was disabled, deleted or signed out everywhere: sign in to Firebase again."

log = structlog.get_logger()


class SignIn(msgspec.Struct, frozen=True):
    """A new session."""

    tokens: TokenPair
    user: User


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session, as its owner sees it."""

    id: UUID
    created_at: Instant
    expires_at: Instant
    """Unless it is refreshed."""
    address: str
    """From where it was begun; empty: from before that was kept."""


class Rotation(msgspec.Struct, frozen=True):
    """A session whose refresh token was just replaced."""

    user_id: int
    session_version: int
    expires_at: Instant
    began_at: Instant
    firebase_uid: str | None = None
    """Of one whose only way in is Firebase."""


Welcome: TypeAlias = Callable[[str, Instant], Awaitable[bool]]
"""Tells whether a Firebase user who signed in then is still welcome there."""


class SessionStore(Protocol):
    """Where accounts and sessions are kept. Every method raises UnavailableError when the database is away."""

    async def account(self, email: str) -> Account | None:
        """Return the account with a normalised address."""
        ...

    async def create_session(
        self,
        session_id: UUID,
        account: Account,
        refresh_digest: bytes,
        *,
        created_at: Instant,
        expires_at: Instant,
        address: str,
    ) -> bool:
        """Store a session, unless the account's session version has changed meanwhile: then return False."""
        ...

    async def rotate_session(
        self, session_id: UUID, old: bytes, new: bytes, *, at: Instant, expires_at: Instant, longest_us: int
    ) -> Rotation | None:
        """Replace the refresh digest ``old`` in one step; None when it is not the current one, or all is over."""
        ...

    async def end_session(self, session_id: UUID, *, at: Instant) -> bool:
        """End a session; return whether that changed anything."""
        ...


class Sessions:
    """Begins, prolongs and ends sessions. ``ended`` is told of each that was ended, after the commit."""

    def __init__(
        self,
        store: SessionStore,
        hasher: Passwords,
        issuer: Tokens,
        throttle: LoginThrottle,
        *,
        now: Callable[[], Instant],
        ended: Callable[[Credential], None],
        failed: Callable[[str], None] = lambda email: None,
        welcome: Welcome | None = None,
    ) -> None:
        """``failed`` is told of a wrong password for an account; it must return at once (T14).

        Without ``welcome`` nobody is asked about those who came through Firebase.
        """
        self._failed = failed
        self._welcome = welcome
        self._store = store
        self._hasher = hasher
        self._issuer = issuer
        self._throttle = throttle
        self._now = now
        self._ended = ended

    async def login(self, email: str, password: str, peer: str) -> SignIn:
        """Begin a session.

        Raises UnauthenticatedError, the same after the same work for a wrong password, an unknown address and an
        account without a password (T14); ResourceExhaustedError after too many failures; InvalidArgumentError.
        """
        email = normalise_email(email)
        passwords.check_length(password)
        attempt = self._throttle.begin(email, peer)
        try:
            account = await self._store.account(email)
            right = await self._hasher.verify(password, account.password_hash if account else None)
            if account is not None and not right:
                self._failed(email)
            if account is None or not right:
                raise UnauthenticatedError(_WRONG_LOGIN)
            signed_in = await self.begin(account, peer)
            if signed_in is None:
                # The password was changed while it was verified: it was the old one (T12).
                raise UnauthenticatedError(_WRONG_LOGIN)
        except (UnavailableError, ResourceExhaustedError):
            attempt.undecided()
            raise
        attempt.succeeded()
        return signed_in

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Return the next tokens of a session.

        Each refresh token works once. One that comes back means that somebody has a copy, and which of the two is the
        thief can't be told: the session ends for both (RFC 9700, 4.14.2; T12). That is strict: a client that lost the
        answer, or asks twice at the same time, has to sign in again. Raises UnauthenticatedError.
        """
        session_id = self._issuer.verify_refresh(refresh_token)
        successor, now = self._issuer.issue_refresh(session_id), self._now()
        rotation = await self._store.rotate_session(
            session_id,
            tokens.digest(refresh_token),
            tokens.digest(successor),
            at=now,
            expires_at=now + IDLE_LIFETIME_US,
            longest_us=LONGEST_LIFETIME_US,
        )
        if rotation is None:
            if await self._end(session_id):
                log.warning("a refresh token came back: its session is ended", session_id=str(session_id))
            raise UnauthenticatedError(_OVER)
        uid = rotation.firebase_uid
        if uid is not None and self._welcome is not None and not await self._welcome(uid, rotation.began_at):
            await self._end(session_id)
            raise UnauthenticatedError(_NOT_WELCOME)
        credential = SessionCredential(session_id, rotation.session_version)
        access, until = self._issuer.issue_access(rotation.user_id, credential)
        return TokenPair(
            access_token=access,
            access_expires_at=until,
            refresh_token=successor,
            refresh_expires_at=rotation.expires_at,
        )

    async def logout(self, refresh_token: str) -> None:
        """End the session of a refresh token, be it the current or an older one. Ending it again is no error.

        Raises UnauthenticatedError for what is no refresh token.
        """
        await self._end(self._issuer.verify_refresh(refresh_token))

    async def begin(self, account: Account, peer: str) -> SignIn | None:
        """Begin a session of one who has proven who they are; None when the account's session version has changed."""
        session_id, now = uuid4(), self._now()
        refresh_token, expires_at = self._issuer.issue_refresh(session_id), now + IDLE_LIFETIME_US
        stored = await self._store.create_session(
            session_id, account, tokens.digest(refresh_token), created_at=now, expires_at=expires_at, address=peer
        )
        if not stored:
            return None
        credential = SessionCredential(session_id, account.session_version)
        access, until = self._issuer.issue_access(account.user.id, credential)
        pair = TokenPair(
            access_token=access, access_expires_at=until, refresh_token=refresh_token, refresh_expires_at=expires_at
        )
        return SignIn(pair, account.user)

    async def _end(self, session_id: UUID) -> bool:
        changed = await self._store.end_session(session_id, at=self._now())
        # The version plays no part in ending: all tokens of the session are meant.
        self._ended(SessionCredential(session_id, 0))
        return changed
