"""Credentials as the authenticator asks for them.

Looking one up by its own id is how its owner is found out: T9's one exception.
"""

from collections.abc import Mapping
from uuid import UUID

from monitord.domain.instant import Instant, from_datetime, to_datetime
from monitord.domain.organisation import Role
from monitord.identity.authenticator import ApiKeyState, Membership, Seat, SessionState
from monitord.identity.principal import Scope
from monitord.storage.database import Database, touched

SESSION_STATE = """
SELECT s.id, s.user_id, u.org_id, u.session_version, s.expires_at
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.id = $1 AND s.ended_at IS NULL
"""

API_KEY_STATE = """
SELECT k.id, k.user_id, k.org_id, k.scope, k.secret_hash, k.expires_at, k.allowed_networks, k.labels,
       m.role, o.allowed_networks AS of_organisation
FROM api_keys AS k JOIN memberships AS m ON m.org_id = k.org_id AND m.user_id = k.user_id
JOIN organisations AS o ON o.id = k.org_id
WHERE k.id = $1 AND k.revoked_at IS NULL
"""

SEAT_OF = """
SELECT m.role, o.allowed_networks
FROM memberships AS m JOIN organisations AS o ON o.id = m.org_id WHERE m.user_id = $1 AND m.org_id = $2
"""

RECORD_KEY_USE = """
UPDATE api_keys k SET last_used_at = u.at
FROM unnest($1::text[], $2::timestamptz[]) AS u (id, at)
WHERE k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
"""

PURGE_SESSIONS = "DELETE FROM sessions WHERE expires_at < $1 OR ended_at < $1"


class CredentialStore:
    """Implements what the authenticator, and the upkeep of credentials, need of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def api_key_state(self, key_id: str) -> ApiKeyState | None:
        """Return the key unless it is unknown, revoked, or its owner no member; an expired one may come back."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(API_KEY_STATE, key_id)
        if row is None:
            return None
        return ApiKeyState(
            key_id=row["id"],
            user_id=row["user_id"],
            org_id=row["org_id"],
            scope=Scope[row["scope"].upper()],
            seat=Seat(Role[row["role"].upper()], tuple(row["of_organisation"])),
            networks=tuple(row["allowed_networks"]),
            labels=row["labels"],
            digest=row["secret_hash"],
            expires_at=None if row["expires_at"] is None else from_datetime(row["expires_at"]),
        )

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

    async def seat_of(self, member: Membership) -> Seat | None:
        """Return a user's place in an organisation; None when they are no member."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(SEAT_OF, member.user_id, member.org_id)
        return None if row is None else Seat(Role[row["role"].upper()], tuple(row["allowed_networks"]))

    async def record_key_use(self, last_used: Mapping[str, Instant]) -> None:
        """Store when each key was last used, unless a later use is stored."""
        async with self._database.connection() as connection:
            await connection.execute(RECORD_KEY_USE, list(last_used), [to_datetime(at) for at in last_used.values()])

    async def purge_sessions(self, over_before: Instant) -> int:
        """Delete sessions that were ended, or had expired, before that moment; return how many."""
        async with self._database.connection() as connection:
            return touched(await connection.execute(PURGE_SESSIONS, to_datetime(over_before)))
