"""Every stored secret, sealed anew under another master key (T15). For the operator: it crosses organisations."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from monitord.domain.errors import FailedPreconditionError
from monitord.identity.vault import UnsealError, Vault
from monitord.storage.database import Database, Row, Transaction, connect, disconnect, touched, unavailable_when_away
from monitord.storage.sealing import contact_context, monitor_context

ONE_AT_A_TIME = "SELECT pg_try_advisory_lock($1)"
# The database's own triggers leave such a change out of the audit log (migration 0014).
SAY_SO = "SELECT set_config('monitord.reseals', 'on', true)"
_COUNT = """
SELECT substring(secrets FROM 2 FOR 4) AS key_id, count(*) AS number, min(id) AS example
FROM {table} WHERE secrets IS NOT NULL GROUP BY 1
"""
COUNT_MONITORS = _COUNT.format(table="monitors")
COUNT_CONTACTS = _COUNT.format(table="alert_contacts")
# What somebody holds is left for the next round: nobody waits for us but for a batch's length, nor we for anybody.
_BATCH = """
SELECT org_id, id, secrets FROM {table}
WHERE substring(secrets FROM 2 FOR 4) = ANY($1::bytea[]) AND (org_id, id) > ($2, $3)
ORDER BY org_id, id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
"""
BATCH_OF_MONITORS = _BATCH.format(table="monitors")
BATCH_OF_CONTACTS = _BATCH.format(table="alert_contacts")
# Only over what was read, whatever else happens: neither the version nor the time of the last change is touched.
_STORE = """
UPDATE {table} AS t SET secrets = n.sealed
FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[]) AS n (org_id, id, was, sealed)
WHERE t.org_id = n.org_id AND t.id = n.id AND t.secrets = n.was
"""
STORE_MONITORS = _STORE.format(table="monitors")
STORE_CONTACTS = _STORE.format(table="alert_contacts")
WAIT_BRIEFLY = "SELECT set_config('lock_timeout', '5s', true)"
# Those who lock a row before they seal are waited for too: their lock is of the table's mode ROW SHARE.
STAND_STILL = "LOCK TABLE monitors, alert_contacts IN EXCLUSIVE MODE"
HEARTBEATS = """
SELECT id, name, count(*) OVER () AS number FROM monitors WHERE type = 'heartbeat' ORDER BY id LIMIT $1
"""
# Keys are everybody's: it is told to those who run this monitord.
NOTE = """
SELECT add_audit_event(o.org_id, $1, 'master_key', $2, NULL, $3)
FROM (SELECT DISTINCT org_id FROM users WHERE role = 'ADMIN') AS o
"""
IS_NOTED = """
SELECT EXISTS (
    SELECT FROM audit_events WHERE org_id IN (SELECT org_id FROM users WHERE role = 'ADMIN')
        AND kind = 'master_key' AND action = $1 AND thing_id = $2)
"""

BATCH = 100
"""Values sealed in one transaction, at most: its locks are held for some milliseconds."""

_LOCK = 0x6D6F_6E69_6B65_7973
"""Of ``pg_advisory_lock``: the bytes of "monikeys"."""


class Sealed(msgspec.Struct, frozen=True):
    """What one key seals: how many values, and one of them, such as ``monitor 7``."""

    number: int
    example: str


class Unopened(msgspec.Struct, frozen=True):
    """A value that stays as it is, and why."""

    place: str
    """Such as ``monitor 7``."""
    reason: str


class Heartbeats(msgspec.Struct, frozen=True):
    """The monitors with a URL for their job: how many, and the names of the first ones."""

    number: int
    names: tuple[str, ...]


class _Table(msgspec.Struct, frozen=True):
    name: str
    count: str
    batch: str
    store: str
    context: Callable[[int, int], bytes]


_TABLES = (
    _Table("monitor", COUNT_MONITORS, BATCH_OF_MONITORS, STORE_MONITORS, monitor_context),
    _Table("contact", COUNT_CONTACTS, BATCH_OF_CONTACTS, STORE_CONTACTS, contact_context),
)


@contextlib.asynccontextmanager
async def alone(dsn: str) -> AsyncIterator[None]:
    """Be the only one that works on the keys of a database, for the length of the block.

    Raises:
        FailedPreconditionError: somebody else is at it.
        UnavailableError: the database is away.

    """
    connection = await connect(dsn)
    try:
        with unavailable_when_away(connection):
            if not await connection.fetchval(ONE_AT_A_TIME, _LOCK):
                raise FailedPreconditionError("Another `monitord keys` works on this database: wait for its end.")
        yield
    finally:
        # The end of the session releases the lock.
        await disconnect(connection)


class Resealing:
    """Counts what each key seals, and seals it anew. Every method raises UnavailableError if the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def census(self, *, within: Transaction | None = None) -> dict[bytes, Sealed]:
        """Return what each key seals, by its id."""
        found: dict[bytes, Sealed] = {}
        async with self._database.transaction(within) as tx:
            for table in _TABLES:
                for key_id, number, example in await tx.fetch(table.count):
                    before = found.get(key_id)
                    found[key_id] = Sealed(
                        number + (before.number if before else 0),
                        before.example if before else f"{table.name} {example}",
                    )
        return found

    async def reseal(self, vault: Vault, old: Sequence[bytes], told: Callable[[int], None]) -> list[Unopened]:
        """Seal with the vault's current key what the keys of these ids seal, batch by batch; return what doesn't open.

        What is changed at the same time keeps the change. ``told`` gets how many values each batch has done. Safe to be
        cancelled, and to run again: what is done stays done.
        """
        unopened: list[Unopened] = []
        for table in _TABLES:
            after = (0, 0)
            while True:
                async with self._database.transaction() as tx:
                    rows = await tx.fetch(table.batch, old, *after, BATCH)
                    done = await _store(tx, table, rows, vault, unopened)
                told(done)
                if len(rows) < BATCH:
                    break
                after = (rows[-1]["org_id"], rows[-1]["id"])
        return unopened

    @contextlib.asynccontextmanager
    async def standstill(self) -> AsyncIterator[Transaction]:
        """Lend a transaction during which nobody stores a secret, nor has any on the way that was sealed before."""
        async with self._database.transaction() as tx:
            await tx.execute(WAIT_BRIEFLY)
            await tx.execute(STAND_STILL)
            yield tx

    async def heartbeats(self, names: int) -> Heartbeats:
        """Return how many monitors have a URL for their job, and at most so many of their names."""
        async with self._database.connection() as held:
            rows = await held.fetch(HEARTBEATS, names)
        return Heartbeats(rows[0]["number"] if rows else 0, tuple(f"{row['id']} {row['name']!r}" for row in rows))

    async def note(self, action: str, key_id: bytes, *, within: Transaction | None = None, **after: int) -> None:
        """Write into the audit log what was done with a key."""
        async with self._database.transaction(within) as tx:
            await tx.execute(NOTE, action, key_id.hex(), after)

    async def is_noted(self, action: str, key_id: bytes) -> bool:
        """Return whether the audit log still has it."""
        async with self._database.connection() as held:
            return bool(await held.fetchval(IS_NOTED, action, key_id.hex()))


async def _store(tx: Transaction, table: _Table, rows: list[Row], vault: Vault, unopened: list[Unopened]) -> int:
    """Seal locked values anew; return how many."""
    changes: list[tuple[int, int, bytes, bytes]] = []
    for org_id, row_id, was in rows:
        context = table.context(org_id, row_id)
        try:
            changes.append((org_id, row_id, was, vault.seal(vault.unseal(was, context), context)))
        except UnsealError as error:
            unopened.append(Unopened(f"{table.name} {row_id}", error.message))
    if not changes:
        return 0
    await tx.execute(SAY_SO)
    status = await tx.execute(table.store, *(list(column) for column in zip(*changes, strict=True)))
    return touched(status)
