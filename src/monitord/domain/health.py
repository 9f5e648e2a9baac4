"""The status of a monitor as a pure fold over its results (I8).

``observe`` is the only place where a check's verdict becomes a status. It knows no clock and no
database; replaying a monitor's log through it gives the same statuses and transitions.
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


class Policy(msgspec.Struct, frozen=True, gc=False):
    """How many results in a row change a status. Both thresholds are 1 to 10."""

    failure_threshold: int = 2
    success_threshold: int = 1


class Health(msgspec.Struct, frozen=True, gc=False):
    """A status, and the streaks of results that may change it next."""

    status: Status = Status.PENDING
    since: Instant = 0
    down_streak: int = 0
    """DOWN verdicts in a row."""
    degraded_streak: int = 0
    """Verdicts in a row that were not UP (DEGRADED or DOWN)."""
    alive_streak: int = 0
    """Verdicts in a row that were not DOWN."""
    up_streak: int = 0
    """UP verdicts in a row."""


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A change of status."""

    before: Status
    after: Status
    at: Instant


_CAP = 10
"""Streaks stop counting here: no threshold is higher, and a steady state must compare equal to itself."""

_SILENT = frozenset({Verdict.INCONCLUSIVE, Verdict.BLOCKED})
_FROZEN = frozenset({Status.PAUSED, Status.FAULTED})


def observe(health: Health, verdict: Verdict, at: Instant, policy: Policy) -> tuple[Health, Transition | None]:
    """Fold one verdict, seen at ``at``, into a status.

    INCONCLUSIVE and BLOCKED say nothing of the target and change nothing (I9). A paused or parked
    monitor keeps its status whatever a manual check finds.
    """
    if verdict in _SILENT or health.status in _FROZEN:
        return health, None
    down = verdict is Verdict.DOWN
    up = verdict is Verdict.UP
    counted = msgspec.structs.replace(
        health,
        down_streak=min(health.down_streak + 1, _CAP) if down else 0,
        degraded_streak=0 if up else min(health.degraded_streak + 1, _CAP),
        alive_streak=0 if down else min(health.alive_streak + 1, _CAP),
        up_streak=min(health.up_streak + 1, _CAP) if up else 0,
    )
    after = _decide(counted, verdict, policy)
    if after is health.status:
        return counted, None
    return (
        msgspec.structs.replace(counted, status=after, since=at),
        Transition(before=health.status, after=after, at=at),
    )


def _decide(health: Health, verdict: Verdict, policy: Policy) -> Status:
    match health.status:
        case Status.DOWN:
            if health.alive_streak >= policy.success_threshold:
                return Status.UP if verdict is Verdict.UP else Status.DEGRADED
        case Status.DEGRADED:
            if health.down_streak >= policy.failure_threshold:
                return Status.DOWN
            if health.up_streak >= policy.success_threshold:
                return Status.UP
        case Status.UP:
            if health.down_streak >= policy.failure_threshold:
                return Status.DOWN
            if health.degraded_streak >= policy.failure_threshold and verdict is Verdict.DEGRADED:
                return Status.DEGRADED
        case _:  # nothing is known yet: the first good word is believed, a bad one must be repeated
            if health.down_streak >= policy.failure_threshold:
                return Status.DOWN
            if verdict is Verdict.UP:
                return Status.UP
            if health.degraded_streak >= policy.failure_threshold and verdict is Verdict.DEGRADED:
                return Status.DEGRADED
    return health.status


def suspicious(health: Health) -> bool:
    """Return whether a streak is under way that would change the status: time for quick re-checks."""
    match health.status:
        case Status.UP:
            return health.degraded_streak > 0
        case Status.DEGRADED:
            return health.down_streak > 0 or health.up_streak > 0
        case Status.DOWN:
            return health.alive_streak > 0
        case Status.PENDING | Status.UNKNOWN:
            return health.degraded_streak > 0
        case _:
            return False


def steady(health: Health, verdict: Verdict) -> bool:
    """Return whether a verdict only says again what is already believed, so that its row may wait for a batch."""
    match health.status:
        case Status.UP:
            return verdict is Verdict.UP and health.degraded_streak == 0
        case Status.DEGRADED:
            return verdict is Verdict.DEGRADED and health.down_streak == 0 and health.up_streak == 0
        case Status.DOWN:
            return verdict is Verdict.DOWN and health.alive_streak == 0
        case _:
            return False
