"""Writes of monitors, each a step of somebody's transaction: what changes with a monitor changes with it (I1, I10)."""

from datetime import datetime

import asyncpg

from monitord.domain.alert import Silence, ends_incident
from monitord.domain.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from monitord.domain.health import Health, Status, Transition
from monitord.domain.instant import Instant, to_datetime
from monitord.domain.kinds import HeartbeatCheck, kind_of
from monitord.domain.monitor import Monitor, MonitorSpec
from monitord.domain.secrets import secrets_of, without_secrets
from monitord.storage import rows
from monitord.storage.alert_configs import add_defaults
from monitord.storage.database import Transaction
from monitord.storage.heartbeats import reschedule
from monitord.storage.monitor_edges import judge_edges, let_go
from monitord.storage.sealing import Sealer, sealed

CHANNEL = "monitord_monitors"
"""Where other processes are told to look again (a hint, no more)."""

# Always the monitor first, then its state: the ledger takes them in this order too.
LOCK = "SELECT id FROM monitors WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE"
LOCK_TO_DELETE = "SELECT version FROM monitors WHERE org_id = $1 AND id = $2 FOR UPDATE"
# A statement of its own, after the lock: its snapshot then holds what the last owner of the lock committed.
READ_LOCKED = f"""
SELECT {rows.MONITOR}, {rows.HEALTH}
FROM monitors AS m JOIN monitor_states AS s ON s.org_id = m.org_id AND s.monitor_id = m.id
WHERE m.org_id = $1 AND m.id = ANY($2::bigint[])
ORDER BY m.id FOR NO KEY UPDATE OF s
"""  # noqa: S608 - made of constants

INSERT = """
WITH made AS (
    INSERT INTO monitors (org_id, name, labels, type, config, interval_s, timeout_ms, failure_threshold,
                          success_threshold, recheck_interval_s, is_active, parent_ids, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
    RETURNING id
), state AS (
    INSERT INTO monitor_states (org_id, monitor_id, status, since) SELECT $1, id, $14, $13 FROM made
), span AS (
    INSERT INTO monitor_schedules (org_id, monitor_id, valid_from, interval_s)
    SELECT $1, id, $13, $6 FROM made WHERE $11
)
SELECT id FROM made
"""
UPDATE = """
UPDATE monitors SET name = $3, labels = $4, type = $5, config = $6,
                    secrets = CASE WHEN $16 THEN $7 ELSE secrets END, interval_s = $8, timeout_ms = $9,
                    failure_threshold = $10, success_threshold = $11, recheck_interval_s = $12, is_active = $13,
                    parent_ids = $14, version = version + 1, updated_at = $15
WHERE org_id = $1 AND id = $2
"""
UPDATE_SECRETS = "UPDATE monitors SET secrets = $3 WHERE org_id = $1 AND id = $2"
UPDATE_STATE = """
UPDATE monitor_states SET
    status = $3, since = $4, judged = $5, down_streak = 0, degraded_streak = 0, alive_streak = 0, up_streak = 0,
    failed_streak = 0, blind_streak = 0
WHERE org_id = $1 AND monitor_id = $2
"""
# The clock may have stepped back: spans neither overlap nor end before they begin.
CLOSE_SPAN = """
UPDATE monitor_schedules SET valid_until = GREATEST($3, valid_from + interval '1 microsecond')
WHERE org_id = $1 AND monitor_id = $2 AND valid_until IS NULL
"""
OPEN_SPAN = """
INSERT INTO monitor_schedules (org_id, monitor_id, valid_from, interval_s)
SELECT $1, $2, GREATEST($3, max(valid_until)), $4 FROM monitor_schedules WHERE org_id = $1 AND monitor_id = $2
"""
INSERT_TRANSITION = """
INSERT INTO monitor_transitions (org_id, monitor_id, before, after, at, silence) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id
"""
RESOLVE_INCIDENT = """
UPDATE incidents SET resolved_at = $3, resolved_by = $4 WHERE org_id = $1 AND monitor_id = $2 AND resolved_at IS NULL
"""
GOES = "SELECT deletion_at IS NOT NULL FROM organisations WHERE id = $1"
DELETE = "DELETE FROM monitors WHERE org_id = $1 AND id = $2"
REMEMBER_TO_PURGE = "INSERT INTO monitor_purges (org_id, monitor_id, deleted_at) VALUES ($1, $2, $3)"
NOTIFY = "SELECT pg_notify($1, '')"


async def insert(tx: Transaction, sealer: Sealer, org_id: int, spec: MonitorSpec, now: Instant) -> int:
    """Store a new monitor with its state and the start of its schedule, and return its id.

    Raises:
        AlreadyExistsError: the name is taken.
        FailedPreconditionError: the organisation is to go with its member's account.

    """
    at = to_datetime(now)
    status = Status.PENDING if spec.active else Status.PAUSED
    await judge_edges(tx, org_id, None, spec)
    try:
        monitor_id: int = await tx.fetchval(INSERT, org_id, *_values(spec), at, status)
    except asyncpg.UniqueViolationError:
        raise _name_taken(spec.name) from None
    # After the row, whose foreign key waits for whoever has the organisation locked: then their decision is seen.
    await _require_staying(tx, org_id)
    secrets = sealed(spec.check, sealer, org_id, monitor_id)
    if secrets is not None:
        await tx.execute(UPDATE_SECRETS, org_id, monitor_id, secrets)
    await add_defaults(tx, org_id, monitor_id)
    if not spec.active:
        paused = Transition(Status.PENDING, Status.PAUSED, now, Status.PENDING, Status.PENDING)
        await _record(tx, org_id, monitor_id, paused)
    return monitor_id


async def locked(tx: Transaction, sealer: Sealer, org_id: int, monitor_id: int) -> tuple[Monitor, Health]:
    """Return a monitor and its state as they are, and keep both from changing until the transaction ends.

    Raises:
        NotFoundError: it isn't there, or is another's.

    """
    await tx.fetchval(LOCK, org_id, monitor_id)
    found = await read_locked(tx, sealer, org_id, [monitor_id])
    if not found:
        raise not_found(monitor_id)
    return found[0]


async def read_locked(
    tx: Transaction, sealer: Sealer, org_id: int, monitor_ids: list[int]
) -> list[tuple[Monitor, Health]]:
    """Return monitors that this transaction has locked, by id, and lock their states too."""
    end = len(rows.MONITOR_COLUMNS)
    return [
        (rows.monitor(row[:end], sealer), rows.health(row[end:]))
        for row in await tx.fetch(READ_LOCKED, org_id, monitor_ids)
    ]


def status_after(status: Status, active: bool) -> Status:
    """Return the status of a monitor that is changed: a pause, a resume and a new chance show at once."""
    if not active:
        return Status.PAUSED
    return Status.PENDING if status in (Status.PAUSED, Status.FAULTED) else status


async def replace(
    tx: Transaction, sealer: Sealer, current: Monitor, health: Health, spec: MonitorSpec, now: Instant
) -> None:
    """Give a locked monitor a new specification, and a new version: checks under way count for nothing (I10).

    Streaks begin anew. A pause, a resume, and any change of a FAULTED monitor, which gets a new chance by it, is a
    transition; what it ends ends here too.

    Raises:
        AlreadyExistsError: the new name is taken.
        FailedPreconditionError: it is to be resumed, and its organisation is to go with its member's account.

    """
    org_id, monitor_id = current.org_id, current.id
    if spec.active and not current.spec.active:
        await _require_staying(tx, org_id)
    at = to_datetime(now)
    secrets = sealed(spec.check, sealer, org_id, monitor_id)
    # Sealed anew they would look changed, in the audit log too.
    has_other_secrets = secrets_of(spec.check) != secrets_of(current.spec.check)
    config = _values(spec)
    await judge_edges(tx, org_id, monitor_id, spec, current.spec)
    try:
        await tx.execute(UPDATE, org_id, monitor_id, *config[:4], secrets, *config[4:], at, has_other_secrets)
    except asyncpg.UniqueViolationError:
        raise _name_taken(spec.name) from None
    if isinstance(spec.check, HeartbeatCheck) and spec.check != current.spec.check:
        await reschedule(tx, org_id, monitor_id, now)
    if (spec.active, spec.interval_s) != (current.spec.active, current.spec.interval_s):
        await _change_span(tx, current, spec, at)
    after = status_after(health.status, spec.active)
    if after is health.status:
        await tx.execute(UPDATE_STATE, org_id, monitor_id, after, to_datetime(health.since), health.judged)
        return
    transition = Transition(health.status, after, max(now, health.since), health.judged, Status.PENDING)
    await tx.execute(UPDATE_STATE, org_id, monitor_id, after, to_datetime(transition.at), Status.PENDING)
    await _record(tx, org_id, monitor_id, transition)


async def delete(tx: Transaction, org_id: int, monitor_id: int, now: Instant) -> None:
    """Delete a locked monitor with all that hangs on it; its log rows are left to the janitor."""
    await let_go(tx, org_id, monitor_id)
    await tx.execute(DELETE, org_id, monitor_id)
    await tx.execute(REMEMBER_TO_PURGE, org_id, monitor_id, to_datetime(now))


async def notify(tx: Transaction) -> None:
    """Tell other processes, once this commits, that some monitor changed."""
    await tx.execute(NOTIFY, CHANNEL)


def not_found(monitor_id: int) -> NotFoundError:
    """Return the error for a monitor that isn't there, or is another's."""
    return NotFoundError(f"There is no monitor {monitor_id}.", id=str(monitor_id))


async def _require_staying(tx: Transaction, org_id: int) -> None:
    if await tx.fetchval(GOES, org_id):
        raise FailedPreconditionError(
            "Nothing is checked in this organisation any more: it is to be deleted with its member's account. "
            "CancelAccountDeletion takes that back.",
            organisation_id=str(org_id),
        )


async def _change_span(tx: Transaction, current: Monitor, spec: MonitorSpec, at: datetime) -> None:
    await tx.execute(CLOSE_SPAN, current.org_id, current.id, at)
    if spec.active:
        await tx.execute(OPEN_SPAN, current.org_id, current.id, at, spec.interval_s)


async def _record(tx: Transaction, org_id: int, monitor_id: int, transition: Transition) -> None:
    at = to_datetime(transition.at)
    transition_id = await tx.fetchval(
        INSERT_TRANSITION, org_id, monitor_id, transition.before, transition.after, at, Silence.UNREMARKABLE
    )
    if ends_incident(transition):
        await tx.execute(RESOLVE_INCIDENT, org_id, monitor_id, at, transition_id)


def _values(spec: MonitorSpec) -> tuple[object, ...]:
    return (
        spec.name,
        spec.labels,
        kind_of(spec.check),
        without_secrets(spec.check),
        spec.interval_s,
        spec.timeout_ms,
        spec.failure_threshold,
        spec.success_threshold,
        spec.recheck_interval_s,
        spec.active,
        list(spec.parent_ids),
    )


def _name_taken(name: str) -> AlreadyExistsError:
    return AlreadyExistsError(f"There is a monitor named {name!r} already: names are unique.", name=name)
