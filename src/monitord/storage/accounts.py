"""Users and their sessions.

Looking up an account by its address is how its owner is found out; every other statement on behalf of a caller has the
owner, who is the user, in its WHERE (T9).
"""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from uuid import UUID

import asyncpg

from monitord.domain.instant import Instant, Micros, from_datetime, to_datetime
from monitord.identity.sessions import Rotation, Session
from monitord.identity.user import Account, Profile, User
from monitord.storage.database import Database, Row, Transaction, touched

BOOTSTRAP_LOCK = 0x6D6F_6E69_0001
"""Of pg_advisory_xact_lock: one at a time looks whether there is a user yet, or an administrator left."""

_REST = """
fullname, provider, profile_status, created_at, phone, deletion_at,
COALESCE((SELECT p.bio FROM user_profile AS p WHERE p.user_id = users.id), '') AS bio"""
OWN_COLUMNS = f"id, org_id, email, {_REST}"
CLAIMED_COLUMNS = f"id, org_id, COALESCE(claimed_email, email) AS email, {_REST}"
"""What ``user_of`` reads: whoever asks for themselves sees the address that they claim; it stands for nothing else."""

ACCOUNT = f"""
SELECT {OWN_COLUMNS}, password_hash, session_version FROM users WHERE lower(email) = lower($1)
"""  # noqa: S608 - a constant

ACCOUNT_OF = f"""
SELECT {OWN_COLUMNS}, password_hash, session_version FROM users WHERE id = $1
"""  # noqa: S608 - a constant

USER = f"SELECT {CLAIMED_COLUMNS} FROM users WHERE id = $1"  # noqa: S608 - a constant

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

ANY_USER = "SELECT EXISTS (SELECT FROM users)"

# Whoever runs monitord has no plan, whatever others get.
CREATE_ADMIN = f"""
WITH org AS (
    INSERT INTO organisations (name, created_at, plan) VALUES ($1, $3, NULL) RETURNING id
), admin AS (
    INSERT INTO users (org_id, email, role, password_hash, created_at, updated_at)
    SELECT id, $1, 'ADMIN', $2, $3, $3 FROM org
    RETURNING {OWN_COLUMNS}
), profile AS (
    INSERT INTO user_profile (user_id) SELECT id FROM admin
)
SELECT * FROM admin
"""  # noqa: S608 - a constant

CREATE_USER = f"""
WITH org AS (
    INSERT INTO organisations (name, created_at)
    SELECT $1, $4 WHERE NOT EXISTS (SELECT FROM users WHERE lower(email) = lower($1)) RETURNING id
), made AS (
    INSERT INTO users (org_id, email, fullname, password_hash, created_at, updated_at)
    SELECT id, $1, $2, $3, $4, $4 FROM org
    RETURNING {OWN_COLUMNS}
), profile AS (
    INSERT INTO user_profile (user_id) SELECT id FROM made
)
SELECT * FROM made
"""  # noqa: S608 - a constant

ROLE = "SELECT role FROM users WHERE id = $1"

UPDATE_BIO = """
INSERT INTO user_profile (user_id, bio) SELECT id, $2 FROM users WHERE id = $1
ON CONFLICT (user_id) DO UPDATE SET bio = EXCLUDED.bio
"""

UPDATE_USER = f"""
UPDATE users SET fullname = COALESCE($2, fullname), phone = COALESCE($3, phone), updated_at = $4,
                 profile_status = CASE WHEN $5 THEN 'COMPLETE' ELSE profile_status END
WHERE id = $1 RETURNING {CLAIMED_COLUMNS}
"""  # noqa: S608 - a constant

LIST_SESSIONS = """
SELECT id, created_at, expires_at, address FROM sessions
WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2
ORDER BY created_at DESC, id LIMIT 1000
"""

END_OWN_SESSION = """
UPDATE sessions SET ended_at = COALESCE(ended_at, $3) WHERE user_id = $1 AND id = $2
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
        return None if row is None else account_in(row)

    async def account_of(self, user_id: int) -> Account | None:
        """Return a user's own account."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(ACCOUNT_OF, user_id)
        return None if row is None else account_in(row)

    async def user(self, user_id: int) -> User | None:
        """Return a user."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(USER, user_id)
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
        return touched(status) == 1

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
            return touched(await connection.execute(END_SESSION, session_id, to_datetime(at))) == 1

    async def create_first_user(
        self, email: str, password_hash: str | None, *, at: Instant, tx: Transaction
    ) -> User | None:
        """Store an organisation and its administrator; None when any user exists. One at a time, across processes."""
        await tx.execute("SELECT pg_advisory_xact_lock($1)", BOOTSTRAP_LOCK)
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

    async def role(self, user_id: int) -> str | None:
        """Return ``ADMIN`` or ``USER``; None when there is no such user."""
        async with self._database.connection() as connection:
            found: str | None = await connection.fetchval(ROLE, user_id)
        return found

    async def update_user(self, user_id: int, said: Profile, *, complete: bool, at: Instant) -> User | None:
        """Change what is not None; return the user, None when there is no such one."""
        async with self._database.transaction() as tx:
            if said.bio is not None:
                await tx.execute(UPDATE_BIO, user_id, said.bio)
            row = await tx.fetchrow(UPDATE_USER, user_id, said.full_name, said.phone, to_datetime(at), complete)
        return None if row is None else user_of(row)

    async def list_sessions(self, user_id: int, *, at: Instant) -> list[Session]:
        """Return the sessions of a user that are not over, newest first; at most 1,000."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(LIST_SESSIONS, user_id, to_datetime(at))
        return [
            Session(
                id=row["id"],
                created_at=from_datetime(row["created_at"]),
                expires_at=from_datetime(row["expires_at"]),
                address=row["address"],
            )
            for row in rows
        ]

    async def end_own_session(self, user_id: int, session_id: UUID, *, at: Instant) -> bool:
        """End a session of a user; return False when they have none of that id."""
        async with self._database.transaction() as connection:
            status = await connection.execute(END_OWN_SESSION, user_id, session_id, to_datetime(at))
        return touched(status) == 1


def account_in(row: Row) -> Account:
    """Return the account of a row of ``users`` with what signing in needs."""
    return Account(user=user_of(row), password_hash=row["password_hash"], session_version=row["session_version"])


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
        bio=row["bio"],
        deletion_at=None if row["deletion_at"] is None else from_datetime(row["deletion_at"]),
    )
