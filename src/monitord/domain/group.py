"""How a group does, by how its members do. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping

import msgspec

from monitord.domain.check import Category, Evidence, Observation, Step, Verdict
from monitord.domain.health import Status
from monitord.domain.kinds.group import GroupCheck

_WORKS = frozenset({Status.UP, Status.DEGRADED})
_FAILS = frozenset({Status.DOWN, Status.UNREACHABLE})
_LEFT_OUT = frozenset({Status.PAUSED, Status.MAINTENANCE})
_NAMED = 5
_SHOWN = 50


class Member(msgspec.Struct, frozen=True):
    """A monitor of a group, as last committed."""

    name: str
    status: Status


def verdict_of(check: GroupCheck, tally: Mapping[Status, int]) -> Verdict:
    """Return what so many members of each status say of their group.

    Members that are paused or under maintenance are left out. It is DOWN only if what is unknown could not save it,
    and UP or DEGRADED only if that could not bring it down.
    """
    counted = sum(count for status, count in tally.items() if status not in _LEFT_OUT)
    works = sum(tally.get(status, 0) for status in _WORKS)
    fails = sum(tally.get(status, 0) for status in _FAILS)
    needed = check.min_up or counted
    if not counted:
        return Verdict.INCONCLUSIVE
    if counted - fails < needed:
        return Verdict.DOWN
    if works < needed:
        return Verdict.INCONCLUSIVE
    return Verdict.DEGRADED if fails or tally.get(Status.DEGRADED, 0) else Verdict.UP


def judge(check: GroupCheck, members: Collection[Member]) -> Observation:
    """Return what the members say of their group, in words; see ``verdict_of``."""
    counted = [member for member in members if member.status not in _LEFT_OUT]
    works = [member for member in counted if member.status in _WORKS]
    fails = [member for member in counted if member.status in _FAILS]
    verdict = verdict_of(check, Counter(member.status for member in members))
    category, message = None, ""
    match verdict:
        case Verdict.DOWN:
            category, message = Category.GROUP_DOWN, _down(check, counted, fails)
        case Verdict.DEGRADED:
            category, message = Category.GROUP_DEGRADED, _degraded(counted, works, fails)
        case Verdict.INCONCLUSIVE:
            category, message = Category.GROUP_UNKNOWN, _unknown(members, counted)
    return _seen(counted, works, fails, verdict, category, message)


def _unknown(members: Collection[Member], counted: Collection[Member]) -> str:
    if counted:
        unknown = [member for member in counted if member.status not in _WORKS | _FAILS]
        return f"It depends on what is not known yet: {_names(unknown)}."
    why = "none of its members is checked at the moment" if members else "it has no members that are checked"
    return f"Nothing can be said: {why}."


def _degraded(counted: Collection[Member], works: Collection[Member], fails: Collection[Member]) -> str:
    if fails:
        return f"{_count(fails, counted)} down: {_names(fails)}."
    degraded = [member for member in works if member.status is Status.DEGRADED]
    return f"{_count(degraded, counted)} degraded: {_names(degraded)}."


def _down(check: GroupCheck, counted: Collection[Member], fails: Collection[Member]) -> str:
    told = f"{_count(fails, counted)} down: {_names(fails)}" if fails else f"It has {len(counted)}"
    return f"{told}; at least {check.min_up} must work." if check.min_up else f"{told}."


def _count(some: Collection[Member], counted: Collection[Member]) -> str:
    return f"{len(some)} of {len(counted)} {'members is' if len(some) == 1 else 'members are'}"


def _names(some: Collection[Member]) -> str:
    names = [member.name for member in some]
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: _NAMED - 1])} and {len(names) - _NAMED + 1} more"


def _seen(
    counted: Collection[Member],
    works: Collection[Member],
    fails: Collection[Member],
    verdict: Verdict,
    category: Category | None = None,
    message: str = "",
) -> Observation:
    evidence = None
    if verdict is not Verdict.UP:
        # What fails first: the list is cut.
        ordered = sorted(counted, key=lambda member: (member.status not in _FAILS, member.status in _WORKS))
        texts = [message, *(f"{member.name}: {member.status.name}" for member in ordered[:_SHOWN])]
        evidence = Evidence(steps=tuple(Step(at_ms=0.0, phase="judge", text=text) for text in texts))
    return Observation(
        verdict=verdict,
        category=category,
        message=message,
        dialled=False,
        measurements={
            "group.members": float(len(counted)),
            "group.up": float(len(works)),
            "group.down": float(len(fails)),
        },
        evidence=evidence,
    )
