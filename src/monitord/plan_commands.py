"""What `monitord plans` and `monitord set-plan` say."""

from collections.abc import Sequence

from monitord.domain.plan import Plan, PlanRow
from monitord.storage.plans import PlanStore

_HEADS = ("plan", "monitors", "interval", "log", "contacts", "seats", "calls/s", "organisations")


async def show_plans(store: PlanStore) -> str:
    """Return a table of the plans."""
    plans, without = await store.all()
    rows = [_HEADS, *(_row(each) for each in plans), ("none", *("-" for _ in _HEADS[2:]), str(without))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if new := [each.plan.name for each in plans if each.is_default]:
        lines.append(f"New organisations get {new[0]}.")
    return "\n".join(lines)


async def assign_plan(store: PlanStore, *, whose: str, name: str) -> str:
    """Give an organisation a plan, or ``none``; return a sentence that says so."""
    wanted = None if name.lower() == "none" else name.upper()
    org_id, called = await store.assign(whose, wanted)
    return f"The organisation {org_id} ({called}) has {'no plan' if wanted is None else f'the plan {wanted}'} now."


def _row(each: PlanRow) -> Sequence[str]:
    plan: Plan = each.plan
    return (
        plan.name,
        _figure(plan.max_monitors),
        _figure(plan.min_interval_s, "{:g} s"),
        _figure(plan.retention_days, "{:g} d"),
        _figure(plan.max_contacts),
        _figure(plan.max_seats),
        _figure(plan.rpc_rate),
        str(each.organisations),
    )


def _figure(value: float | None, form: str = "{:g}") -> str:
    return "-" if value is None else form.format(value)
