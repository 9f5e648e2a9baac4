"""Users, sessions and API keys.

Looking up a credential by its own id, or an account by its address, is how its owner is found out; every other
statement on behalf of a caller has the owner in its WHERE (T9).
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from uuid import UUID

import asyncpg

from monitord.domain.instant import Instant, Micros, from_datetime, to_datetime
from monitord.identity.api_keys import ApiKey
from monitord.identity.authenticator import ApiKeyState, SessionState
from monitord.identity.principal import Scope
from monitord.identity.sessions import Rotation, Session
from monitord.identity.user import Account, User
from monitord.storage.database import Database, Row, Transaction

_BOOTSTRAP_LOCK = 0x6D6F_6E69_0001
"""Of pg_advisory_xact_lock: one process at a time looks whether there is a user yet."""

ACCOUNT = """
SELECT id, org_id, email, fullname, provider, profile_status, created_at, phone, password_hash, session_version
FROM users WHERE lower(email) = lower($1)
"""

# Whoever asks for themselves sees the address that they claim; it stands for nothing else.
USER = """
SELECT id, org_id, coalesce(claimed_email, email) AS email, fullname, provider, profile_status, created_at, phone
FROM users WHERE org_id = $1 AND id = $2
"""

# The lock on the user's row makes this wait for a change of password that is under way, and then find its version.
CREATE_SESSION = """
INSERT INTO sessions (id, user_id, refresh_hash, created_at, expires_at, address)
SELECT $1, id, $4, $5, $6, $7 FROM users WHERE id = $2 AND session_version = $3 FOR SHARE
"""

ROTATE_SESSION = """
UPDATE sessions s
SET refresh_hash = $3, expires_at = least($5, s.created_at + $6)
FROM users u
WHERE s.id = $1 AND s.refresh_hash = $2 AND s.ended_at IS NULL AND s.expires_at > $4 AND u.id = s.user_id
RETURNING s.user_id, u.session_version, s.expires_at, s.created_at,
          CASE WHEN u.password_hash IS NULL THEN u.firebase_uid END AS firebase_uid
"""

END_SESSION = "UPDATE sessions SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL"

SESSION_STATE = """
SELECT s.id, s.user_id, u.org_id, u.session_version, s.expires_at
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.id = $1 AND s.ended_at IS NULL
"""

PURGE_SESSIONS = "DELETE FROM sessions WHERE expires_at < $1 OR ended_at < $1"

API_KEY_STATE = """
SELECT id, user_id, org_id, scope, secret_hash, expires_at FROM api_keys WHERE id = $1 AND revoked_at IS NULL
"""

CREATE_API_KEY = """
INSERT INTO api_keys (id, org_id, user_id, display_name, scope, secret_hash, created_at, expires_at)
SELECT $3, org_id, id, $4, $5, $6, $7, $8 FROM users WHERE org_id = $1 AND id = $2
"""

# Keyset order is created_at descending, id ascending, as in the index api_keys_org.
LIST_API_KEYS = """
SELECT id, display_name, scope, created_at, expires_at, last_used_at
FROM api_keys
WHERE org_id = $1 AND user_id = $2 AND revoked_at IS NULL
  AND ($4::timestamptz IS NULL OR (created_at <= $4 AND (created_at < $4 OR id > $5)))
ORDER BY created_at DESC, id
LIMIT $3
"""

REVOKE_API_KEY = """
UPDATE api_keys SET revoked_at = coalesce(revoked_at, $4) WHERE org_id = $1 AND user_id = $2 AND id = $3
"""

RECORD_KEY_USE = """
UPDATE api_keys k SET last_used_at = u.at
FROM unnest($1::text[], $2::timestamptz[]) AS u (id, at)
WHERE k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
"""

ANY_USER = "SELECT EXISTS (SELECT FROM users)"

CREATE_ADMIN = """
WITH org AS (
    INSERT INTO organisations (name, created_at) VALUES ($1, $3) RETURNING id
), admin AS (
    INSERT INTO users (org_id, email, role, password_hash, created_at, updated_at)
    SELECT id, $1, 'ADMIN', $2, $3, $3 FROM org
    RETURNING id, org_id, email, fullname, provider, profile_status, created_at, phone
), profile AS (
    INSERT INTO user_profile (user_id) SELECT id FROM admin
)
SELECT id, org_id, email, fullname, provider, profile_status, created_at, phone FROM admin
"""

CREATE_USER = """
WITH org AS (
    INSERT INTO organisations (name, created_at)
    SELECT $1, $4 WHERE NOT EXISTS (SELECT FROM users WHERE lower(email) = lower($1)) RETURNING id
), made AS (
    INSERT INTO users (org_id, email, fullname, password_hash, created_at, updated_at)
    SELECT id, $1, $2, $3, $4, $4 FROM org
    RETURNING id, org_id, email, fullname, provider, profile_status, created_at, phone
), profile AS (
    INSERT INTO user_profile (user_id) SELECT id FROM made
)
SELECT id, org_id, email, fullname, provider, profile_status, created_at, phone FROM made
"""

ROLE = "SELECT role FROM users WHERE org_id = $1 AND id = $2"

UPDATE_USER = """
UPDATE users SET fullname = COALESCE($3, fullname), phone = COALESCE($4, phone), updated_at = $5
WHERE org_id = $1 AND id = $2 RETURNING id, org_id, email, fullname, provider, profile_status, created_at, phone
"""

LIST_SESSIONS = """
SELECT s.id, s.created_at, s.expires_at, s.address
FROM sessions AS s JOIN users AS u ON u.id = s.user_id
WHERE u.org_id = $1 AND u.id = $2 AND s.ended_at IS NULL AND s.expires_at > $3
ORDER BY s.created_at DESC, s.id LIMIT 1000
"""

END_OWN_SESSION = """
UPDATE sessions AS s SET ended_at = COALESCE(s.ended_at, $4)
FROM users AS u WHERE u.id = s.user_id AND u.org_id = $1 AND u.id = $2 AND s.id = $3
"""

REPLACE_HASH = """
UPDATE users SET password_hash = $2, session_version = session_version + 1, updated_at = $3
WHERE lower(email) = lower($1) RETURNING id
"""

END_ALL_SESSIONS = "UPDATE sessions SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL RETURNING id"


class AccountStore:
    """Implements what ``identity`` needs of a database. Every method raises UnavailableError when that is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Commit at the end of the block, or undo everything when it raises."""
        return self._database.transaction()

    async def account(self, email: str) -> Account | None:
        """Return the account with a normalised address."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(ACCOUNT, email)
        if row is None:
            return None
        return Account(user=user_of(row), password_hash=row["password_hash"], session_version=row["session_version"])

    async def user(self, org_id: int, user_id: int) -> User | None:
        """Return a user of an organisation."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(USER, org_id, user_id)
        return None if row is None else user_of(row)

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
        async with self._database.transaction() as connection:
            status = await connection.execute(
                CREATE_SESSION,
                session_id,
                account.user.id,
                account.session_version,
                refresh_digest,
                to_datetime(created_at),
                to_datetime(expires_at),
                address,
            )
        return _touched(status) == 1

    async def rotate_session(
        self, session_id: UUID, old: bytes, new: bytes, *, at: Instant, expires_at: Instant, longest_us: Micros
    ) -> Rotation | None:
        """Replace the refresh digest ``old`` in one step; None when it is not the current one, or all is over."""
        longest = timedelta(microseconds=longest_us)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                ROTATE_SESSION, session_id, old, new, to_datetime(at), to_datetime(expires_at), longest
            )
        if row is None:
            return None
        return Rotation(
            user_id=row["user_id"],
            session_version=row["session_version"],
            expires_at=from_datetime(row["expires_at"]),
            began_at=from_datetime(row["created_at"]),
            firebase_uid=row["firebase_uid"],
        )

    async def end_session(self, session_id: UUID, *, at: Instant) -> bool:
        """End a session; return whether that changed anything."""
        async with self._database.transaction() as connection:
            return _touched(await connection.execute(END_SESSION, session_id, to_datetime(at))) == 1

    async def session_state(self, session_id: UUID) -> SessionState | None:
        """Return the session unless it is unknown or was ended; an expired one may come back."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(SESSION_STATE, session_id)
        if row is None:
            return None
        return SessionState(
            session_id=row["id"],
            user_id=row["user_id"],
            org_id=row["org_id"],
            session_version=row["session_version"],
            expires_at=from_datetime(row["expires_at"]),
        )

    async def purge_sessions(self, over_before: Instant) -> int:
        """Delete sessions that were ended, or had expired, before that moment; return how many."""
        async with self._database.connection() as connection:
            return _touched(await connection.execute(PURGE_SESSIONS, to_datetime(over_before)))

    async def api_key_state(self, key_id: str) -> ApiKeyState | None:
        """Return the key unless it is unknown or revoked; an expired one may come back."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(API_KEY_STATE, key_id)
        if row is None:
            return None
        return ApiKeyState(
            key_id=row["id"],
            user_id=row["user_id"],
            org_id=row["org_id"],
            scope=Scope[row["scope"].upper()],
            digest=row["secret_hash"],
            expires_at=_instant(row, "expires_at"),
        )

    async def create_api_key(
        self, org_id: int, user_id: int, key: ApiKey, digest: bytes, *, tx: Transaction | None = None
    ) -> bool:
        """Store a key; return False when there is no such user any more."""
        async with self._database.transaction(tx) as connection:
            status = await connection.execute(
                CREATE_API_KEY,
                org_id,
                user_id,
                key.id,
                key.display_name,
                key.scope.name.lower(),
                digest,
                to_datetime(key.created_at),
                None if key.expires_at is None else to_datetime(key.expires_at),
            )
        return _touched(status) == 1

    async def list_api_keys(
        self, org_id: int, user_id: int, *, limit: int, after: tuple[Instant, str] | None
    ) -> list[ApiKey]:
        """Return keys that are not revoked, newest first, after the one made then with that id."""
        created_at, key_id = (None, None) if after is None else (to_datetime(after[0]), after[1])
        async with self._database.connection() as connection:
            rows = await connection.fetch(LIST_API_KEYS, org_id, user_id, limit, created_at, key_id)
        return [_api_key(row) for row in rows]

    async def revoke_api_key(self, org_id: int, user_id: int, key_id: str, *, at: Instant) -> bool:
        """Revoke a key; return False when the user has none of that id. One that is revoked stays as it is."""
        async with self._database.transaction() as connection:
            return _touched(await connection.execute(REVOKE_API_KEY, org_id, user_id, key_id, to_datetime(at))) == 1

    async def record_key_use(self, last_used: Mapping[str, Instant]) -> None:
        """Store when each key was last used, unless a later use is stored."""
        async with self._database.connection() as connection:
            await connection.execute(RECORD_KEY_USE, list(last_used), [to_datetime(at) for at in last_used.values()])

    async def create_first_user(
        self, email: str, password_hash: str | None, *, at: Instant, tx: Transaction
    ) -> User | None:
        """Store an organisation and its administrator; None when any user exists. One at a time, across processes."""
        await tx.execute("SELECT pg_advisory_xact_lock($1)", _BOOTSTRAP_LOCK)
        if await tx.fetchval(ANY_USER):
            return None
        row = await tx.fetchrow(CREATE_ADMIN, email, password_hash, to_datetime(at))
        if row is None:
            raise AssertionError("an INSERT without conflict clause returns its row")
        return user_of(row)

    async def set_password(self, email: str, password_hash: str, *, at: Instant) -> list[UUID] | None:
        """Store a hash, bump the session version, end all sessions and return them; None without such an account."""
        async with self._database.transaction() as tx:
            user_id = await tx.fetchval(REPLACE_HASH, email, password_hash, to_datetime(at))
            if user_id is None:
                return None
            rows = await tx.fetch(END_ALL_SESSIONS, user_id, to_datetime(at))
        return [row["id"] for row in rows]

    async def create_user(self, email: str, full_name: str, password_hash: str | None, *, at: Instant) -> User | None:
        """Store a user with an organisation of their own; None when the address has an account."""
        try:
            async with self._database.transaction() as tx:
                row = await tx.fetchrow(CREATE_USER, email, full_name, password_hash, to_datetime(at))
        except asyncpg.UniqueViolationError:  # made at the same moment
            return None
        return None if row is None else user_of(row)

    async def role(self, org_id: int, user_id: int) -> str | None:
        """Return ``ADMIN`` or ``USER``; None when there is no such user."""
        async with self._database.connection() as connection:
            found: str | None = await connection.fetchval(ROLE, org_id, user_id)
        return found

    async def update_user(
        self, org_id: int, user_id: int, full_name: str | None, phone: str | None, *, at: Instant
    ) -> User | None:
        """Change what is not None; return the user, None when there is no such one."""
        async with self._database.transaction() as tx:
            row = await tx.fetchrow(UPDATE_USER, org_id, user_id, full_name, phone, to_datetime(at))
        return None if row is None else user_of(row)

    async def list_sessions(self, org_id: int, user_id: int, *, at: Instant) -> list[Session]:
        """Return the sessions of a user that are not over, newest first; at most 1,000."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(LIST_SESSIONS, org_id, user_id, to_datetime(at))
        return [
            Session(
                id=row["id"],
                created_at=from_datetime(row["created_at"]),
                expires_at=from_datetime(row["expires_at"]),
                address=row["address"],
            )
            for row in rows
        ]

    async def end_own_session(self, org_id: int, user_id: int, session_id: UUID, *, at: Instant) -> bool:
        """End a session of a user; return False when they have none of that id."""
        async with self._database.transaction() as connection:
            status = await connection.execute(END_OWN_SESSION, org_id, user_id, session_id, to_datetime(at))
        return _touched(status) == 1


def user_of(row: Row) -> User:
    """Return the user of a row of ``users``."""
    return User(
        id=row["id"],
        org_id=row["org_id"],
        email=row["email"],
        full_name=row["fullname"],
        provider=row["provider"],
        profile_status=row["profile_status"],
        created_at=from_datetime(row["created_at"]),
        phone=row["phone"],
    )


def _api_key(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        display_name=row["display_name"],
        scope=Scope[row["scope"].upper()],
        created_at=from_datetime(row["created_at"]),
        expires_at=_instant(row, "expires_at"),
        last_used_at=_instant(row, "last_used_at"),
    )


def _instant(row: Row, column: str) -> Instant | None:
    moment = row[column]
    return None if moment is None else from_datetime(moment)


def _touched(status: str) -> int:
    """Return how many rows a command touched, from its tag, such as ``UPDATE 1``."""
    return int(status.rpartition(" ")[2])
