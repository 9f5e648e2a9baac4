"""Plans: what an organisation may have, as data that the operator changes. Without a plan there are no such limits."""

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation may have. None: no limit of the plan's own; those of the operator count in any case."""

    name: str
    max_monitors: int | None = None
    min_interval_s: int | None = None
    """The shortest interval between checks, in seconds."""
    retention_days: int | None = None
    """How long the check log is kept, if the operator keeps it for that long."""
    max_contacts: int | None = None
    max_seats: int | None = None
    """Members and open invitations together."""
    rpc_rate: float | None = None
    """Calls a second that each credential may make."""


class PlanRow(msgspec.Struct, frozen=True):
    """A plan, as an operator sees it."""

    plan: Plan
    organisations: int
    """How many have it."""
    is_default: bool
    """Whether new ones get it."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator allows to every organisation, whatever its plan."""

    min_interval_s: int
    retention_days: int
    rpc_rate: float
    """Calls a second of each credential that has no plan; 0: as many as it likes."""


class Quota(msgspec.Struct, frozen=True):
    """How much there is of something, and how much there may be; None: as much as one likes."""

    used: int
    limit: int | None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation has, and may have: by its plan and by the operator, whichever is less."""

    plan: str
    """Its name; empty: none."""
    monitors: Quota
    contacts: Quota
    seats: Quota
    min_interval_s: int
    retention_days: int
    rpc_rate: float


NO_PLAN = Plan(name="")
"""What an organisation without one may have."""


def usage_of(plan: Plan, bounds: Bounds, *, monitors: int, contacts: Quota, seats: Quota) -> Usage:
    """Return what an organisation has, and may have; the quotas come with the limits of everybody."""
    return Usage(
        plan=plan.name,
        monitors=Quota(monitors, plan.max_monitors),
        contacts=Quota(contacts.used, _least(contacts.limit, plan.max_contacts)),
        seats=Quota(seats.used, _least(seats.limit, plan.max_seats)),
        min_interval_s=max(bounds.min_interval_s, plan.min_interval_s or 0),
        retention_days=_least(bounds.retention_days, plan.retention_days) or bounds.retention_days,
        rpc_rate=bounds.rpc_rate if plan.rpc_rate is None else plan.rpc_rate,
    )


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
