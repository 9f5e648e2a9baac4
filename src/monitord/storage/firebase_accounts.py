"""The accounts of those who sign in with Firebase.

A uid that Firebase vouches for is how its owner is found out, as with a credential (T9's one exception).
"""

from hashlib import sha256

import asyncpg

from monitord.domain.instant import Instant, to_datetime
from monitord.identity.firebase import FirebaseIdentity
from monitord.identity.firebase_bearers import FirebaseUser
from monitord.identity.firebase_sign_in import FirebaseAccount
from monitord.storage.accounts import CLAIMED_COLUMNS, account_in
from monitord.storage.database import Database, Row, Transaction

_LOCK = 0x6D6F_6E02
"""Of pg_advisory_xact_lock: first sign-ins of the same uid come one after the other."""

_COLUMNS = f"{CLAIMED_COLUMNS}, password_hash, session_version"

FIREBASE_USER = "SELECT id, org_id, session_version FROM users WHERE firebase_uid = $1"

FIREBASE_ACCOUNT = f"SELECT {_COLUMNS} FROM users WHERE firebase_uid = $1"  # noqa: S608 - a constant

# An address that is proven now, unless it is another's: then theirs stays the one under firebase.invalid.
PROVE_EMAIL = f"""
UPDATE users SET email = $2, claimed_email = NULL, updated_at = $3
WHERE firebase_uid = $1 AND claimed_email IS NOT NULL
  AND NOT EXISTS (SELECT FROM users WHERE lower(email) = lower($2))
RETURNING {_COLUMNS}
"""  # noqa: S608 - a constant

# Accounts that came over from the original know how their user signs in, and no uid.
ADOPT = f"""
UPDATE users SET firebase_uid = $1, fullname = coalesce(nullif(fullname, ''), $4), updated_at = $5
WHERE lower(email) = lower($2) AND provider = $3 AND firebase_uid IS NULL
RETURNING {_COLUMNS}
"""  # noqa: S608 - a constant

EMAIL_IS_TAKEN = "SELECT EXISTS (SELECT FROM users WHERE lower(email) = lower($1))"

CREATE_FIREBASE_USER = f"""
WITH org AS (
    INSERT INTO organisations (name, created_at) VALUES ($7, $6) RETURNING id
), made AS (
    INSERT INTO users (org_id, email, claimed_email, fullname, provider, profile_status, firebase_uid, role,
                       created_at, updated_at)
    SELECT id, $2, $3, $4, $5, 'PENDING', $1, 'USER', $6, $6 FROM org
    RETURNING {_COLUMNS}
), profile AS (
    INSERT INTO user_profile (user_id) SELECT id FROM made
)
SELECT * FROM made
"""  # noqa: S608 - a constant


class FirebaseAccounts:
    """Implements what ``identity`` needs of a database to let Firebase users in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def firebase_user(self, uid: str) -> FirebaseUser | None:
        """Return the user of a uid of Firebase."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(FIREBASE_USER, uid)
        if row is None:
            return None
        return FirebaseUser(user_id=row["id"], org_id=row["org_id"], session_version=row["session_version"])

    async def firebase_account(self, identity: FirebaseIdentity, *, at: Instant) -> FirebaseAccount | None:
        """See ``firebase_sign_in.FirebaseAccountStore``."""
        try:
            return await self._settle(identity, at)
        except asyncpg.UniqueViolationError:
            # Someone took the address at the same moment, by another way in: now that can be seen.
            return await self._settle(identity, at)

    async def _settle(self, identity: FirebaseIdentity, at: Instant) -> FirebaseAccount | None:
        proven = identity.email if identity.email_verified else None
        async with self._database.transaction() as tx:
            await tx.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _LOCK, identity.uid)
            row = await tx.fetchrow(FIREBASE_ACCOUNT, identity.uid)
            if row is not None:
                if proven is not None:
                    row = await tx.fetchrow(PROVE_EMAIL, identity.uid, proven, to_datetime(at)) or row
                return FirebaseAccount(account_in(row), is_new=False)
            if proven is not None:
                row = await tx.fetchrow(
                    ADOPT, identity.uid, proven, identity.provider, identity.full_name, to_datetime(at)
                )
                if row is not None:
                    return FirebaseAccount(account_in(row), is_new=False)
                if await tx.fetchval(EMAIL_IS_TAKEN, proven):
                    return None
            return FirebaseAccount(account_in(await _create(tx, identity, proven, at)), is_new=True)


async def _create(tx: Transaction, identity: FirebaseIdentity, proven: str | None, at: Instant) -> Row:
    claimed = None if proven is not None else identity.email or ""
    row = await tx.fetchrow(
        CREATE_FIREBASE_USER,
        identity.uid,
        proven or _stand_in(identity.uid),
        claimed,
        identity.full_name,
        identity.provider,
        to_datetime(at),
        proven or claimed or identity.uid,
    )
    if row is None:
        raise AssertionError("an INSERT without conflict clause returns its row")
    return row


def _stand_in(uid: str) -> str:
    """Return an address that nobody has (RFC 2606, 2), for one who has proven none."""
    return f"{sha256(uid.encode()).hexdigest()[:40]}@firebase.invalid"
