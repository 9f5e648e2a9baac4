"""The store of maintenance windows. Every method but the engine's takes the organisation first (T9)."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from monitord.domain.errors import EtagMismatchError, NotFoundError, ResourceExhaustedError
from monitord.domain.instant import Instant, from_datetime, to_datetime
from monitord.domain.maintenance import MaintenanceSpec, MaintenanceWindow, Once, Recurring
from monitord.storage.database import Database, Row, Transaction
from monitord.storage.monitor_writes import notify
from monitord.storage.monitors import wall_clock

MAX_WINDOWS = 1000
"""Of one organisation: each of its checks looks at all of them."""

_COLUMNS = "org_id, id, name, schedule, monitor_ids, labels, is_active, version, created_at, updated_at"
LOCK_ORGANISATION = "SELECT id FROM organisations WHERE id = $1 FOR NO KEY UPDATE"
COUNT = "SELECT count(*) FROM maintenance_windows WHERE org_id = $1"
INSERT = f"""
INSERT INTO maintenance_windows (org_id, name, schedule, monitor_ids, labels, is_active, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7) RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants
SELECT = f"SELECT {_COLUMNS} FROM maintenance_windows WHERE org_id = $1 AND id = $2"  # noqa: S608
SELECT_LOCKED = f"{SELECT} FOR UPDATE"
LIST = f"""
SELECT {_COLUMNS} FROM maintenance_windows WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3
"""  # noqa: S608 - made of constants
UPDATE = f"""
UPDATE maintenance_windows SET name = $3, schedule = $4, monitor_ids = $5, labels = $6, is_active = $7,
    version = version + 1, updated_at = $8
WHERE org_id = $1 AND id = $2 RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants
DELETE = "DELETE FROM maintenance_windows WHERE org_id = $1 AND id = $2"
KNOWN_MONITORS = "SELECT count(*) FROM monitors WHERE org_id = $1 AND id = ANY($2::bigint[])"
ALL = f"SELECT {_COLUMNS} FROM maintenance_windows WHERE is_active"  # noqa: S608 - made of constants


class MaintenanceStore:
    """Creates, reads, changes and deletes windows."""

    def __init__(self, database: Database, *, clock: Callable[[], Instant] = wall_clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, org_id: int, spec: MaintenanceSpec, *, tx: Transaction | None = None) -> MaintenanceWindow:
        """Store a window.

        Raises:
            NotFoundError: it names a monitor that isn't there, or is another's.
            ResourceExhaustedError: there are too many already.

        """
        async with self._database.transaction(tx) as held:
            await held.execute(LOCK_ORGANISATION, org_id)
            if await held.fetchval(COUNT, org_id) >= MAX_WINDOWS:
                raise ResourceExhaustedError(f"There are {MAX_WINDOWS} maintenance windows already: delete some first.")
            await _require_monitors(held, org_id, spec)
            row = await held.fetchrow(INSERT, org_id, *_values(spec), to_datetime(self._clock()))
            await notify(held)
            assert row is not None
            return _window(row)

    async def get(self, org_id: int, window_id: int) -> MaintenanceWindow:
        """Return a window; raise NotFoundError if it isn't there, or is another's."""
        async with self._database.connection() as held:
            row = await held.fetchrow(SELECT, org_id, window_id)
        if row is None:
            raise _not_found(window_id)
        return _window(row)

    async def list(self, org_id: int, after: int, limit: int) -> list[MaintenanceWindow]:
        """Return at most ``limit`` windows with ids above ``after``, by id."""
        async with self._database.connection() as held:
            return [_window(row) for row in await held.fetch(LIST, org_id, after, limit)]

    async def update(
        self,
        org_id: int,
        window_id: int,
        edit: Callable[[MaintenanceSpec], MaintenanceSpec],
        *,
        expected_version: int | None = None,
    ) -> MaintenanceWindow:
        """Change a window by ``edit``, which gets what is stored.

        Raises:
            NotFoundError: it, or a monitor that it names, isn't there, or is another's.
            EtagMismatchError: it has another version than expected.

        """
        async with self._database.transaction(None) as held:
            row = await held.fetchrow(SELECT_LOCKED, org_id, window_id)
            if row is None:
                raise _not_found(window_id)
            current = _window(row)
            _expect(expected_version, current.version)
            spec = edit(current.spec)
            if spec == current.spec:
                return current
            await _require_monitors(held, org_id, spec)
            changed = await held.fetchrow(UPDATE, org_id, window_id, *_values(spec), to_datetime(self._clock()))
            await notify(held)
            assert changed is not None
            return _window(changed)

    async def delete(self, org_id: int, window_id: int, *, expected_version: int | None = None) -> None:
        """Delete a window. Raises as ``update``."""
        async with self._database.transaction(None) as held:
            row = await held.fetchrow(SELECT_LOCKED, org_id, window_id)
            if row is None:
                raise _not_found(window_id)
            _expect(expected_version, _window(row).version)
            await held.execute(DELETE, org_id, window_id)
            await notify(held)

    async def all(self) -> Sequence[MaintenanceWindow]:
        """Return every active window, whoever owns it: for the engine."""
        async with self._database.connection() as held:
            return [_window(row) for row in await held.fetch(ALL)]


async def _require_monitors(held: Transaction, org_id: int, spec: MaintenanceSpec) -> None:
    wanted = set(spec.monitor_ids)
    if wanted and await held.fetchval(KNOWN_MONITORS, org_id, list(wanted)) != len(wanted):
        raise NotFoundError("One of the monitors that the window names does not exist.")


def _values(spec: MaintenanceSpec) -> tuple[object, ...]:
    return spec.name, spec.schedule, list(spec.monitor_ids), spec.labels, spec.active


def _window(row: Row) -> MaintenanceWindow:
    schedule: Any = msgspec.convert(row["schedule"], Once | Recurring)
    return MaintenanceWindow(
        id=row["id"],
        org_id=row["org_id"],
        spec=MaintenanceSpec(
            name=row["name"],
            schedule=schedule,
            monitor_ids=tuple(row["monitor_ids"]),
            labels=row["labels"],
            active=row["is_active"],
        ),
        version=row["version"],
        created_at=from_datetime(row["created_at"]),
        updated_at=from_datetime(row["updated_at"]),
    )


def _expect(expected: int | None, stored: int) -> None:
    if expected is not None and expected != stored:
        raise EtagMismatchError("The window was changed since it was read: read it again, and repeat the change.")


def _not_found(window_id: int) -> NotFoundError:
    return NotFoundError(f"There is no maintenance window {window_id}.", id=str(window_id))
