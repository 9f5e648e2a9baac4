"""Users, their keys, and the first administrator."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from monitord.domain.allow_list import Network, is_within
from monitord.domain.errors import (
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
    Violation,
)
from monitord.domain.instant import SECOND, Instant
from monitord.identity import api_keys, profiles
from monitord.identity.api_keys import ApiKey, NewApiKey
from monitord.identity.passwords import Passwords
from monitord.identity.principal import ApiKeyCredential, Credential, Principal, Scope, SessionCredential
from monitord.identity.private_file import PrivateFileError
from monitord.identity.sessions import Session
from monitord.identity.user import Profile, User, normalise_email

SHORTEST_KEY_LIFETIME_S = 60
LONGEST_KEY_LIFETIME_S = 10 * 365 * 86_400
LONGEST_DISPLAY_NAME = 100

Transaction: TypeAlias = Any
"""Whatever the storage behind AccountStore has for one; nothing here looks inside."""

_DISPLAY_NAME_RULE = f"must be 1 to {LONGEST_DISPLAY_NAME} printable characters"
_LIFETIME_RULE = "must be from a minute to ten years, or absent: then the key is valid until it is revoked"
_GONE = "The account of this credential does not exist any more."


class AccountStore(Protocol):
    """Where users and keys are kept. Every method raises UnavailableError when the database is away."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Commit at the end of the block, or undo everything when it raises."""
        ...

    async def user(self, user_id: int) -> User | None:
        """Return a user."""
        ...

    async def create_first_user(
        self, email: str, password_hash: str | None, *, at: Instant, tx: Transaction
    ) -> User | None:
        """Store an organisation and its administrator; None when any user exists. One at a time, across processes."""
        ...

    async def set_password(self, email: str, password_hash: str, *, at: Instant) -> list[UUID] | None:
        """Store a hash, bump the session version, end all sessions and return them; None without such an account."""
        ...

    async def update_user(self, user_id: int, said: Profile, *, complete: bool, at: Instant) -> User | None:
        """Change what is not None; return the user, None when there is no such one."""
        ...

    async def list_sessions(self, user_id: int, *, at: Instant) -> list[Session]:
        """Return the sessions of a user that are not over, newest first."""
        ...

    async def end_own_session(self, user_id: int, session_id: UUID, *, at: Instant) -> bool:
        """End a session of a user; return False when they have none of that id."""
        ...


class KeyStore(Protocol):
    """Where keys are kept. Every method raises UnavailableError when the database is away."""

    async def create_api_key(
        self, org_id: int, user_id: int, key: ApiKey, digest: bytes, *, tx: Transaction | None = None
    ) -> bool:
        """Store a key; return False when the user is no member of the organisation."""
        ...

    async def list_api_keys(
        self, org_id: int, user_id: int, *, limit: int, after: tuple[Instant, str] | None
    ) -> list[ApiKey]:
        """Return keys that are not revoked, newest first, after the one made then with that id."""
        ...

    async def revoke_api_key(self, org_id: int, user_id: int, key_id: str, *, at: Instant) -> bool:
        """Revoke a key; return False when the user has none of that id. One that is revoked stays as it is."""
        ...


class Accounts:
    """What users and operators do about accounts. ``ended`` is told of each credential that ended, after the commit."""

    def __init__(
        self,
        store: AccountStore,
        keys: KeyStore,
        hasher: Passwords,
        *,
        now: Callable[[], Instant],
        ended: Callable[[Credential], None],
    ) -> None:
        self._store = store
        self._keys = keys
        self._hasher = hasher
        self._now = now
        self._ended = ended

    async def get_user(self, principal: Principal) -> User:
        """Return whoever is asking. Raises UnauthenticatedError when the account is gone."""
        user = await self._store.user(principal.user_id)
        if user is None:
            raise UnauthenticatedError(_GONE)
        return user

    async def update_user(self, principal: Principal, said: Profile) -> User:
        """Change what is not None of whoever is asking. Raises InvalidArgumentError, UnauthenticatedError."""
        return await self._update(principal, said, profiles.violations(said, "user."), complete=False)

    async def complete_profile(self, principal: Principal, said: Profile) -> User:
        """Store what a new account leaves open. Raises InvalidArgumentError, UnauthenticatedError."""
        return await self._update(principal, said, profiles.violations(said, "", name_required=True), complete=True)

    async def _update(self, principal: Principal, said: Profile, wrong: list[Violation], *, complete: bool) -> User:
        if wrong:
            raise InvalidArgumentError(wrong)
        user = await self._store.update_user(principal.user_id, said, complete=complete, at=self._now())
        if user is None:
            raise UnauthenticatedError(_GONE)
        return user

    async def list_sessions(self, principal: Principal) -> list[Session]:
        """Return the caller's sessions that are not over, newest first."""
        return await self._store.list_sessions(principal.user_id, at=self._now())

    async def revoke_session(self, principal: Principal, session_id: UUID) -> None:
        """End one of the caller's sessions, its open streams included (T12). Ending it again is no error.

        Raises NotFoundError, for another's session too.
        """
        if not await self._store.end_own_session(principal.user_id, session_id, at=self._now()):
            raise NotFoundError("You have no session with this id.")
        self._ended(SessionCredential(session_id, 0))

    async def create_api_key(
        self,
        principal: Principal,
        display_name: str,
        scope: Scope,
        lifetime_s: int | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        networks: tuple[Network, ...] = (),
        tx: Transaction | None = None,
    ) -> NewApiKey:
        """Make a key with at most the caller's own scope; ``lifetime_s`` None: valid until it is revoked.

        It is for the monitors with ``labels`` and may be used from ``networks``; without them, for all and from
        everywhere that the caller's own credential may. Raises InvalidArgumentError, and PermissionDeniedError for more
        than the caller has.
        """
        if violations := key_violations(display_name, lifetime_s):
            raise InvalidArgumentError(violations)
        if scope > principal.scope:
            raise PermissionDeniedError(
                f"A credential of scope {principal.scope.name} can make keys of that scope or less, not {scope.name}."
            )
        networks = networks or principal.networks
        if principal.networks and not all(is_within(each, principal.networks) for each in networks):
            raise PermissionDeniedError(
                "This credential can make keys for the networks that it may be used from itself."
            )
        made = self._make_key(display_name, scope, lifetime_s, labels or {}, networks)
        stored = await self._keys.create_api_key(
            principal.org_id, principal.user_id, made.key, api_keys.digest(made.secret), tx=tx
        )
        if not stored:
            raise UnauthenticatedError(_GONE)
        return made

    async def list_api_keys(
        self, principal: Principal, *, limit: int, after: tuple[Instant, str] | None = None
    ) -> list[ApiKey]:
        """Return the caller's keys, newest first, those that expired too; revoked ones are gone.

        ``after`` is the ``created_at`` and ``id`` of the last key of the page before.
        """
        return await self._keys.list_api_keys(principal.org_id, principal.user_id, limit=limit, after=after)

    async def revoke_api_key(self, principal: Principal, key_id: str) -> None:
        """Make one of the caller's keys worthless, at once in this process (T12). Revoking it again is no error.

        Raises NotFoundError, for another's key too.
        """
        if not await self._keys.revoke_api_key(principal.org_id, principal.user_id, key_id, at=self._now()):
            raise NotFoundError("You have no API key with this id.")
        self._ended(ApiKeyCredential(key_id))

    async def bootstrap_admin(
        self, email: str, password: str | None, keep: Callable[[str], None] | None = None
    ) -> str | None:
        """On a database without users, create the first administrator and their key; return the key's secret.

        None: there are users already. Several processes may do this at the same time: one creates. ``keep`` is given
        the secret before the commit: should it fail, or the process die, nothing has happened and the next start does
        it again, so there is never an administrator whose key nobody has. Raises PrivateFileError when it fails.
        """
        email = normalise_email(email)
        password_hash = None if password is None else await self._hasher.hash(password)
        made = self._make_key("first administrator", Scope.ADMIN, None, {}, ())
        async with self._store.transaction() as tx:
            user = await self._store.create_first_user(email, password_hash, at=self._now(), tx=tx)
            if user is None:
                return None
            await self._keys.create_api_key(user.org_id, user.id, made.key, api_keys.digest(made.secret), tx=tx)
            if keep is not None:
                _keep(keep, made.secret)
        return made.secret

    async def set_password(self, email: str, password: str) -> None:
        """Give an account a new password and end all its sessions (T12). API keys stay: they are revoked one by one.

        Raises NotFoundError; InvalidArgumentError. For an operator's command, not for a call from outside.
        """
        email = normalise_email(email)
        password_hash = await self._hasher.hash(password)
        ended = await self._store.set_password(email, password_hash, at=self._now())
        if ended is None:
            raise NotFoundError(f"There is no account {email}.")
        for session_id in ended:
            self._ended(SessionCredential(session_id, 0))

    def _make_key(
        self,
        display_name: str,
        scope: Scope,
        lifetime_s: int | None,
        labels: Mapping[str, str],
        networks: tuple[Network, ...],
    ) -> NewApiKey:
        key_id, secret = api_keys.generate()
        now = self._now()
        expires_at = None if lifetime_s is None else now + lifetime_s * SECOND
        key = ApiKey(
            id=key_id,
            display_name=display_name,
            scope=scope,
            created_at=now,
            expires_at=expires_at,
            labels=labels,
            networks=networks,
        )
        return NewApiKey(key=key, secret=secret)


def _keep(keep: Callable[[str], None], secret: str) -> None:
    try:
        keep(secret)
    except OSError as error:
        raise PrivateFileError(f"The first administrator's key could not be kept: {error}.") from error


def key_violations(display_name: str, lifetime_s: int | None) -> list[Violation]:
    """Return what is wrong with the wish for a key, by the names that the API gives the fields."""
    violations = []
    if not (display_name.strip() and len(display_name) <= LONGEST_DISPLAY_NAME and display_name.isprintable()):
        violations.append(Violation("display_name", _DISPLAY_NAME_RULE))
    if lifetime_s is not None and not SHORTEST_KEY_LIFETIME_S <= lifetime_s <= LONGEST_KEY_LIFETIME_S:
        violations.append(Violation("time_to_live", _LIFETIME_RULE))
    return violations
