"""What tests put into the database by hand, and stand-ins for what storage is given."""

import time

from monitord.domain.check import Trigger, Verdict
from monitord.domain.health import Status
from monitord.domain.instant import DAY, HOUR, Instant, to_datetime
from monitord.domain.kinds import HttpCheck
from monitord.domain.monitor import MonitorSpec
from monitord.domain.secrets import Header
from monitord.storage.database import Database
from monitord.storage.rows import LOG_COLUMNS

NOON: Instant = (time.time_ns() // 1000 - 12 * HOUR) // DAY * DAY + 12 * HOUR
"""The last one: the partitions of the days around it are there, and by the wall clock it is past."""


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: Instant) -> None:
        self.now = now

    def __call__(self) -> Instant:
        return self.now


class PlainSealer:
    """Seals visibly: a test can look for what must not be readable, and a wrong context is noticed."""

    def seal(self, plain: bytes, context: bytes) -> bytes:
        return context + b"|" + bytes(byte ^ 0x55 for byte in plain)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        place, _, rest = sealed.partition(b"|")
        if place != context:
            raise ValueError(f"sealed for {place!r}, not {context!r}")
        return bytes(byte ^ 0x55 for byte in rest)


def spec(
    name: str = "web", *, url: str = "http://127.0.0.1:1/", headers: tuple[Header, ...] = (), **changes: object
) -> MonitorSpec:
    return MonitorSpec(name=name, check=HttpCheck(url=url, headers=headers), **changes)  # type: ignore[arg-type]


async def organisation(database: Database, name: str = "org") -> int:
    async with database.connection() as held:
        return int(await held.fetchval("INSERT INTO organisations (name) VALUES ($1) RETURNING id", name))


async def planned(database: Database, org_id: int, plan: str = "SMALL", **figures: object) -> None:
    """Give an organisation a plan with these figures."""
    async with database.connection() as held:
        await held.execute("INSERT INTO plans (name) VALUES ($1) ON CONFLICT DO NOTHING", plan)
        for name, figure in figures.items():
            await held.execute(f"UPDATE plans SET {name} = $2 WHERE name = $1", plan, figure)
        await held.execute("UPDATE organisations SET plan = $2 WHERE id = $1", org_id, plan)


async def log_row(
    database: Database,
    org_id: int,
    monitor_id: int,
    seq: int,
    *,
    at: Instant,
    position: int | None = None,
    trigger: Trigger = Trigger.SCHEDULED,
    verdict: Verdict | None = Verdict.UP,
    gap_until: Instant | None = None,
    scheduled_at: Instant | None = None,
    response_time: float | None = 12.5,
) -> None:
    """Store one row of the log; its position is its sequence number unless given."""
    values = dict.fromkeys(LOG_COLUMNS)
    values |= {
        "org_id": org_id,
        "monitor_id": monitor_id,
        "seq": seq,
        "position": seq if position is None else position,
        "shard": 0,
        "trigger": trigger,
        "verdict": verdict,
        "counted": True,
        "monitor_version": 1,
        "scheduled_at": to_datetime(at if scheduled_at is None else scheduled_at),
        "checked_at": to_datetime(at),
        "gap_until": None if gap_until is None else to_datetime(gap_until),
        "response_time": response_time,
    }
    async with database.connection() as held:
        await held.copy_records_to_table("monitor_logs", columns=LOG_COLUMNS, records=[tuple(values.values())])
        await held.execute("UPDATE shards SET position = GREATEST(position, $1) WHERE id = 0", values["position"])


async def transition(
    database: Database, org_id: int, monitor_id: int, before: Status, after: Status, at: Instant
) -> int:
    async with database.connection() as held:
        return int(
            await held.fetchval(
                "INSERT INTO monitor_transitions (org_id, monitor_id, before, after, at) VALUES ($1, $2, $3, $4, $5) "
                "RETURNING id",
                org_id,
                monitor_id,
                before,
                after,
                to_datetime(at),
            )
        )
