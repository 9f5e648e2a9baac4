"""A monitor: what to check, how often, and how to judge it."""

import msgspec

from monitord.domain.health import Health, Policy
from monitord.domain.heartbeat import Words
from monitord.domain.instant import SECOND, Instant
from monitord.domain.kinds import Check
from monitord.domain.schedule import Grid, grid_of


class MonitorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a user decides about a monitor."""

    name: str
    check: Check
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    interval_s: int = 60
    timeout_ms: int = 10_000
    failure_threshold: int = 2
    success_threshold: int = 1
    recheck_interval_s: int = 10
    active: bool = True
    parent_ids: tuple[int, ...] = ()
    """What it depends on: while one of these is down too, its own failures are nobody's alert."""


class Monitor(msgspec.Struct, frozen=True, kw_only=True):
    """A stored monitor."""

    id: int
    org_id: int
    spec: MonitorSpec
    version: int
    """Grows with every change, pause and resume: the etag, and the guard of I10."""
    created_at: Instant
    updated_at: Instant

    @property
    def grid(self) -> Grid:
        """The slots of this monitor."""
        return grid_of(self.id, self.spec.interval_s * SECOND)

    @property
    def policy(self) -> Policy:
        """How many results in a row change this monitor's status."""
        return Policy(self.spec.failure_threshold, self.spec.success_threshold)


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor with all that its actor and its writer need to go on where the last ones stopped."""

    monitor: Monitor
    health: Health
    last_seq: int
    """The sequence number of its newest log row; 0 before the first."""
    covered_until: Instant
    """Every slot of the current schedule before this has a row, or is not owed one (I5)."""
    words: Words | None = None
    """Of a heartbeat: what its job has told; None: nothing yet."""
