"""Organisations as their members see them. The organisation comes first, or the user whose they are (T9)."""

from monitord.domain.errors import EtagMismatchError, FailedPreconditionError, NotFoundError, ResourceExhaustedError
from monitord.domain.instant import Instant, from_datetime, to_datetime
from monitord.domain.organisation import Organisation, OrganisationChanges, Role
from monitord.storage.database import Database, Row, Transaction
from monitord.storage.monitor_writes import notify

MOST_PER_USER = 100
"""Organisations that somebody may be a member of, besides the personal one."""

_COLUMNS = "o.id, o.name, o.personal, o.version, o.created_at, o.allowed_networks, o.plan, m.role"

GET = f"""
SELECT {_COLUMNS} FROM organisations AS o JOIN memberships AS m ON m.org_id = o.id WHERE o.id = $1 AND m.user_id = $2
"""  # noqa: S608 - a constant
LIST = f"""
SELECT {_COLUMNS} FROM organisations AS o JOIN memberships AS m ON m.org_id = o.id
WHERE m.user_id = $1 ORDER BY o.personal DESC, o.name, o.id
"""  # noqa: S608 - a constant
# One at a time for each user: two at once could pass the limit together.
LOCK_USER = "SELECT deletion_at FROM users WHERE id = $1 FOR NO KEY UPDATE"
COUNT = "SELECT count(*) FROM memberships WHERE user_id = $1"
CREATE = """
WITH org AS (
    INSERT INTO organisations (name, personal, created_at, updated_at) VALUES ($2, false, $3, $3) RETURNING id
)
INSERT INTO memberships (org_id, user_id, role, created_at) SELECT id, $1, 'owner', $3 FROM org RETURNING org_id
"""
LOCK = "SELECT version, personal FROM organisations WHERE id = $1 FOR UPDATE"
UPDATE = """
UPDATE organisations SET name = COALESCE($2, name), allowed_networks = COALESCE($3::cidr[], allowed_networks),
                         version = version + 1, updated_at = $4
WHERE id = $1
"""

IS_EMPTY = """
SELECT NOT EXISTS (SELECT FROM monitors WHERE org_id = $1)
   AND NOT EXISTS (SELECT FROM alert_contacts WHERE org_id = $1 AND deleted_at IS NULL)
"""
# In the order in which the ledger takes them, too.
LOCK_MONITORS = "SELECT id FROM monitors WHERE org_id = $1 ORDER BY id FOR UPDATE"
PURGE_MONITORS = """
INSERT INTO monitor_purges (org_id, monitor_id, deleted_at) SELECT org_id, id, $2 FROM monitors WHERE org_id = $1
"""
DELETE_ALL = tuple(
    f"DELETE FROM {table} WHERE org_id = $1"  # noqa: S608 - constants
    for table in ("monitors", "maintenance_windows", "alert_contacts", "api_keys")
)
MEMBERS = "SELECT user_id FROM memberships WHERE org_id = $1"
DELETE = "DELETE FROM organisations WHERE id = $1"


class OrganisationStore:
    """Creates, reads, changes and deletes organisations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, org_id: int, user_id: int) -> Organisation:
        """Return an organisation as a member sees it. Raises NotFoundError for one who is none."""
        async with self._database.connection() as held:
            return _organisation(await held.fetchrow(GET, org_id, user_id), org_id)

    async def of_user(self, user_id: int) -> list[Organisation]:
        """Return all that a user is a member of, the personal one first."""
        async with self._database.connection() as held:
            return [_organisation(row, row["id"]) for row in await held.fetch(LIST, user_id)]

    async def create(self, user_id: int, name: str, *, at: Instant, tx: Transaction | None = None) -> Organisation:
        """Store an organisation with its first owner. Raises ResourceExhaustedError for one who is in too many."""
        async with self._database.transaction(tx) as held:
            await require_room(held, user_id)
            org_id = await held.fetchval(CREATE, user_id, name, to_datetime(at))
            return _organisation(await held.fetchrow(GET, org_id, user_id), org_id)

    async def update(
        self, org_id: int, user_id: int, changes: OrganisationChanges, *, at: Instant, expected_version: int | None
    ) -> Organisation:
        """Change an organisation. Raises NotFoundError, EtagMismatchError."""
        networks = None if changes.networks is None else list(changes.networks)
        async with self._database.transaction() as held:
            await _locked(held, org_id, expected_version)
            await held.execute(UPDATE, org_id, changes.name, networks, to_datetime(at))
            return _organisation(await held.fetchrow(GET, org_id, user_id), org_id)

    async def delete(
        self, org_id: int, *, force: bool, at: Instant, expected_version: int | None
    ) -> tuple[list[int], list[int]]:
        """Delete an organisation with all that is in it; return its monitors, and who its members were.

        Raises NotFoundError; EtagMismatchError; FailedPreconditionError for a personal one, and without ``force`` for
        one with monitors or contacts.
        """
        async with self._database.transaction() as held:
            row = await _locked(held, org_id, expected_version)
            if row["personal"]:
                raise FailedPreconditionError(
                    "A personal organisation goes with its account: see DeleteAccount.", organisation_id=str(org_id)
                )
            if not force and not await held.fetchval(IS_EMPTY, org_id):
                raise FailedPreconditionError(
                    "There are monitors or contacts in this organisation: delete them first, or set force.",
                    organisation_id=str(org_id),
                )
            members = [row["user_id"] for row in await held.fetch(MEMBERS, org_id)]
            return await delete_organisation(held, org_id, at), members


async def delete_organisation(tx: Transaction, org_id: int, at: Instant) -> list[int]:
    """Delete a locked organisation with all that is in it; log rows are left to the janitor. Return its monitors."""
    monitors = [row["id"] for row in await tx.fetch(LOCK_MONITORS, org_id)]
    await tx.execute(PURGE_MONITORS, org_id, to_datetime(at))
    for statement in DELETE_ALL:
        await tx.execute(statement, org_id)
    await tx.execute(DELETE, org_id)
    await notify(tx)
    return monitors


async def require_room(tx: Transaction, user_id: int) -> None:
    """See to it that a user may be in one more organisation. Raises ResourceExhaustedError, FailedPreconditionError."""
    if await tx.fetchval(LOCK_USER, user_id) is not None:
        raise FailedPreconditionError(
            "Your account is to be deleted: take that back with CancelAccountDeletion before you join an organisation."
        )
    if await tx.fetchval(COUNT, user_id) > MOST_PER_USER:
        raise ResourceExhaustedError(
            f"You are in {MOST_PER_USER} organisations, the most there may be: leave one first."
        )


async def _locked(tx: Transaction, org_id: int, expected_version: int | None) -> Row:
    row = await tx.fetchrow(LOCK, org_id)
    if row is None:
        raise not_found(org_id)
    if expected_version is not None and expected_version != row["version"]:
        raise EtagMismatchError("The organisation was changed since it was read: read it again, and repeat the change.")
    return row


def not_found(org_id: int) -> NotFoundError:
    """Return the error for an organisation that isn't there, or is others'."""
    return NotFoundError(f"There is no organisation {org_id}.", organisation_id=str(org_id))


def _organisation(row: Row | None, org_id: int) -> Organisation:
    if row is None:
        raise not_found(org_id)
    return Organisation(
        id=row["id"],
        name=row["name"],
        personal=row["personal"],
        role=Role[row["role"].upper()],
        networks=tuple(row["allowed_networks"]),
        version=row["version"],
        created_at=from_datetime(row["created_at"]),
        plan=row["plan"] or "",
    )
