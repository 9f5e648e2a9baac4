"""What an organisation's plan has room for, judged in the transaction that takes the room (T17).

Counting comes after the lock on the organisation, in a statement of its own: of several at the same time each sees what
those before it have made. The organisation is locked first, as everywhere, then its monitors.
"""

from collections.abc import Sequence

from monitord.domain.monitor import MonitorSpec
from monitord.domain.plan import Plan
from monitord.domain.rules.plan import of_interval, of_monitors, require
from monitord.storage.database import Connection, Row, Transaction

PLAN_COLUMNS = "p.name, p.max_monitors, p.min_interval_s, p.retention_days, p.max_contacts, p.max_seats, p.rpc_rate"

LOCK_ORGANISATION = "SELECT id FROM organisations WHERE id = $1 FOR NO KEY UPDATE"
PLAN_OF = f"SELECT {PLAN_COLUMNS} FROM organisations AS o JOIN plans AS p ON p.name = o.plan WHERE o.id = $1"  # noqa: S608
COUNT_MONITORS = "SELECT count(*) FROM monitors WHERE org_id = $1"


async def plan_of(held: Connection, org_id: int) -> Plan | None:
    """Return the plan of an organisation as it is now; None where it has none."""
    row = await held.fetchrow(PLAN_OF, org_id)
    return None if row is None else plan_of_row(row)


async def admit_monitor(tx: Transaction, org_id: int, spec: MonitorSpec) -> None:
    """See to it that an organisation may have one more monitor. Raises QuotaExceededError."""
    # Without a plan nothing is counted, and those who create many at the same time need not wait for each other.
    if await plan_of(tx, org_id) is None:
        return
    await tx.execute(LOCK_ORGANISATION, org_id)
    plan = await plan_of(tx, org_id)
    used = await tx.fetchval(COUNT_MONITORS, org_id)
    require(org_id, plan, [*of_monitors(plan, used), *of_interval(plan, spec.name, spec.interval_s)])


async def admit_interval(tx: Transaction, org_id: int, spec: MonitorSpec, before: MonitorSpec) -> None:
    """See to it that a stored monitor may have a new interval. Raises QuotaExceededError.

    Nothing is counted, so nothing is locked: the monitor is already, and the organisation would come second.
    """
    if spec.interval_s < before.interval_s:
        plan = await plan_of(tx, org_id)
        require(org_id, plan, of_interval(plan, spec.name, spec.interval_s, before.interval_s))


async def admit_set(
    tx: Transaction,
    org_id: int,
    new: Sequence[MonitorSpec],
    changed: Sequence[tuple[MonitorSpec, MonitorSpec]],
    *,
    removed: int,
) -> None:
    """See to it that a locked organisation may have a whole set. Raises QuotaExceededError, which names all of it.

    ``changed`` has each monitor as it is to be, and as it is stored; ``removed`` counts those that go.
    """
    plan = await plan_of(tx, org_id)
    if plan is None:
        return
    used = await tx.fetchval(COUNT_MONITORS, org_id) - removed
    problems = [*of_monitors(plan, used, len(new))]
    for spec in new:
        problems += of_interval(plan, spec.name, spec.interval_s)
    for spec, before in changed:
        problems += of_interval(plan, spec.name, spec.interval_s, before.interval_s)
    require(org_id, plan, problems)


def plan_of_row(row: Row) -> Plan:
    """Return the plan of a row with PLAN_COLUMNS."""
    return Plan(**{name: row[name] for name in Plan.__struct_fields__})
