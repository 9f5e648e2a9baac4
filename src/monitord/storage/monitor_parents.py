"""What monitors depend on: edges within an organisation, without circles, of a bounded depth."""

from monitord.domain.errors import InvalidArgumentError, NotFoundError, Violation
from monitord.domain.rules.monitor import MAX_DEPTH
from monitord.storage.database import Transaction

# One at a time per organisation: two changes at once could each close half of a circle.
LOCK_ORGANISATION = "SELECT id FROM organisations WHERE id = $1 FOR NO KEY UPDATE"
KNOWN = "SELECT id FROM monitors WHERE org_id = $1 AND id = ANY($2::bigint[])"
ABOVE = """
WITH RECURSIVE above (id, depth) AS (
    SELECT unnest($2::bigint[]), 1
    UNION
    SELECT p.id, a.depth + 1
    FROM above AS a JOIN monitors AS m ON m.org_id = $1 AND m.id = a.id, unnest(m.parent_ids) AS p (id)
    WHERE a.depth <= $4
)
SELECT max(depth) AS depth, COALESCE(bool_or(id = $3), false) AS is_circle FROM above
"""
LET_GO = """
UPDATE monitors SET parent_ids = array_remove(parent_ids, $2), version = version + 1
WHERE org_id = $1 AND id IN (
    SELECT id FROM monitors WHERE org_id = $1 AND parent_ids @> ARRAY[$2::bigint] AND parent_ids <> '{}'
    ORDER BY id FOR NO KEY UPDATE
)
"""


async def judge_parents(tx: Transaction, org_id: int, monitor_id: int | None, parent_ids: tuple[int, ...]) -> None:
    """See to it that a monitor may depend on others; ``monitor_id`` is None for one that is yet to be made.

    Raises:
        NotFoundError: one of them isn't there, or is another's.
        InvalidArgumentError: that would close a circle, or pile up too many.

    """
    if not parent_ids:
        return
    await tx.execute(LOCK_ORGANISATION, org_id)
    known = {row["id"] for row in await tx.fetch(KNOWN, org_id, list(parent_ids))}
    missing = [parent_id for parent_id in parent_ids if parent_id not in known]
    if missing:
        raise NotFoundError(f"There is no monitor {missing[0]} to depend on.", id=str(missing[0]))
    above = await tx.fetchrow(ABOVE, org_id, list(parent_ids), monitor_id, MAX_DEPTH)
    assert above is not None
    if above["is_circle"]:
        raise _refused("must not lead back to the monitor itself: it would depend on itself")
    if above["depth"] > MAX_DEPTH:
        raise _refused(f"must not have more than {MAX_DEPTH} monitors one above the other")


async def let_go(tx: Transaction, org_id: int, monitor_id: int) -> None:
    """Take a monitor that is deleted out of what others depend on."""
    await tx.execute(LET_GO, org_id, monitor_id)


def _refused(why: str) -> InvalidArgumentError:
    return InvalidArgumentError([Violation("monitor.parent_ids", why)])
