"""API keys as their owners see them. The organisation comes first, then the owner (T9)."""

from monitord.domain.errors import FailedPreconditionError
from monitord.domain.instant import Instant, from_datetime, to_datetime
from monitord.identity.api_keys import ApiKey
from monitord.identity.principal import Scope
from monitord.storage.database import Database, Row, Transaction, touched

# Waits for a deletion that is under way, and then finds it: a key that it did not see would outlive it (T12).
OWNER = "SELECT deletion_at FROM users WHERE id = $1 FOR SHARE"
# The membership is locked: who is removed at this moment gets no key that would outlive it.
CREATE_API_KEY = """
INSERT INTO api_keys (id, org_id, user_id, display_name, scope, secret_hash, created_at, expires_at, labels,
                      allowed_networks)
SELECT $3, org_id, user_id, $4, $5, $6, $7, $8, $9, $10::cidr[]
FROM memberships WHERE org_id = $1 AND user_id = $2 FOR SHARE
"""

# Keyset order is created_at descending, id ascending, as in the index api_keys_org.
LIST_API_KEYS = """
SELECT id, display_name, scope, created_at, expires_at, last_used_at, labels, allowed_networks
FROM api_keys
WHERE org_id = $1 AND user_id = $2 AND revoked_at IS NULL
  AND ($4::timestamptz IS NULL OR (created_at <= $4 AND (created_at < $4 OR id > $5)))
ORDER BY created_at DESC, id
LIMIT $3
"""

REVOKE_API_KEY = """
UPDATE api_keys SET revoked_at = coalesce(revoked_at, $4) WHERE org_id = $1 AND user_id = $2 AND id = $3
"""


class ApiKeyStore:
    """Makes, lists and revokes keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_api_key(
        self, org_id: int, user_id: int, key: ApiKey, digest: bytes, *, tx: Transaction | None = None
    ) -> bool:
        """Store a key; return False when the user is no member of the organisation.

        Raises FailedPreconditionError while their account is to be deleted.
        """
        async with self._database.transaction(tx) as connection:
            if await connection.fetchval(OWNER, user_id) is not None:
                raise FailedPreconditionError(
                    "Your account is to be deleted: take that back with CancelAccountDeletion before you make keys."
                )
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
                dict(key.labels),
                list(key.networks),
            )
        return touched(status) == 1

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
            return touched(await connection.execute(REVOKE_API_KEY, org_id, user_id, key_id, to_datetime(at))) == 1


def _api_key(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        display_name=row["display_name"],
        scope=Scope[row["scope"].upper()],
        created_at=from_datetime(row["created_at"]),
        expires_at=_instant(row, "expires_at"),
        last_used_at=_instant(row, "last_used_at"),
        labels=row["labels"],
        networks=tuple(row["allowed_networks"]),
    )


def _instant(row: Row, column: str) -> Instant | None:
    moment = row[column]
    return None if moment is None else from_datetime(moment)
