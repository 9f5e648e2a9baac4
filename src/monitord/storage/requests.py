"""Answers to calls with a request_id, kept for 24 hours: the same id gives the same answer and one effect (I14)."""

import hmac
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from monitord.domain.errors import RequestIdReusedError
from monitord.domain.instant import Instant, to_datetime
from monitord.storage.database import Database, Transaction
from monitord.storage.monitors import wall_clock

LOCK = "SELECT pg_advisory_xact_lock($1)"
FIND = "SELECT method, request_hash, answer FROM request_ids WHERE org_id = $1 AND id_hash = $2 AND created_at > $3"
FORGET = "DELETE FROM request_ids WHERE org_id = $1 AND id_hash = $2"
REMEMBER = """
INSERT INTO request_ids (org_id, id_hash, method, request_hash, answer, created_at) VALUES ($1, $2, $3, $4, $5, $6)
"""

_KEPT = timedelta(hours=24)
_KEY_BYTES = 32
_NONCE_BYTES = 12


class RequestLedger:
    """Runs what a request asks for once, however often the request comes.

    Of the id only its SHA-256 is stored. The answer may hold secrets (a new API key): it is sealed with a key derived
    from the id, and the request is compared by a keyed hash, so that whoever reads the table learns neither.
    """

    def __init__(self, database: Database, *, clock: Callable[[], Instant] = wall_clock) -> None:
        self._database = database
        self._clock = clock

    async def once(
        self,
        org_id: int,
        method: str,
        request_id: str,
        request: bytes,
        act: Callable[[Transaction], Awaitable[bytes]],
    ) -> bytes:
        """Return what ``act`` answers, or what it answered to this ``request_id`` within the last 24 hours.

        ``act`` gets the transaction in which its answer is remembered: both happen, or neither. Of several at the same
        time the first acts, and the others wait for its answer.

        Raises:
            RequestIdReusedError: the id was used for a different request.
            UnavailableError: the database is away.

        """
        seal = _Seal.of(org_id, method, request_id)
        asked = hmac.digest(seal.compare_key, request, "sha256")
        now = to_datetime(self._clock())
        async with self._database.transaction() as tx:
            await tx.execute(LOCK, int.from_bytes(seal.id_hash[:8], "big", signed=True))
            known = await tx.fetchrow(FIND, org_id, seal.id_hash, now - _KEPT)
            if known is not None:
                if known["method"] != method or not hmac.compare_digest(known["request_hash"], asked):
                    raise RequestIdReusedError(
                        "This request_id was used for a different request within the last 24 hours: make up a new one.",
                        request_id=request_id,
                    )
                return seal.open(known["answer"])
            answer = await act(tx)
            await tx.execute(FORGET, org_id, seal.id_hash)
            await tx.execute(REMEMBER, org_id, seal.id_hash, method, asked, seal.close(answer), now)
            return answer


@dataclass(frozen=True, slots=True)
class _Seal:
    """What follows from a request_id: its place in the table, and the keys that are nowhere stored."""

    id_hash: bytes
    compare_key: bytes
    answer_key: bytes
    context: bytes

    @classmethod
    def of(cls, org_id: int, method: str, request_id: str) -> "_Seal":
        # A UUID is the same in either case (RFC 9562, 4).
        secret = request_id.lower().encode()
        keys = HKDF(algorithm=SHA256(), length=2 * _KEY_BYTES, salt=None, info=b"monitord request_id").derive(secret)
        return cls(
            id_hash=sha256(secret).digest(),
            compare_key=keys[:_KEY_BYTES],
            answer_key=keys[_KEY_BYTES:],
            context=b"%d %s" % (org_id, method.encode()),
        )

    def close(self, answer: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.answer_key).encrypt(nonce, answer, self.context)

    def open(self, sealed: bytes) -> bytes:
        return AESGCM(self.answer_key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self.context)
