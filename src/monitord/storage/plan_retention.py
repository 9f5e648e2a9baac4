"""Log rows that are older than their organisation's plan keeps them; days that nobody keeps are dropped as a whole."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

from monitord.storage.database import Connection, touched
from monitord.storage.partitions import PARTITIONED, days_of, midnight, name_of

BATCH = 5_000
"""Rows that one statement deletes, at most."""

SHORTEST = """
SELECT min(retention_days) FROM plans AS p WHERE EXISTS (SELECT FROM organisations AS o WHERE o.plan = p.name)
"""
# Each in reach of an index: one descent for each organisation, not a scan of the day.
_EXPIRED = """
WITH RECURSIVE org (id) AS (
    SELECT min(org_id) FROM {partition}
    UNION ALL
    SELECT (SELECT min(org_id) FROM {partition} WHERE org_id > org.id) FROM org WHERE org.id IS NOT NULL
)
SELECT org.id FROM org JOIN organisations AS o ON o.id = org.id JOIN plans AS p ON p.name = o.plan
WHERE p.retention_days < $1
"""
_RAISE_FLOOR = """
INSERT INTO log_floors (org_id, shard, kept_from)
SELECT $1, s.id, 1 + l.position FROM shards AS s CROSS JOIN LATERAL (
    SELECT max(position) AS position FROM {partition} WHERE org_id = $1 AND shard = s.id
) AS l
WHERE l.position IS NOT NULL
ON CONFLICT (org_id, shard) DO UPDATE SET kept_from = GREATEST(log_floors.kept_from, EXCLUDED.kept_from)
"""
_DELETE = """
DELETE FROM {partition} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {partition} WHERE org_id = $1 LIMIT $2))
"""


def first_day(now: datetime, retention_days: int) -> date:
    """Return the oldest day of the log that is kept: whole days, by UTC, as partitions are."""
    return now.astimezone(UTC).date() - timedelta(days=retention_days)


def kept_since(now: datetime, retention_days: int) -> datetime:
    """Return the moment before which no row is kept."""
    return midnight(first_day(now, retention_days))


async def retire(held: Connection, now: datetime) -> int:
    """Delete the rows of days that their organisations' plans don't keep, in bounded batches; return how many.

    Tails learn of it first (I15).
    """
    shortest = await held.fetchval(SHORTEST)
    if shortest is None:
        return 0
    deleted = 0
    for parent in PARTITIONED:
        for day in sorted(await days_of(held, parent)):
            if day >= first_day(now, shortest):
                break
            async for rows in _retire_day(held, parent, day, (first_day(now, 0) - day).days):
                deleted += rows
    return deleted


async def _retire_day(held: Connection, parent: str, day: date, age_days: int) -> AsyncIterator[int]:
    partition = name_of(parent, day)
    for row in await held.fetch(_EXPIRED.format(partition=partition), age_days):
        org_id = row["id"]
        if parent == "monitor_logs":
            # Committed before the rows go: a tail may announce a gap too early, but never miss one.
            await held.execute(_RAISE_FLOOR.format(partition=partition), org_id)
        rows = BATCH
        while rows == BATCH:
            rows = touched(await held.execute(_DELETE.format(partition=partition), org_id, BATCH))
            yield rows
