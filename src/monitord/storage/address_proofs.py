"""The store of proofs of addresses. Who proves is not known before: the address, or the token, is the key."""

from collections.abc import Callable

from monitord.domain.instant import Instant, to_datetime
from monitord.identity.address_proofs import Claim, Purpose
from monitord.identity.contact_links import MAX_WRONG_CODES
from monitord.storage.database import Database, Row

BEGIN = """
INSERT INTO address_proofs (purpose, email, token_hash, code_hash, fullname, password_hash, sent_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (purpose, email) DO UPDATE SET
    token_hash = EXCLUDED.token_hash, code_hash = EXCLUDED.code_hash, attempts = 0, fullname = EXCLUDED.fullname,
    password_hash = EXCLUDED.password_hash, sent_at = EXCLUDED.sent_at, expires_at = EXCLUDED.expires_at
"""
TRY = """
UPDATE address_proofs SET attempts = attempts + 1
WHERE purpose = $1 AND email = $2 AND attempts < $3 AND expires_at > $4 RETURNING code_hash
"""
TAKE_BY_ADDRESS = """
DELETE FROM address_proofs WHERE purpose = $1 AND email = $2 RETURNING purpose, email, fullname, password_hash
"""
TAKE_BY_LINK = """
DELETE FROM address_proofs WHERE purpose = $1 AND token_hash = $2 AND expires_at > $3
RETURNING purpose, email, fullname, password_hash
"""
PURGE = "DELETE FROM address_proofs WHERE expires_at < $1"


class AddressProofStore:
    """Implements ``identity.address_proofs.ProofStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin_proof(
        self, claim: Claim, token_digest: bytes, code_digest: bytes, *, at: Instant, until: Instant
    ) -> None:
        """Remember what was sent; what was sent before for the same purpose becomes invalid. Forget what expired."""
        values = (claim.full_name, claim.password_hash, to_datetime(at), to_datetime(until))
        async with self._database.transaction() as tx:
            await tx.execute(PURGE, to_datetime(at))
            await tx.execute(BEGIN, claim.purpose, claim.email, token_digest, code_digest, *values)

    async def prove_by_token(self, purpose: Purpose, token_digest: bytes, *, at: Instant) -> Claim | None:
        """Return what a token proves, once; None: nothing, or not any more."""
        async with self._database.transaction() as tx:
            return _claim(await tx.fetchrow(TAKE_BY_LINK, purpose, token_digest, to_datetime(at)))

    async def prove_by_code(
        self, purpose: Purpose, email: str, is_right: Callable[[bytes], bool], *, at: Instant
    ) -> Claim | None:
        """Return what a code proves, once; None: nothing, or not any more. A wrong one stays counted."""
        async with self._database.transaction() as tx:
            stored = await tx.fetchval(TRY, purpose, email, MAX_WRONG_CODES, to_datetime(at))
            if stored is None or not is_right(stored):
                return None
            return _claim(await tx.fetchrow(TAKE_BY_ADDRESS, purpose, email))


def _claim(row: Row | None) -> Claim | None:
    if row is None:
        return None
    return Claim(
        purpose=Purpose(row["purpose"]),
        email=row["email"],
        full_name=row["fullname"],
        password_hash=row["password_hash"],
    )
