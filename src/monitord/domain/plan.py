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


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation has of what is counted, beside the plan that it has."""

    plan: Plan | None
    monitors: int
    contacts: int
    seats: int
