"""What monitors stand on: those they depend on, and the members of groups. Edges within an organisation, without
circles, of a bounded depth."""

from monitord.domain.errors import InvalidArgumentError, NotFoundError, Violation
from monitord.domain.kinds import GroupCheck
from monitord.domain.monitor import MonitorSpec
from monitord.domain.rules.monitor import MAX_DEPTH
from monitord.storage.database import Transaction

# One at a time per organisation: two changes at once could each close half of a circle.
LOCK_ORGANISATION = "SELECT id FROM organisations WHERE id = $1 FOR NO KEY UPDATE"
KNOWN = "SELECT id FROM monitors WHERE org_id = $1 AND id = ANY($2::bigint[])"
ABOVE = """
WITH RECURSIVE edges (id, above) AS (
    SELECT id, unnest(parent_ids) FROM monitors WHERE org_id = $1 AND parent_ids <> '{}'
    UNION
    SELECT id, jsonb_array_elements_text(config -> 'monitor_ids')::bigint
    FROM monitors WHERE org_id = $1 AND type = 'group'
), above (id, depth) AS (
    SELECT unnest($2::bigint[]), 1
    UNION
    SELECT e.above, a.depth + 1 FROM above AS a JOIN edges AS e ON e.id = a.id WHERE a.depth <= $4
)
SELECT max(depth) AS depth, COALESCE(bool_or(id = $3), false) AS is_circle FROM above
"""
LET_GO = """
UPDATE monitors SET
    parent_ids = array_remove(parent_ids, $2),
    config = CASE WHEN type = 'group' AND config -> 'monitor_ids' @> to_jsonb($2::bigint)
                  THEN jsonb_set(config, '{monitor_ids}', (
                      SELECT COALESCE(jsonb_agg(e.id), '[]')
                      FROM jsonb_array_elements(config -> 'monitor_ids') AS e (id)
                      WHERE e.id <> to_jsonb($2::bigint)))
                  ELSE config END,
    version = version + 1
WHERE org_id = $1 AND id IN (
    SELECT id FROM monitors
    WHERE org_id = $1 AND (parent_ids <> '{}' AND parent_ids @> ARRAY[$2::bigint]
                           OR type = 'group' AND config -> 'monitor_ids' @> to_jsonb($2::bigint))
    ORDER BY id FOR NO KEY UPDATE
)
"""


async def judge_edges(
    tx: Transaction, org_id: int, monitor_id: int | None, spec: MonitorSpec, stored: MonitorSpec | None = None
) -> None:
    """See to it that a monitor may stand on others; ``monitor_id`` is None for one that is yet to be made.

    What is as ``stored`` is not judged again.

    Raises:
        NotFoundError: one of them isn't there, or is another's.
        InvalidArgumentError: that would close a circle, or pile up too many.

    """
    parents, members = spec.parent_ids, members_of(spec)
    if not (parents or members) or (
        stored is not None and (stored.parent_ids, members_of(stored)) == (parents, members)
    ):
        return
    await tx.execute(LOCK_ORGANISATION, org_id)
    below = list(dict.fromkeys((*parents, *members)))
    known = {row["id"] for row in await tx.fetch(KNOWN, org_id, below)}
    for other_id in below:
        if other_id not in known:
            purpose = "to depend on" if other_id in parents else "to be a member"
            raise NotFoundError(f"There is no monitor {other_id} {purpose}.", id=str(other_id))
    above = await tx.fetchrow(ABOVE, org_id, below, monitor_id, MAX_DEPTH)
    assert above is not None
    field = "parent_ids" if parents else "group.monitor_ids"
    if above["is_circle"]:
        raise _refused(field, "must not lead back to the monitor itself: it would depend on itself")
    if above["depth"] > MAX_DEPTH:
        raise _refused(field, f"must not have more than {MAX_DEPTH} monitors one above the other")


def members_of(spec: MonitorSpec) -> tuple[int, ...]:
    """Return the monitors that a group names."""
    return spec.check.monitor_ids if isinstance(spec.check, GroupCheck) else ()


async def let_go(tx: Transaction, org_id: int, monitor_id: int) -> None:
    """Take a monitor that is deleted out of what others depend on, and out of groups."""
    await tx.execute(LET_GO, org_id, monitor_id)


def _refused(field: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError([Violation(f"monitor.{field}", why)])
