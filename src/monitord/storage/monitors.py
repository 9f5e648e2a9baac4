"""The store of monitors. Every method takes the organisation first, and sees nothing of another's (T9)."""

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from monitord.domain.errors import EtagMismatchError
from monitord.domain.instant import Instant, to_datetime
from monitord.domain.monitor import MonitorSpec
from monitord.domain.queries import Applied, MonitorQuery, MonitorView
from monitord.domain.secrets import keep_secrets
from monitord.storage import monitor_rows, monitor_writes
from monitord.storage.database import Connection, Database, Transaction
from monitord.storage.monitor_sets import apply_set
from monitord.storage.sealing import Sealer

WITHOUT_LABELS = """
SELECT w.id FROM unnest($2::bigint[]) AS w (id)
WHERE NOT EXISTS (SELECT FROM monitors AS m WHERE m.org_id = $1 AND m.id = w.id AND m.labels @> $3::jsonb)
"""


def wall_clock() -> Instant:
    """Return the present instant."""
    return time.time_ns() // 1000


class MonitorStore:
    """Creates, reads, changes and deletes monitors.

    Every mutating method joins the transaction it is given, or has one of its own; either way the change is
    acknowledged after its commit alone (I13).
    """

    def __init__(self, database: Database, sealer: Sealer, *, clock: Callable[[], Instant] = wall_clock) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock

    async def create(self, org_id: int, spec: MonitorSpec, *, tx: Transaction | None = None) -> MonitorView:
        """Store a monitor.

        Raises:
            AlreadyExistsError: the name is taken.

        """
        async with self._database.transaction(tx) as held:
            monitor_id = await monitor_writes.insert(held, self._sealer, org_id, spec, self._clock())
            await monitor_writes.notify(held)
            return await self._read(held, org_id, monitor_id)

    async def without_labels(self, org_id: int, monitor_ids: Sequence[int], labels: Mapping[str, str]) -> list[int]:
        """Return those that are not there, are another's, or lack one of the labels."""
        async with self._database.connection() as held:
            return [row["id"] for row in await held.fetch(WITHOUT_LABELS, org_id, list(monitor_ids), dict(labels))]

    async def get(self, org_id: int, monitor_id: int) -> MonitorView:
        """Return a monitor.

        Raises:
            NotFoundError: it isn't there, or is another's.

        """
        async with self._database.connection() as held:
            return await self._read(held, org_id, monitor_id)

    async def update(
        self,
        org_id: int,
        monitor_id: int,
        edit: Callable[[MonitorSpec], MonitorSpec],
        *,
        expected_version: int | None = None,
        tx: Transaction | None = None,
    ) -> MonitorView:
        """Change a monitor by ``edit``, which gets what is stored; an edit that changes nothing writes nothing.

        Raises:
            NotFoundError: it isn't there, or is another's.
            EtagMismatchError: it has another version than expected.
            AlreadyExistsError: the new name is taken.

        """
        async with self._database.transaction(tx) as held:
            current, health = await monitor_writes.locked(held, self._sealer, org_id, monitor_id)
            _expect(expected_version, current.version)
            edited = edit(current.spec)
            spec = msgspec.structs.replace(edited, check=keep_secrets(edited.check, current.spec.check))
            if spec != current.spec:
                await monitor_writes.replace(held, self._sealer, current, health, spec, self._clock())
                await monitor_writes.notify(held)
            return await self._read(held, org_id, monitor_id)

    async def set_active(
        self, org_id: int, monitor_id: int, active: bool, *, tx: Transaction | None = None
    ) -> MonitorView:
        """Pause or resume a monitor; what is so already stays untouched, but a FAULTED one gets a new chance.

        Raises:
            NotFoundError: it isn't there, or is another's.

        """
        async with self._database.transaction(tx) as held:
            current, health = await monitor_writes.locked(held, self._sealer, org_id, monitor_id)
            if monitor_writes.status_after(health.status, active) is not health.status:
                spec = msgspec.structs.replace(current.spec, active=active)
                await monitor_writes.replace(held, self._sealer, current, health, spec, self._clock())
                await monitor_writes.notify(held)
            return await self._read(held, org_id, monitor_id)

    async def delete(
        self, org_id: int, monitor_id: int, *, expected_version: int | None = None, tx: Transaction | None = None
    ) -> None:
        """Delete a monitor, for ever.

        Raises:
            NotFoundError: it isn't there, or is another's.
            EtagMismatchError: it has another version than expected.

        """
        async with self._database.transaction(tx) as held:
            version = await held.fetchval(monitor_writes.LOCK_TO_DELETE, org_id, monitor_id)
            if version is None:
                raise monitor_writes.not_found(monitor_id)
            _expect(expected_version, version)
            await monitor_writes.delete(held, org_id, monitor_id, self._clock())
            await monitor_writes.notify(held)

    async def apply(
        self,
        org_id: int,
        specs: Sequence[MonitorSpec],
        *,
        prune: bool,
        dry_run: bool,
        tx: Transaction | None = None,
    ) -> list[Applied]:
        """Make the stored set equal to ``specs``, by name, all of it or nothing.

        Returns one for each of ``specs``, in order, then one for each removed (with ``prune``), by id. With
        ``dry_run`` nothing is changed.

        Raises:
            AlreadyExistsError: a name stands in ``specs`` twice.

        """
        async with self._database.transaction(tx) as held:
            return await apply_set(held, self._sealer, org_id, specs, prune=prune, dry_run=dry_run, now=self._clock())

    async def list(self, org_id: int, query: MonitorQuery) -> list[MonitorView]:
        """Return one page of monitors."""
        statement, arguments = monitor_rows.page_statement(org_id, query, self._clock())
        async with self._database.connection() as held:
            return [monitor_rows.view(row, self._sealer) for row in await held.fetch(statement, *arguments)]

    async def _read(self, held: Connection, org_id: int, monitor_id: int) -> MonitorView:
        recent = to_datetime(self._clock() - monitor_rows.RECENT)
        row = await held.fetchrow(monitor_rows.SELECT_VIEW, org_id, monitor_id, recent)
        if row is None:
            raise monitor_writes.not_found(monitor_id)
        return monitor_rows.view(row, self._sealer)


def _expect(expected: int | None, stored: int) -> None:
    if expected is not None and expected != stored:
        raise EtagMismatchError("The monitor was changed since it was read: read it again, and repeat the change.")
