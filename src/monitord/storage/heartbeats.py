"""The words of jobs: what is remembered to judge by, and the newest ones for people."""

from collections.abc import Iterable, Sequence

import msgspec

from monitord.domain.errors import NotFoundError
from monitord.domain.heartbeat import Ping, PingKind, Words
from monitord.domain.instant import Instant, from_datetime, to_datetime
from monitord.storage.database import Connection, Database, Transaction

KEPT = 100
"""Words of one job, for people; the oldest go first."""

# Locks the row: two words at the same time are heard one after the other.
LOCK = """
INSERT INTO heartbeats (org_id, monitor_id)
SELECT org_id, id FROM monitors
WHERE id = $1 AND type = 'heartbeat'
  AND ($2::integer IS NULL OR COALESCE((config ->> 'ping_url_version')::integer, 0) = $2)
ON CONFLICT (org_id, monitor_id) DO UPDATE SET words = heartbeats.words
RETURNING org_id, words
"""
REMEMBER = "UPDATE heartbeats SET words = $3 WHERE org_id = $1 AND monitor_id = $2"
INSERT = """
INSERT INTO heartbeat_pings (org_id, monitor_id, received_at, kind, exit_code, source, body)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
TRIM = """
DELETE FROM heartbeat_pings WHERE org_id = $1 AND monitor_id = $2 AND id <= (
    SELECT id FROM heartbeat_pings WHERE org_id = $1 AND monitor_id = $2 ORDER BY id DESC OFFSET $3 LIMIT 1
)
"""
OWNED = "SELECT id FROM monitors WHERE org_id = $1 AND id = $2 AND type = 'heartbeat'"
LIST = """
SELECT id, received_at, kind, exit_code, source, body FROM heartbeat_pings
WHERE org_id = $1 AND monitor_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4
"""
TO_RESCHEDULE = """
INSERT INTO heartbeats (org_id, monitor_id) VALUES ($1, $2)
ON CONFLICT (org_id, monitor_id) DO UPDATE SET words = heartbeats.words
RETURNING words
"""
WORDS = "SELECT monitor_id, words FROM heartbeats WHERE monitor_id = ANY($1::bigint[]) AND words IS NOT NULL"
MAX_ID = (1 << 63) - 1

_WORDS = msgspec.msgpack.Decoder(Words)


class HeartbeatStore:
    """Keeps the words of jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, monitor_id: int, url_version: int | None, ping: Ping) -> Words:
        """Keep a word; return what is remembered now.

        Whose monitor it is was settled before: by the signature of a URL, or by ``require``.

        Raises:
            NotFoundError: there is no such heartbeat, or the URL is of an older version.

        """
        async with self._database.transaction(None) as held:
            row = await held.fetchrow(LOCK, monitor_id, url_version)
            if row is None:
                raise NotFoundError("There is no heartbeat at this URL: it was deleted, or given another URL.")
            org_id = row["org_id"]
            words = _words(row["words"]).hear(ping)
            await held.execute(REMEMBER, org_id, monitor_id, msgspec.msgpack.encode(words))
            at = to_datetime(ping.at)
            await held.execute(INSERT, org_id, monitor_id, at, ping.kind, ping.exit_code, ping.source, ping.body)
            await held.execute(TRIM, org_id, monitor_id, KEPT)
            return words

    async def require(self, org_id: int, monitor_id: int) -> None:
        """Raise NotFoundError unless this is a heartbeat of this organisation (T9)."""
        async with self._database.connection() as held:
            if await held.fetchval(OWNED, org_id, monitor_id) is None:
                raise NotFoundError(f"There is no heartbeat {monitor_id}.", id=str(monitor_id))

    async def list(self, org_id: int, monitor_id: int, before: int, limit: int) -> Sequence[tuple[int, Ping]]:
        """Return at most ``limit`` words with ids below ``before``, the newest first, with their ids."""
        async with self._database.connection() as held:
            fetched = await held.fetch(LIST, org_id, monitor_id, before, limit)
        return [
            (
                row["id"],
                Ping(
                    at=from_datetime(row["received_at"]),
                    kind=PingKind(row["kind"]),
                    exit_code=row["exit_code"],
                    source=row["source"],
                    body=row["body"],
                ),
            )
            for row in fetched
        ]


async def words_of(held: Connection, monitor_ids: Iterable[int]) -> dict[int, Words]:
    """Return what is remembered of the words of these monitors' jobs."""
    wanted = list(monitor_ids)
    if not wanted:
        return {}
    return {row["monitor_id"]: _words(row["words"]) for row in await held.fetch(WORDS, wanted)}


async def reschedule(tx: Transaction, org_id: int, monitor_id: int, now: Instant) -> None:
    """Remember that words are due by another schedule from now on, also after a restart."""
    words = _words(await tx.fetchval(TO_RESCHEDULE, org_id, monitor_id))
    changed = msgspec.structs.replace(words, rescheduled_at=now)
    await tx.execute(REMEMBER, org_id, monitor_id, msgspec.msgpack.encode(changed))


def _words(packed: bytes | None) -> Words:
    return Words() if packed is None else _WORDS.decode(packed)
