"""Plans as an operator sees them: what there is, who has which, and what new organisations get."""

from monitord.domain.errors import FailedPreconditionError, NotFoundError
from monitord.domain.instant import Instant, to_datetime
from monitord.domain.plan import NO_PLAN, Bounds, PlanRow, Quota, Usage, usage_of
from monitord.identity.plan_rates import PlanRate
from monitord.storage.contacts import MAX_CONTACTS
from monitord.storage.database import Database, Transaction
from monitord.storage.memberships import MOST_MEMBERS
from monitord.storage.quotas import PLAN_COLUMNS, plan_of, plan_of_row

LIST = f"""
SELECT {PLAN_COLUMNS}, p.is_default, (SELECT count(*) FROM organisations AS o WHERE o.plan = p.name) AS organisations
FROM plans AS p ORDER BY p.max_monitors NULLS LAST, p.name
"""  # noqa: S608 - a constant
COUNT_WITHOUT = "SELECT count(*) FROM organisations WHERE plan IS NULL"
NAMES = "SELECT name FROM plans ORDER BY name"
# One at a time: two that start at once with different settings must not both have a default.
LOCK = "LOCK TABLE plans IN SHARE ROW EXCLUSIVE MODE"
TAKE_DEFAULT = "UPDATE plans SET is_default = false WHERE is_default AND name IS DISTINCT FROM $1"
GIVE_DEFAULT = "UPDATE plans SET is_default = true WHERE name = $1 AND NOT is_default"
DEFAULT = "SELECT name FROM plans WHERE is_default"
PERSONAL = "SELECT org_id FROM users WHERE lower(email) = lower($1)"
RPC_RATE_OF = "SELECT p.rpc_rate FROM organisations AS o LEFT JOIN plans AS p ON p.name = o.plan WHERE o.id = $1"
# Members and invitations that can be accepted; a personal organisation has no others than its user.
USED = """
SELECT (SELECT count(*) FROM monitors WHERE org_id = $1) AS monitors,
       (SELECT count(*) FROM alert_contacts WHERE org_id = $1 AND deleted_at IS NULL) AS contacts,
       (SELECT count(*) FROM memberships WHERE org_id = $1)
         + (SELECT count(*) FROM invitations WHERE org_id = $1 AND expires_at > $2) AS seats
"""
ASSIGN = """
UPDATE organisations SET plan = $2, version = version + 1, updated_at = now()
WHERE id = $1 RETURNING name
"""


class PlanStore:
    """Reads plans, and says who has which. Their figures are changed by SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> tuple[list[PlanRow], int]:
        """Return every plan, the smallest first, and how many organisations have none."""
        async with self._database.connection() as held:
            rows = await held.fetch(LIST)
            without: int = await held.fetchval(COUNT_WITHOUT)
        return [PlanRow(plan_of_row(row), row["organisations"], row["is_default"]) for row in rows], without

    async def rpc_rate_of(self, org_id: int) -> PlanRate | None:
        """Return how many calls a second an organisation's plan allows; None when there is no such organisation."""
        async with self._database.connection() as held:
            row = await held.fetchrow(RPC_RATE_OF, org_id)
        return None if row is None else PlanRate(row["rpc_rate"])

    async def usage(self, org_id: int, bounds: Bounds, *, at: Instant) -> Usage:
        """Return what an organisation has, and may have."""
        async with self._database.connection() as held:
            plan = await plan_of(held, org_id)
            used = await held.fetchrow(USED, org_id, to_datetime(at))
        assert used is not None
        return usage_of(
            plan or NO_PLAN,
            bounds,
            monitors=used["monitors"],
            contacts=Quota(used["contacts"], MAX_CONTACTS),
            seats=Quota(used["seats"], MOST_MEMBERS),
        )

    async def set_default(self, name: str | None) -> None:
        """Give new organisations a plan from now on; None: none. Raises FailedPreconditionError for an unknown one."""
        async with self._database.transaction() as tx:
            if await tx.fetchval(DEFAULT) == name:
                return
            await tx.execute(LOCK)
            if name is not None:
                await _require(tx, name)
            await tx.execute(TAKE_DEFAULT, name)
            await tx.execute(GIVE_DEFAULT, name)

    async def assign(self, whose: str, name: str | None) -> tuple[int, str]:
        """Give an organisation a plan, or none; return its id and name.

        ``whose`` is its id, or the e-mail address of the user whose personal one it is. What is there beyond the plan
        stays. Raises NotFoundError; FailedPreconditionError for an unknown plan.
        """
        async with self._database.transaction() as tx:
            if name is not None:
                await _require(tx, name)
            org_id = int(whose) if _is_id(whose) else await tx.fetchval(PERSONAL, whose)
            called = None if org_id is None else await tx.fetchval(ASSIGN, org_id, name)
        if org_id is None or called is None:
            raise NotFoundError(
                f"There is no organisation {whose}: give the id of one, or the e-mail address of a user, for their "
                "personal one."
            )
        return org_id, called


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) < 2**63


async def _require(tx: Transaction, name: str) -> None:
    names = [row["name"] for row in await tx.fetch(NAMES)]
    if name not in names:
        raise FailedPreconditionError(f"There is no plan {name}: there are {', '.join(names) or 'none at all'}.")
