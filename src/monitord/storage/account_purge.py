"""Deletes accounts for good, once their time of grace is over.

First comes the point of no return, in one transaction: no credential is left, nor anything of a person in the row.
What they owned goes after that, in parts, and the row last. Whoever dies in between leaves rows that say what is still
to be done; several at once do the same work once, by the lock on the user's row.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import asyncpg
import structlog

from monitord.domain.errors import UnavailableError
from monitord.domain.instant import Instant, to_datetime
from monitord.identity.principal import Credential
from monitord.storage.account_deletion import LOCK_ORGANISATIONS, MARK, STANDING, end_credentials
from monitord.storage.audit_log import ALLOW_PURGE
from monitord.storage.database import Database, Transaction, touched
from monitord.storage.monitor_writes import notify
from monitord.storage.monitors import wall_clock
from monitord.storage.organisations import delete_organisation

DUE = "SELECT id FROM users WHERE deletion_at <= $1 AND id > $2 ORDER BY id LIMIT 100"
LOCK_DUE = """
SELECT email, firebase_uid, erased_at FROM users WHERE id = $1 AND deletion_at <= $2 FOR NO KEY UPDATE
"""
# The address is free at once for whoever registers with it.
ERASE = """
UPDATE users SET email = 'deleted-' || id || '@monitord.invalid', claimed_email = NULL, fullname = '', phone = '',
                 password_hash = NULL, firebase_uid = NULL, session_version = session_version + 1, erased_at = $2,
                 updated_at = $2
WHERE id = $1
"""
MEMBER_OF = "SELECT org_id FROM memberships WHERE user_id = $1"
FORGET_PROOFS = "DELETE FROM address_proofs WHERE email = lower($1)"
FORGET_INVITATIONS = "DELETE FROM invitations WHERE email = lower($1)"
ALLOW_FORGETTING = "SELECT set_config('monitord.forgets_addresses', 'on', true)"
# Other organisations keep what they did, and not whom they wrote to.
FORGET_ADDRESS = """
UPDATE audit_events SET
    before = CASE WHEN before ? 'email' THEN jsonb_set(before, '{email}', '"***"') ELSE before END,
    after = CASE WHEN after ? 'email' THEN jsonb_set(after, '{email}', '"***"') ELSE after END
WHERE kind = 'invitation' AND COALESCE(after ->> 'email', before ->> 'email') = lower($1)
"""
# In the order in which everybody locks monitors.
LOCK_MONITORS = """
SELECT id FROM monitors WHERE org_id = $1 ORDER BY id LIMIT 100 FOR UPDATE
"""
REMEMBER = """
INSERT INTO monitor_purges (org_id, monitor_id, deleted_at) SELECT $1, unnest($2::bigint[]), $3
"""
DELETE_MONITORS = "DELETE FROM monitors WHERE org_id = $1 AND id = ANY($2::bigint[])"
DELETE_EVENTS = """
DELETE FROM audit_events
WHERE (org_id, id) IN (SELECT org_id, id FROM audit_events WHERE org_id = ANY($1::bigint[]) LIMIT 10000)
"""
DELETE_ALL_EVENTS = "DELETE FROM audit_events WHERE org_id = ANY($1::bigint[])"
DELETE_USER = "DELETE FROM users WHERE id = $1"

_EVERY_S = 60.0

_log = structlog.get_logger(__name__)


class _Ended(NamedTuple):
    credentials: list[Credential]
    organisations: list[int]


class AccountPurge:
    """Does its rounds at the start, then every minute. What fails is done again in the next."""

    def __init__(
        self,
        database: Database,
        *,
        ended: Callable[[Credential], None],
        left: Callable[[int, int], None],
        clock: Callable[[], Instant] = wall_clock,
    ) -> None:
        """``ended`` is told of credentials, ``left`` of users and the organisations they were in, after the commit."""
        self._database = database
        self._ended = ended
        self._left = left
        self._clock = clock

    async def run(self) -> None:
        """Do rounds for ever. A database that is away only delays them."""
        while True:
            try:
                await self.purge()
            except (UnavailableError, asyncpg.PostgresError) as error:
                _log.warning("accounts that are due were not deleted; trying again in a minute", error=str(error))
            await asyncio.sleep(_EVERY_S)

    async def purge(self) -> int:
        """Do one round; return how many accounts were deleted. One that fails keeps no other from it."""
        done, last = 0, 0
        while due := await self._due(last):
            for user_id in due:
                try:
                    done += await self._purge_user(user_id)
                except (UnavailableError, asyncpg.PostgresError) as error:
                    _log.warning(
                        "an account was not deleted; trying again in a minute", user_id=user_id, error=str(error)
                    )
            last = due[-1]
        return done

    async def _due(self, after: int) -> list[int]:
        async with self._database.connection() as held:
            return [row["id"] for row in await held.fetch(DUE, to_datetime(self._clock()), after)]

    async def _purge_user(self, user_id: int) -> bool:
        ended = await self._erase(user_id)
        if ended is None:
            return False
        for credential in ended.credentials:
            self._ended(credential)
        for org_id in ended.organisations:
            self._left(user_id, org_id)
        while await self._delete_part(user_id):
            pass
        return await self._finish(user_id)

    async def _erase(self, user_id: int) -> _Ended | None:
        """Pass the point of no return; None: it was taken back, or all is done."""
        now = self._clock()
        async with self._database.transaction() as tx:
            user = await tx.fetchrow(LOCK_DUE, user_id, to_datetime(now))
            if user is None:
                return None
            organisations = [row["org_id"] for row in await tx.fetch(MEMBER_OF, user_id)]
            if user["erased_at"] is not None:
                return _Ended([], organisations)
            credentials = await end_credentials(tx, user_id, user["firebase_uid"], now)
            await tx.execute(MARK, await _own(tx, user_id), to_datetime(now))
            await tx.execute(ERASE, user_id, to_datetime(now))
            await tx.execute(FORGET_PROOFS, user["email"])
            await tx.execute(FORGET_INVITATIONS, user["email"])
            await tx.execute(ALLOW_FORGETTING)
            await tx.execute(FORGET_ADDRESS, user["email"])
        return _Ended(credentials, organisations)

    async def _delete_part(self, user_id: int) -> int:
        """Delete some of what is in the organisations that go; return how much."""
        now = to_datetime(self._clock())
        async with self._database.transaction() as tx:
            if await tx.fetchrow(LOCK_DUE, user_id, now) is None:
                return 0
            organisations = await _own(tx, user_id)
            for org_id in organisations:
                if monitors := [row["id"] for row in await tx.fetch(LOCK_MONITORS, org_id)]:
                    await tx.execute(REMEMBER, org_id, monitors, now)
                    await tx.execute(DELETE_MONITORS, org_id, monitors)
                    await notify(tx)
                    return len(monitors)
            await tx.execute(ALLOW_PURGE)
            return touched(await tx.execute(DELETE_EVENTS, organisations))

    async def _finish(self, user_id: int) -> bool:
        now = self._clock()
        async with self._database.transaction() as tx:
            if await tx.fetchrow(LOCK_DUE, user_id, to_datetime(now)) is None:
                return False
            organisations = await _own(tx, user_id)
            await tx.execute(DELETE_USER, user_id)
            for org_id in organisations:
                await delete_organisation(tx, org_id, now)
            await tx.execute(ALLOW_PURGE)
            await tx.execute(DELETE_ALL_EVENTS, organisations)
        _log.info("account_deleted", user_id=user_id)
        return True


async def _own(tx: Transaction, user_id: int) -> list[int]:
    """Lock the organisations of a user; return those that have no other member."""
    await tx.execute(LOCK_ORGANISATIONS, user_id)
    return [row["id"] for row in await tx.fetch(STANDING, user_id) if not row["is_shared"]]
