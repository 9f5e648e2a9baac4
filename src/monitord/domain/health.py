"""The status of a monitor as a pure fold over its results (I8).

``observe`` is the only place where a check's verdict becomes a status. It knows no clock and no
database; replaying a monitor's log through it gives the same statuses and transitions.

There are two layers. The *judgement* is what the results say of the target; incidents and alerts follow from its
changes. Over it may lie what hides it for a while: a maintenance window, or our own blindness. Both are shown as the
status, and neither touches the judgement: an outage that was told before a window, and is over after it, is told to be
over; one that goes on is not told again (I20).
"""

from enum import IntEnum

import msgspec

from monitord.domain.check import Verdict
from monitord.domain.instant import Instant


class Status(IntEnum):
    """What monitord believes of a monitor. The numbers are stored and sent: never reuse one."""

    UNKNOWN = 1
    PENDING = 2
    UP = 3
    DEGRADED = 4
    DOWN = 5
    MAINTENANCE = 6
    PAUSED = 7
    FAULTED = 8
    """Our own fault: the monitor's task crashed again and again and is parked."""
    UNREACHABLE = 9
    """It fails, and so does something that it depends on."""


JUDGEMENTS = frozenset({Status.PENDING, Status.UP, Status.DEGRADED, Status.DOWN, Status.UNREACHABLE})
"""What results can say of a target."""


class Policy(msgspec.Struct, frozen=True, gc=False):
    """How many results in a row change a status. Both thresholds are 1 to 10."""

    failure_threshold: int = 2
    success_threshold: int = 1

    @property
    def blindness_threshold(self) -> int:
        """How many results in a row that say nothing of the target make its status UNKNOWN."""
        return max(self.failure_threshold, _BLIND)


class Health(msgspec.Struct, frozen=True, gc=False):
    """A status, the judgement beneath it, and the streaks of results that may change them next."""

    status: Status = Status.PENDING
    since: Instant = 0
    """Since when ``status`` holds."""
    down_streak: int = 0
    """DOWN verdicts in a row."""
    degraded_streak: int = 0
    """Verdicts in a row that were not UP."""
    alive_streak: int = 0
    """Verdicts in a row that were neither DOWN nor UNREACHABLE."""
    up_streak: int = 0
    """UP verdicts in a row."""
    judged: Status = Status.PENDING
    """What the results say of the target, whatever lies over it."""
    failed_streak: int = 0
    """Verdicts in a row that were DOWN or UNREACHABLE."""
    blind_streak: int = 0
    """Results in a row that said nothing of the target."""


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A change of status."""

    before: Status
    after: Status
    at: Instant
    judged_before: Status
    judged_after: Status
    """The judgement beneath: alerts and incidents follow from its change alone."""


_CAP = 10
"""Streaks stop counting here: no threshold is higher, and a steady state must compare equal to itself."""
_BLIND = 3

_SILENT = frozenset({Verdict.INCONCLUSIVE, Verdict.BLOCKED})
_FAILED = frozenset({Verdict.DOWN, Verdict.UNREACHABLE})
_FROZEN = frozenset({Status.PAUSED, Status.FAULTED})


def observe(
    health: Health, verdict: Verdict, at: Instant, policy: Policy, maintenance: bool = False
) -> tuple[Health, Transition | None]:
    """Fold one verdict, seen at ``at``, into a status.

    A result within a maintenance window is shown as that and judged by nobody. INCONCLUSIVE and BLOCKED say nothing of
    the target: they neither advance nor reset what the judgement is made of (I9), and several in a row show as UNKNOWN.
    A paused or parked monitor keeps its status whatever a manual check finds.
    """
    if health.status in _FROZEN:
        return health, None
    if maintenance:
        return _shown(health, health, Status.MAINTENANCE, at)
    if verdict in _SILENT:
        blind = min(health.blind_streak + 1, policy.blindness_threshold)
        folded = msgspec.structs.replace(health, blind_streak=blind)
        if blind >= policy.blindness_threshold:
            return _shown(health, folded, Status.UNKNOWN, at)
        return _shown(health, folded, health.judged if health.status is Status.MAINTENANCE else health.status, at)
    folded = _count(health, verdict)
    judged = _decide(folded, verdict, policy)
    return _shown(health, msgspec.structs.replace(folded, judged=judged), judged, at)


def _shown(before: Health, folded: Health, status: Status, at: Instant) -> tuple[Health, Transition | None]:
    if status is before.status and folded.judged is before.judged:
        return folded, None
    transition = Transition(before.status, status, at, before.judged, folded.judged)
    return msgspec.structs.replace(folded, status=status, since=at), transition


def _count(health: Health, verdict: Verdict) -> Health:
    failed, up = verdict in _FAILED, verdict is Verdict.UP
    return msgspec.structs.replace(
        health,
        down_streak=min(health.down_streak + 1, _CAP) if verdict is Verdict.DOWN else 0,
        degraded_streak=0 if up else min(health.degraded_streak + 1, _CAP),
        alive_streak=0 if failed else min(health.alive_streak + 1, _CAP),
        up_streak=min(health.up_streak + 1, _CAP) if up else 0,
        failed_streak=min(health.failed_streak + 1, _CAP) if failed else 0,
        blind_streak=0,
    )


def _decide(health: Health, verdict: Verdict, policy: Policy) -> Status:
    if health.judged is Status.DOWN:
        # What fails while it is DOWN is the same outage, whatever else fails too.
        if health.alive_streak >= policy.success_threshold:
            return Status.UP if verdict is Verdict.UP else Status.DEGRADED
        return Status.DOWN
    if health.down_streak >= policy.failure_threshold:
        return Status.DOWN
    if verdict is Verdict.UNREACHABLE and health.failed_streak >= policy.failure_threshold:
        return Status.UNREACHABLE
    degraded = verdict is Verdict.DEGRADED and health.degraded_streak >= policy.failure_threshold
    match health.judged:
        case Status.DEGRADED:
            return Status.UP if health.up_streak >= policy.success_threshold else Status.DEGRADED
        case Status.UP:
            return Status.DEGRADED if degraded else Status.UP
        case Status.UNREACHABLE if health.alive_streak < policy.success_threshold:
            return Status.UNREACHABLE
        case _:  # nothing is known yet: the first good word is believed, a bad one must be repeated
            if verdict is Verdict.UP:
                return Status.UP
            return Status.DEGRADED if degraded else health.judged


def suspicious(health: Health) -> bool:
    """Return whether a streak is under way that would change the judgement: time for quick re-checks."""
    if health.status is not health.judged:
        return False
    match health.judged:
        case Status.UP | Status.PENDING:
            return health.degraded_streak > 0
        case Status.DEGRADED:
            return health.failed_streak > 0 or health.up_streak > 0
        case Status.DOWN:
            return health.alive_streak > 0
        case Status.UNREACHABLE:
            return health.alive_streak > 0 or health.down_streak > 0
        case _:
            return False


def steady(health: Health, verdict: Verdict, maintenance: bool = False) -> bool:
    """Return whether a result only says again what is already believed, so that its row may wait for a batch."""
    if maintenance or health.status is Status.MAINTENANCE:
        return maintenance and health.status is Status.MAINTENANCE
    if verdict in _SILENT:
        return health.status is Status.UNKNOWN
    if health.blind_streak:
        return False
    match health.status:
        case Status.UP:
            return verdict is Verdict.UP and health.degraded_streak == 0
        case Status.DEGRADED:
            return verdict is Verdict.DEGRADED and health.failed_streak == 0 and health.up_streak == 0
        case Status.DOWN:
            return verdict in _FAILED and health.alive_streak == 0
        case Status.UNREACHABLE:
            # It ends a streak that is on its way to DOWN, and counts on in the one that leads out, to DEGRADED.
            counts = health.alive_streak or health.down_streak or health.degraded_streak < _CAP
            return verdict is Verdict.UNREACHABLE and not counts
        case _:
            return False
