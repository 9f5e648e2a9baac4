"""The days of the log: partitions are made ahead of time, and dropped when they are older than the retention."""

from datetime import UTC, date, datetime, timedelta

from monitord.storage.database import Connection

PARTITIONED = ("monitor_logs", "check_evidence")
_AHEAD_DAYS = 7
_LOCK = 0x706172746974696F
"""Of ``pg_advisory_xact_lock``: the bytes of "partitio"."""

LOCK = "SELECT pg_advisory_xact_lock($1)"
CHILDREN = """
SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass($1)
"""
# Each in reach of an index: one descent for each organisation, not a scan of the day.
_LAST_POSITIONS = """
WITH RECURSIVE org (id) AS (
    SELECT min(org_id) FROM {partition}
    UNION ALL
    SELECT (SELECT min(org_id) FROM {partition} WHERE org_id > org.id) FROM org WHERE org.id IS NOT NULL
)
UPDATE shards SET kept_from = GREATEST(kept_from, 1 + (
    SELECT COALESCE(max(last.position), 0) FROM org CROSS JOIN LATERAL (
        SELECT max(position) AS position FROM {partition} WHERE org_id = org.id AND shard = shards.id
    ) AS last
))
"""


async def create_ahead(held: Connection, now: datetime) -> list[str]:
    """Make the partitions from yesterday to a week ahead that are missing, and return their names.

    Rows that meanwhile fell into the default partition move to where they belong.
    """
    made = []
    for parent in PARTITIONED:
        async with held.transaction():
            await held.execute(LOCK, _LOCK)
            present = await days_of(held, parent)
        for offset in range(-1, _AHEAD_DAYS + 1):
            day = now.astimezone(UTC).date() + timedelta(days=offset)
            if day not in present:
                await _create(held, parent, day)
                made.append(name_of(parent, day))
    return made


async def drop_old(held: Connection, oldest: date) -> list[str]:
    """Drop the partitions of the days before ``oldest``, and return their names."""
    dropped = []
    for parent in PARTITIONED:
        for day in sorted(await days_of(held, parent)):
            if day >= oldest:
                break
            await _drop(held, parent, day)
            dropped.append(name_of(parent, day))
        await held.execute(f"DELETE FROM {parent}_default WHERE checked_at < $1", midnight(oldest))  # noqa: S608
    return dropped


async def _create(held: Connection, parent: str, day: date) -> None:
    """Make one partition beside, then attach it: that waits for nobody who reads or writes other days."""
    name, start, end = name_of(parent, day), midnight(day), midnight(day + timedelta(days=1))
    async with held.transaction():
        await held.execute(LOCK, _LOCK)
        if await held.fetchval("SELECT to_regclass($1)", name) is not None:
            return
        await held.execute("SET LOCAL lock_timeout = '3s'")
        await held.execute(f"CREATE TABLE {name} (LIKE {parent} INCLUDING ALL)")
        await held.execute(f"LOCK TABLE {parent}_default IN SHARE ROW EXCLUSIVE MODE")
        await held.execute(
            f"WITH moved AS (DELETE FROM {parent}_default WHERE checked_at >= $1 AND checked_at < $2 RETURNING *) "  # noqa: S608
            f"INSERT INTO {name} SELECT * FROM moved",
            start,
            end,
        )
        await held.execute(
            f"ALTER TABLE {parent} ATTACH PARTITION {name} "
            f"FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
        )


async def _drop(held: Connection, parent: str, day: date) -> None:
    name = name_of(parent, day)
    if parent == "monitor_logs":
        # Committed before the rows go: a tail may announce a gap too early, but never miss one (I15).
        await held.execute(_LAST_POSITIONS.format(partition=name))
    async with held.transaction():
        # It waits for readers of the whole log, and everyone else behind it: give up soon, and come back.
        await held.execute("SET LOCAL lock_timeout = '2s'")
        await held.execute(f"DROP TABLE IF EXISTS {name}")


async def days_of(held: Connection, parent: str) -> set[date]:
    """Return the days that a table has partitions for."""
    names = [row[0].removeprefix(f"{parent}_") for row in await held.fetch(CHILDREN, parent)]
    return {datetime.strptime(name, "%Y%m%d").replace(tzinfo=UTC).date() for name in names if name.isdigit()}


def name_of(parent: str, day: date) -> str:
    """Return what the partition of a day is called."""
    return f"{parent}_{day:%Y%m%d}"


def midnight(day: date) -> datetime:
    """Return the moment when a day begins, by UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
