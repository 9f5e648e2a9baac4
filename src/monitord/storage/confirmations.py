"""How addresses confirm that they want alerts (T16): hashed, single use, expiring, counted."""

from collections.abc import Callable
from typing import NamedTuple

from monitord.domain.contact import Contact
from monitord.domain.errors import FailedPreconditionError, NotFoundError, ResourceExhaustedError
from monitord.domain.instant import DAY, MINUTE, SECOND, Instant, from_datetime, to_datetime
from monitord.identity.contact_links import MAX_WRONG_CODES
from monitord.storage.contacts import ContactStore
from monitord.storage.database import Database, Transaction
from monitord.storage.monitors import wall_clock

LIFETIME = DAY
LEAST_PAUSE = MINUTE
MAX_A_DAY = 10

LOCK_CONTACT = """
SELECT id FROM alert_contacts WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL FOR NO KEY UPDATE
"""
SELECT = """
SELECT sent_at, sends, first_at FROM contact_confirmations WHERE org_id = $1 AND contact_id = $2
"""
UPSERT = """
INSERT INTO contact_confirmations (org_id, contact_id, token_hash, code_hash, sent_at, expires_at, sends, first_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (org_id, contact_id) DO UPDATE SET
    token_hash = EXCLUDED.token_hash, code_hash = EXCLUDED.code_hash, attempts = 0, sent_at = EXCLUDED.sent_at,
    expires_at = EXCLUDED.expires_at, sends = EXCLUDED.sends, first_at = EXCLUDED.first_at
"""
TRY_CODE = """
UPDATE contact_confirmations SET attempts = attempts + 1
WHERE org_id = $1 AND contact_id = $2 AND attempts < $3 AND expires_at > $4 RETURNING code_hash, attempts
"""
BY_LINK = """
SELECT org_id, contact_id FROM contact_confirmations WHERE token_hash = $1 AND expires_at > $2
"""
# Not deleted: how often the address was asked is still counted. A used one has expired.
USE = "UPDATE contact_confirmations SET expires_at = sent_at WHERE org_id = $1 AND contact_id = $2"


class Pending(NamedTuple):
    """A contact that has been asked."""

    org_id: int
    contact_id: int


class ConfirmationStore:
    """Remembers what was sent to whom, as hashes."""

    def __init__(
        self, database: Database, contacts: ContactStore, *, clock: Callable[[], Instant] = wall_clock
    ) -> None:
        self._database = database
        self._contacts = contacts
        self._clock = clock

    async def begin(self, org_id: int, contact_id: int, token_hash: bytes, code_hash: bytes) -> None:
        """Remember a link and a code that are about to be sent; those before become invalid.

        Raises:
            NotFoundError: the contact isn't there, or is another's.
            ResourceExhaustedError: it was asked less than a minute ago, or ten times within a day.

        """
        now = self._clock()
        async with self._database.transaction(None) as held:
            await _lock(held, org_id, contact_id)
            before = await held.fetchrow(SELECT, org_id, contact_id)
            sends, first_at = 0, now
            if before is not None:
                wait = from_datetime(before["sent_at"]) + LEAST_PAUSE - now
                sends, first_at = before["sends"], from_datetime(before["first_at"])
                if now - first_at >= DAY:
                    sends, first_at = 0, now
                elif sends >= MAX_A_DAY:
                    wait = max(wait, first_at + DAY - now)
                if wait > 0:
                    raise ResourceExhaustedError(
                        f"This address was sent a confirmation a short time ago, or {MAX_A_DAY} in a day: try again "
                        f"in {-(-wait // SECOND)} s.",
                        retry_after_s=wait / SECOND,
                    )
            times = to_datetime(now), to_datetime(now + LIFETIME)
            values = (token_hash, code_hash, *times, sends + 1, to_datetime(first_at))
            await held.execute(UPSERT, org_id, contact_id, *values)

    async def by_code(self, org_id: int, contact_id: int, is_right: Callable[[bytes], bool]) -> Contact:
        """Confirm by a code, which ``is_right`` compares with a stored hash. A wrong one is counted.

        Raises:
            NotFoundError: the contact isn't there, or is another's.
            FailedPreconditionError: the code is wrong, used up, or expired.

        """
        async with self._database.transaction(None) as held:
            await _lock(held, org_id, contact_id)
            found = await held.fetchrow(TRY_CODE, org_id, contact_id, MAX_WRONG_CODES, to_datetime(self._clock()))
            if found is not None and is_right(found["code_hash"]):
                return await self._confirm(held, org_id, contact_id)
        # After the commit: what was tried stays counted.
        if found is None:
            raise FailedPreconditionError(
                "No code of this contact is valid now: it was used, has expired, or was guessed at too often. "
                "SendConfirmation sends a new one."
            )
        left = MAX_WRONG_CODES - found["attempts"]
        raise FailedPreconditionError(f"That is not the code of the last mail to this contact; {left} tries are left.")

    async def find(self, token_hash: bytes) -> Pending | None:
        """Return who was sent a link that is valid; None: nobody."""
        async with self._database.connection() as held:
            row = await held.fetchrow(BY_LINK, token_hash, to_datetime(self._clock()))
        return None if row is None else Pending(row["org_id"], row["contact_id"])

    async def by_token(self, token_hash: bytes) -> Contact | None:
        """Confirm by the token of a link; None: it is not valid, or no more."""
        async with self._database.transaction(None) as held:
            row = await held.fetchrow(BY_LINK, token_hash, to_datetime(self._clock()))
            if row is None:
                return None
            await _lock(held, row["org_id"], row["contact_id"])
            still = await held.fetchrow(BY_LINK, token_hash, to_datetime(self._clock()))
            return None if still is None else await self._confirm(held, row["org_id"], row["contact_id"])

    async def _confirm(self, held: Transaction, org_id: int, contact_id: int) -> Contact:
        await held.execute(USE, org_id, contact_id)
        return await self._contacts.enable(org_id, contact_id, tx=held)


async def _lock(held: Transaction, org_id: int, contact_id: int) -> None:
    if await held.fetchval(LOCK_CONTACT, org_id, contact_id) is None:
        raise NotFoundError(f"There is no contact {contact_id}.", id=str(contact_id))
