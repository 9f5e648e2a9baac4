"""A log in memory, with a database that can be away and a janitor."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from monitord.domain.check import Trigger, Verdict
from monitord.domain.errors import UnavailableError
from monitord.domain.instant import Instant
from monitord.domain.log import LogEntry


def entry(position: int, *, org_id: int = 1, monitor_id: int = 1) -> LogEntry:
    return LogEntry(
        org_id=org_id,
        monitor_id=monitor_id,
        seq=position,
        shard=0,
        position=position,
        trigger=Trigger.SCHEDULED,
        verdict=Verdict.UP,
        counted=True,
        monitor_version=1,
        scheduled_at=position,
        checked_at=position,
    )


@dataclass
class FakeCommit:
    first_position: int
    rows: Sequence[LogEntry]
    looked_at: int = 0

    @property
    def row_count(self) -> int:
        return len(self.rows)

    @property
    def entries(self) -> Sequence[LogEntry]:
        self.looked_at += 1
        return self.rows


@dataclass
class FakeLog:
    rows: list[LogEntry] = field(default_factory=list)
    last: int = 0
    kept_from: int = 1
    away: bool = False
    reads: int = 0

    def commit(self, *rows: tuple[int, int]) -> FakeCommit:
        """Store rows of (organisation, monitor) at the next positions."""
        made = [entry(self.last + 1 + i, org_id=org, monitor_id=mon) for i, (org, mon) in enumerate(rows)]
        commit = FakeCommit(self.last + 1, made)
        self.rows += made
        self.last += len(made)
        return commit

    def expire(self, before: int) -> None:
        self.kept_from = max(self.kept_from, before)
        self.rows = [row for row in self.rows if row.position >= before]

    async def feed(
        self, org_id: int, monitor_ids: Sequence[int] | None, shard: int, after_position: int, limit: int
    ) -> Sequence[LogEntry]:
        self._look()
        return [row for row in self._of(org_id, monitor_ids) if row.position > after_position][:limit]

    async def head(self, shard: int) -> int:
        self._look()
        return self.last

    async def oldest_position(self, org_id: int, shard: int) -> int:
        self._look()
        return self.kept_from

    async def position_at(self, org_id: int, monitor_ids: Sequence[int] | None, instant: Instant) -> int:
        self._look()
        found = [row.position for row in self._of(org_id, monitor_ids) if row.checked_at >= instant]
        return found[0] - 1 if found else self.last

    async def position_of_last(self, org_id: int, monitor_ids: Sequence[int] | None, n: int) -> int:
        self._look()
        found = [row.position for row in self._of(org_id, monitor_ids)][-n:]
        return found[0] - 1 if found else self.last

    def _of(self, org_id: int, monitor_ids: Sequence[int] | None) -> list[LogEntry]:
        return [r for r in self.rows if r.org_id == org_id and (monitor_ids is None or r.monitor_id in monitor_ids)]

    def _look(self) -> None:
        if self.away:
            raise UnavailableError("away")
        self.reads += 1
