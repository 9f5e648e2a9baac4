"""The statements of the ledger's transaction, all for sets: ten thousand monitors down cost a handful of round trips.

Locks are always taken in the same order: monitors by id, then the shard, then states, contacts and the rest.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from uuid import UUID

from monitord.domain.alert import Silence, alert_kind, ends_incident, opens_incident, silence_of
from monitord.domain.check import Category
from monitord.domain.health import Health, Policy, Transition
from monitord.domain.instant import to_datetime
from monitord.storage import rows
from monitord.storage.database import Transaction
from monitord.storage.ledger_draft import Draft, Shift, Track, versions
from monitord.storage.ledger_rows import EVIDENCE_COLUMNS, evidence_records, log_records, text

TAKE = "UPDATE shards SET owner = $2, epoch = epoch + 1 WHERE id = $1 RETURNING epoch, position"
FENCE = """
UPDATE shards SET position = position + $4 WHERE id = $1 AND owner = $2 AND epoch = $3 RETURNING position
"""
# FOR UPDATE waits for a transaction of ours that may still be ending at the other side of a lost connection.
STANDING = "SELECT position FROM shards WHERE id = $1 AND owner = $2 AND epoch = $3 FOR UPDATE"
MOVED = """
SELECT b.id FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS b (org_id, id, version)
LEFT JOIN monitors AS m ON m.org_id = b.org_id AND m.id = b.id
WHERE m.version IS DISTINCT FROM b.version
"""
LOCK = """
SELECT m.id, m.version FROM unnest($1::bigint[], $2::bigint[]) AS b (org_id, id)
JOIN monitors AS m ON m.org_id = b.org_id AND m.id = b.id
ORDER BY m.id FOR SHARE OF m
"""
TRACKS = f"""
SELECT m.org_id, m.id, m.version, m.is_active, m.failure_threshold, m.success_threshold, {rows.HEALTH},
       COALESCE(l.seq, 0) AS seq
FROM monitors AS m JOIN monitor_states AS s ON s.org_id = m.org_id AND s.monitor_id = m.id
LEFT JOIN LATERAL (
    SELECT seq FROM monitor_logs WHERE org_id = m.org_id AND monitor_id = m.id ORDER BY seq DESC LIMIT 1
) AS l ON true
WHERE (m.org_id, m.id) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[]))
"""  # noqa: S608 - made of constants
UPSERT_STATES = """
INSERT INTO monitor_states (org_id, monitor_id, status, since, down_streak, degraded_streak, alive_streak, up_streak,
                            judged, failed_streak, blind_streak)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::timestamptz[], $5::smallint[], $6::smallint[],
                     $7::smallint[], $8::smallint[], $9::smallint[], $10::smallint[], $11::smallint[])
ON CONFLICT (org_id, monitor_id) DO UPDATE SET
    status = EXCLUDED.status, since = EXCLUDED.since, down_streak = EXCLUDED.down_streak,
    degraded_streak = EXCLUDED.degraded_streak, alive_streak = EXCLUDED.alive_streak, up_streak = EXCLUDED.up_streak,
    judged = EXCLUDED.judged, failed_streak = EXCLUDED.failed_streak, blind_streak = EXCLUDED.blind_streak
"""
TRANSITION_IDS = """
SELECT nextval(pg_get_serial_sequence('monitor_transitions', 'id')) FROM generate_series(1, $1::int)
"""
# The lock keeps a contact from going between this and its alert.
CONTACTS = """
SELECT b.transition_id, c.id AS contact_id,
       CASE WHEN b.kind = 'down' AND a.escalate_after_s > 0 THEN 'escalation' ELSE b.kind END AS kind,
       CASE WHEN b.kind = 'up' THEN 0 WHEN b.kind = 'down' AND a.escalate_after_s > 0 THEN a.escalate_after_s
            ELSE a.delay_s END AS wait_s
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS b (transition_id, org_id, monitor_id, kind)
JOIN monitor_alert_configs AS a
  ON a.org_id = b.org_id AND a.monitor_id = b.monitor_id AND a.is_active AND b.kind = ANY(a.kinds)
JOIN alert_contacts AS c
  ON c.org_id = a.org_id AND c.id = a.contact_id AND c.verified_at IS NOT NULL AND c.disabled_at IS NULL
  AND c.deleted_at IS NULL
ORDER BY c.id FOR KEY SHARE OF c
"""
INSERT_TRANSITIONS = """
INSERT INTO monitor_transitions (id, org_id, monitor_id, seq, before, after, at, category, message, silence)
OVERRIDING SYSTEM VALUE
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::smallint[],
                     $7::timestamptz[], $8::text[], $9::text[], $10::text[])
"""
RESOLVE_INCIDENTS = """
UPDATE incidents AS i SET resolved_at = b.at, resolved_by = b.transition_id
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[]) AS b (transition_id, org_id, monitor_id, at)
WHERE i.org_id = b.org_id AND i.monitor_id = b.monitor_id AND i.resolved_at IS NULL
"""
OPEN_INCIDENTS = """
INSERT INTO incidents (opened_by, org_id, monitor_id, opened_at, category, message)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[])
ON CONFLICT (org_id, monitor_id) WHERE resolved_at IS NULL DO NOTHING
"""
INSERT_ALERTS = """
INSERT INTO alerts (transition_id, org_id, monitor_id, kind, contact_id, due_at, held_until, incident_id)
SELECT b.transition_id, b.org_id, b.monitor_id, b.kind, b.contact_id, now() + b.wait_s * interval '1 second',
       CASE WHEN b.hold_s > 0 THEN now() + b.hold_s * interval '1 second' END,
       (SELECT i.id FROM incidents AS i
        WHERE i.org_id = b.org_id AND i.monitor_id = b.monitor_id
          AND (i.resolved_at IS NULL OR b.transition_id IN (i.opened_by, i.resolved_by))
        ORDER BY i.id DESC LIMIT 1)
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::integer[],
            $7::integer[]) AS b (transition_id, org_id, monitor_id, kind, contact_id, wait_s, hold_s)
"""


class OwnershipLostError(Exception):
    """Another monitord writes to this database now; this one must not (I7)."""

    def __init__(self) -> None:
        super().__init__("Another monitord took over this database: this one can't write to it any more.")


class Lease:
    """This process's right to write to a shard, as of one epoch."""

    __slots__ = ("epoch", "owner", "shard")

    def __init__(self, shard: int, owner: UUID, epoch: int) -> None:
        self.shard = shard
        self.owner = owner
        self.epoch = epoch

    async def advance(self, tx: Transaction, count: int) -> int:
        """Take the next ``count`` positions and return the last.

        The shard's row stays locked until the commit: positions are in the order of commits, without holes (I15).

        Raises:
            OwnershipLostError: the shard has another owner, or another epoch (I7).

        """
        position = await tx.fetchval(FENCE, self.shard, self.owner, self.epoch, count)
        if position is None:
            raise OwnershipLostError
        return int(position)

    async def standing(self, tx: Transaction) -> int:
        """Return the last position that is committed, once no transaction of ours is under way any more.

        Raises:
            OwnershipLostError: as ``advance``.

        """
        position = await tx.fetchval(STANDING, self.shard, self.owner, self.epoch)
        if position is None:
            raise OwnershipLostError
        return int(position)


async def take_shard(tx: Transaction, shard: int, owner: UUID) -> tuple[Lease, int]:
    """Become the owner of a shard; return the lease and the last position."""
    row = await tx.fetchrow(TAKE, shard, owner)
    if row is None:
        raise OwnershipLostError
    return Lease(shard, owner, row["epoch"]), row["position"]


async def moved(tx: Transaction, made: Draft) -> set[int]:
    """Return which monitors of a draft are stored with another version than the one in memory, or are gone."""
    quiet = made.seqs.keys() - made.loud
    if not quiet:
        return set()
    return {row[0] for row in await tx.fetch(MOVED, *versions(made, quiet))}


async def lock(tx: Transaction, keys: Collection[tuple[int, int]]) -> dict[int, int]:
    """Keep monitors, by (organisation, id), from changing until the commit; return the versions of those there are."""
    if not keys:
        return {}
    return {row[0]: row[1] for row in await tx.fetch(LOCK, *_columns(sorted(keys), 2))}


async def load_tracks(tx: Transaction, keys: Collection[tuple[int, int]]) -> dict[int, Track]:
    """Return what is stored of locked monitors. A statement after the lock: it sees what its last owner committed."""
    if not keys:
        return {}
    found = await tx.fetch(TRACKS, *_columns(sorted(keys), 2))
    return {
        row["id"]: Track(
            org_id=row["org_id"],
            version=row["version"],
            active=row["is_active"],
            policy=Policy(row["failure_threshold"], row["success_threshold"]),
            health=rows.health(row[6 : 6 + len(rows.HEALTH_COLUMNS)]),
            seq=row["seq"],
        )
        for row in found
    }


Hold = Callable[[int, Transition, Category | None], int]
"""How long the alerts of a monitor's transition, with what was wrong then, wait in seconds: for a picture, say."""


async def write(tx: Transaction, made: Draft, shard: int, first_position: int, hold_s: Hold) -> None:
    """Write a draft: rows, evidence, states, transitions with their incidents and alerts (I1)."""
    if made.rows:
        records = log_records(made.rows, shard, first_position)
        await tx.copy_records_to_table("monitor_logs", records=records, columns=rows.LOG_COLUMNS)
        evidence = evidence_records(made.rows)
        if evidence:
            await tx.copy_records_to_table("check_evidence", records=evidence, columns=EVIDENCE_COLUMNS)
    if made.loud:
        await _write_states(tx, [(made.tracks[i].org_id, i, made.healths[i]) for i in sorted(made.loud)])
    if made.shifts:
        await _write_shifts(tx, made.shifts, hold_s)


async def _write_states(tx: Transaction, states: Sequence[tuple[int, int, Health]]) -> None:
    values = [
        (
            org_id,
            monitor_id,
            health.status,
            to_datetime(health.since),
            health.down_streak,
            health.degraded_streak,
            health.alive_streak,
            health.up_streak,
            health.judged,
            health.failed_streak,
            health.blind_streak,
        )
        for org_id, monitor_id, health in states
    ]
    await tx.execute(UPSERT_STATES, *_columns(values, 11))


async def _write_shifts(tx: Transaction, shifts: Sequence[Shift], hold_s: Hold) -> None:
    ids = [row[0] for row in await tx.fetch(TRANSITION_IDS, len(shifts))]
    told = [(i, s, kind) for i, s in zip(ids, shifts, strict=True) if (kind := alert_kind(s.transition)) is not None]
    alerts = []
    if told:
        by_id = {i: (i, s.org_id, s.monitor_id, kind.value) for i, s, kind in told}
        found = await tx.fetch(CONTACTS, *_columns(by_id.values(), 4))
        held = {i: hold_s(s.monitor_id, s.transition, s.category) for i, s, _ in told}
        alerts = [(*by_id[row[0]][:3], row["kind"], row["contact_id"], row["wait_s"], held[row[0]]) for row in found]
    speaking, alerted = {i for i, _, _ in told}, {alert[0] for alert in alerts}
    values = [
        (
            i,
            shift.org_id,
            shift.monitor_id,
            shift.seq,
            shift.transition.before,
            shift.transition.after,
            to_datetime(shift.transition.at),
            None if shift.category is None else shift.category.value,
            text(shift.message),
            _silence(shift.transition, i in speaking, i in alerted),
        )
        for i, shift in zip(ids, shifts, strict=True)
    ]
    await tx.execute(INSERT_TRANSITIONS, *_columns(values, 10))
    await _write_incidents(tx, list(zip(ids, shifts, strict=True)))
    if alerts:
        await tx.execute(INSERT_ALERTS, *_columns(alerts, 7))


def _silence(transition: Transition, speaks: bool, alerted: bool) -> Silence | None:
    """Return why nobody is told (I2)."""
    if alerted:
        return None
    return Silence.NO_CONTACTS if speaks else silence_of(transition)


async def _write_incidents(tx: Transaction, shifts: Sequence[tuple[int, Shift]]) -> None:
    """Open and resolve, each monitor's first transition first, then all second ones: mostly there is one."""
    by_monitor: defaultdict[int, list[tuple[int, Shift]]] = defaultdict(list)
    for numbered in shifts:
        by_monitor[numbered[1].monitor_id].append(numbered)
    for turn in itertools.zip_longest(*by_monitor.values()):
        ends, opens = [], []
        for transition_id, shift in filter(None, turn):
            key = (transition_id, shift.org_id, shift.monitor_id, to_datetime(shift.transition.at))
            if ends_incident(shift.transition):
                ends.append(key)
            if opens_incident(shift.transition):
                category = None if shift.category is None else shift.category.value
                opens.append((*key, category, text(shift.message)))
        if ends:
            await tx.execute(RESOLVE_INCIDENTS, *_columns(ends, 4))
        if opens:
            await tx.execute(OPEN_INCIDENTS, *_columns(opens, 6))


def _columns(values: Iterable[Sequence[object]], width: int) -> list[list[object]]:
    """Turn rows into columns, for unnest."""
    columns = [list(column) for column in zip(*values, strict=True)]
    return columns or [[] for _ in range(width)]
