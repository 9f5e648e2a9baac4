"""What a plan has room for. What is there already stays, also where a plan has less room than that (T17)."""

from collections.abc import Iterable, Iterator

from monitord.domain.errors import QuotaExceededError, QuotaViolation
from monitord.domain.plan import Plan
from monitord.domain.rules.wording import quoted


def require(org_id: int, plan: Plan | None, problems: Iterable[str]) -> None:
    """Raise QuotaExceededError if an organisation's plan has anything against it."""
    found = [QuotaViolation(f"organisation:{org_id}", problem) for problem in problems]
    if found and plan is not None:
        raise QuotaExceededError(found, plan=plan.name, organisation_id=str(org_id))


def of_monitors(plan: Plan | None, used: int, more: int = 1) -> Iterator[str]:
    """Say what is against ``more`` monitors beside those that are there; nothing against none."""
    if plan is not None:
        yield from _of_count(plan, plan.max_monitors, "Monitors", used, more)


def of_contacts(plan: Plan | None, used: int) -> Iterator[str]:
    """Say what is against one more contact."""
    if plan is not None:
        yield from _of_count(plan, plan.max_contacts, "Contacts", used, 1)


def of_seats(plan: Plan | None, used: int) -> Iterator[str]:
    """Say what is against one more member, or invitation."""
    if plan is not None:
        yield from _of_count(plan, plan.max_seats, "Seats (members and open invitations)", used, 1)


def of_interval(plan: Plan | None, name: str, interval_s: int, before_s: int | None = None) -> Iterator[str]:
    """Say what is against a monitor's interval; nothing, where it is no shorter than it was before."""
    if plan is None or plan.min_interval_s is None or interval_s >= plan.min_interval_s:
        return
    if before_s is None or interval_s < before_s:
        yield (
            f"The plan {plan.name} allows intervals from {plan.min_interval_s} s on, and {quoted(name)} has "
            f"{interval_s} s."
        )


def _of_count(plan: Plan, limit: int | None, what: str, used: int, more: int) -> Iterator[str]:
    if limit is not None and more > 0 and used + more > limit:
        asked = "one more is" if more == 1 else f"{more} more are"
        yield f"{what}: the plan {plan.name} allows at most {limit}; there are {used}, and {asked} asked for."
