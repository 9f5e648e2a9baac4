"""Accounts that are to be deleted, and those that are not any more. Everything is of one user, who comes first (T9).

Locks are taken in the order of everybody: the user, their organisations by id, the monitors in them by id.
"""

from monitord.domain.errors import FailedPreconditionError, UnauthenticatedError
from monitord.domain.instant import Instant, from_datetime, to_datetime
from monitord.identity.account_deletion import Departure, Leaver
from monitord.identity.principal import ApiKeyCredential, Credential, FirebaseCredential, SessionCredential
from monitord.storage.account_pauses import pause_all, resume_paused
from monitord.storage.accounts import BOOTSTRAP_LOCK, END_ALL_SESSIONS
from monitord.storage.database import Database, Row, Transaction
from monitord.storage.monitor_writes import notify
from monitord.storage.sealing import Sealer

LEAVER = """
SELECT COALESCE(claimed_email, email) AS shown_email, CASE WHEN claimed_email IS NULL THEN email END AS proven_email,
       email, password_hash, exported_at
FROM users WHERE id = $1 AND erased_at IS NULL
"""
EXPORTED = "UPDATE users SET exported_at = $2 WHERE id = $1 AND erased_at IS NULL"
# Whoever makes something for this user waits, and then finds what was decided.
LOCK_USER = "SELECT role, deletion_at, firebase_uid FROM users WHERE id = $1 AND erased_at IS NULL FOR NO KEY UPDATE"
LOCK_ORGANISATIONS = """
SELECT o.id FROM organisations AS o JOIN memberships AS m ON m.org_id = o.id
WHERE m.user_id = $1 ORDER BY o.id FOR UPDATE OF o
"""
# A statement of its own, after the locks. An owner who leaves too is none.
STANDING = """
SELECT o.id, o.name, o.deletion_at, m.role = 'owner' AS is_owner, count(*) > 1 AS is_shared,
       count(*) FILTER (WHERE x.role = 'owner' AND x.user_id <> $1 AND u.deletion_at IS NULL) AS other_owners
FROM memberships AS m
JOIN organisations AS o ON o.id = m.org_id
JOIN memberships AS x ON x.org_id = m.org_id
JOIN users AS u ON u.id = x.user_id
WHERE m.user_id = $1
GROUP BY o.id, m.role ORDER BY o.id
"""
OTHER_ADMIN = "SELECT EXISTS (SELECT FROM users WHERE role = 'ADMIN' AND id <> $1 AND deletion_at IS NULL)"
LEAVE = """
UPDATE users SET deletion_at = $2, session_version = session_version + 1, updated_at = $3 WHERE id = $1
"""
STAY = "UPDATE users SET deletion_at = NULL, updated_at = $2 WHERE id = $1"
MARK = "UPDATE organisations SET deletion_at = $2 WHERE id = ANY($1::bigint[])"
REVOKE_KEYS = "UPDATE api_keys SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL RETURNING id"
UNINVITE = "DELETE FROM invitations WHERE org_id = ANY($1::bigint[])"


class AccountDeletionStore:
    """Begins deletions and takes them back. Every method raises UnavailableError when the database is away."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def leaver(self, user_id: int) -> Leaver | None:
        """Return what has to be known of one who wants to leave."""
        async with self._database.connection() as held:
            row = await held.fetchrow(LEAVER, user_id)
        if row is None:
            return None
        return Leaver(
            shown_email=row["shown_email"],
            proven_email=row["proven_email"],
            login=row["email"],
            password_hash=row["password_hash"],
            exported_at=None if row["exported_at"] is None else from_datetime(row["exported_at"]),
        )

    async def exported(self, user_id: int, *, at: Instant) -> None:
        """Note that a whole export was taken."""
        async with self._database.transaction() as tx:
            await tx.execute(EXPORTED, user_id, to_datetime(at))

    async def begin(self, user_id: int, *, deletion_at: Instant, at: Instant) -> Departure:
        """Note when an account goes, and end what is to end; see ``identity.account_deletion.DeletionStore``."""
        async with self._database.transaction() as tx:
            user = await _locked(tx, user_id)
            if user["deletion_at"] is not None:
                raise FailedPreconditionError(
                    f"Your account is to be deleted at {user['deletion_at']:%Y-%m-%d %H:%M} UTC already: "
                    "CancelAccountDeletion takes that back."
                )
            await _require_other_admin(tx, user_id, user["role"])
            going = await _going(tx, user_id)
            await tx.execute(LEAVE, user_id, to_datetime(deletion_at), to_datetime(at))
            ended = await end_credentials(tx, user_id, user["firebase_uid"], at)
            await tx.execute(MARK, going, to_datetime(deletion_at))
            await tx.execute(UNINVITE, going)
            paused = [each for org_id in going for each in await pause_all(tx, self._sealer, org_id, at)]
            await notify(tx)
        return Departure(ended=tuple(ended), monitors=tuple(paused))

    async def cancel(self, user_id: int, *, at: Instant) -> tuple[tuple[int, int], ...]:
        """Take a deletion back; see ``identity.account_deletion.DeletionStore``."""
        async with self._database.transaction() as tx:
            user = await _locked(tx, user_id)
            if user["deletion_at"] is None:
                raise FailedPreconditionError("Your account is not to be deleted: there is nothing to take back.")
            await tx.execute(LOCK_ORGANISATIONS, user_id)
            marked = [row["id"] for row in await tx.fetch(STANDING, user_id) if row["deletion_at"] is not None]
            await tx.execute(STAY, user_id, to_datetime(at))
            await tx.execute(MARK, marked, None)
            resumed = [each for org_id in marked for each in await resume_paused(tx, self._sealer, org_id, at)]
            await notify(tx)
        return tuple(resumed)


async def end_credentials(tx: Transaction, user_id: int, firebase_uid: str | None, at: Instant) -> list[Credential]:
    """End all sessions and keys of a locked user; return them, and what else the authenticator has to forget."""
    sessions = await tx.fetch(END_ALL_SESSIONS, user_id, to_datetime(at))
    keys = await tx.fetch(REVOKE_KEYS, user_id, to_datetime(at))
    return [
        *(SessionCredential(row["id"], 0) for row in sessions),
        *(ApiKeyCredential(row["id"]) for row in keys),
        *([] if firebase_uid is None else [FirebaseCredential(firebase_uid, 0, "")]),
    ]


async def _locked(tx: Transaction, user_id: int) -> Row:
    row = await tx.fetchrow(LOCK_USER, user_id)
    if row is None:
        raise UnauthenticatedError("The account of this credential does not exist any more.")
    return row


async def _require_other_admin(tx: Transaction, user_id: int, role: str) -> None:
    if role != "ADMIN":
        return
    # One at a time: two at once could each count on the other.
    await tx.execute("SELECT pg_advisory_xact_lock($1)", BOOTSTRAP_LOCK)
    if not await tx.fetchval(OTHER_ADMIN, user_id):
        raise FailedPreconditionError(
            "You are the only administrator of this monitord: there has to be another one before you can leave."
        )


async def _going(tx: Transaction, user_id: int) -> list[int]:
    """Lock a user's organisations; return those that go with them."""
    await tx.execute(LOCK_ORGANISATIONS, user_id)
    standing = await tx.fetch(STANDING, user_id)
    orphaned = [row["name"] for row in standing if row["is_shared"] and row["is_owner"] and not row["other_owners"]]
    if orphaned:
        raise FailedPreconditionError(
            f"You are the only owner of {', '.join(map(repr, orphaned[:10]))}, which others are members of: make "
            "somebody else an owner first, or delete it."
        )
    return [row["id"] for row in standing if not row["is_shared"]]
