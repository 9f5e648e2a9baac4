"""What the engine is given in tests: a scripted probe, a recorder in memory, a store in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from monitord.domain.check import Category, CheckResult, Gap, Observation, Trigger, Verdict
from monitord.domain.health import Health, Policy, Status, observe
from monitord.domain.instant import SECOND, Instant
from monitord.domain.kinds import Check, HttpCheck
from monitord.domain.log import LogEntry, entry_of_result
from monitord.domain.monitor import Assignment, Monitor, MonitorSpec
from monitord.domain.schedule import Grid

UP = Observation(verdict=Verdict.UP)
DOWN = Observation(verdict=Verdict.DOWN, category=Category.CONNECT_REFUSED)
PENDING = Health()


def monitor(
    id_: int = 1,
    *,
    interval_s: int = 60,
    timeout_ms: int = 5_000,
    version: int = 1,
    host: str = "example.test",
    recheck_interval_s: int = 10,
    active: bool = True,
) -> Monitor:
    return Monitor(
        id=id_,
        org_id=7,
        version=version,
        created_at=0,
        updated_at=0,
        spec=MonitorSpec(
            name=f"m{id_}",
            check=HttpCheck(url=f"http://{host}/{id_}"),
            interval_s=interval_s,
            timeout_ms=timeout_ms,
            recheck_interval_s=recheck_interval_s,
            active=active,
        ),
    )


def assign(monitor: Monitor, covered_until: Instant, health: Health = PENDING) -> Assignment:
    return Assignment(monitor=monitor, health=health, last_seq=0, covered_until=covered_until)


@dataclass
class Call:
    check: HttpCheck
    at: float
    done: bool = False

    @property
    def monitor_id(self) -> int:
        return int(self.check.url.rpartition("/")[2])


class FakeProbe:
    """Answers UP at once, or does what ``script`` says for the n-th call (from 0)."""

    def __init__(self, script: Callable[[Call, int], Awaitable[Observation]] | None = None) -> None:
        self.calls: list[Call] = []
        self.script = script
        self.seconds = 0.0
        self.running: dict[int, int] = {}
        self.overlaps = 0
        self.most_at_once = 0

    async def __call__(self, check: Check, timeout_s: float, *, trace: bool = False) -> Observation:
        call = Call(check, asyncio.get_running_loop().time())
        self.calls.append(call)
        id_ = call.monitor_id
        self.running[id_] = self.running.get(id_, 0) + 1
        self.overlaps += self.running[id_] > 1
        self.most_at_once = max(self.most_at_once, sum(self.running.values()))
        try:
            if self.script is not None:
                return await self.script(call, len(self.calls) - 1)
            if self.seconds:
                await asyncio.sleep(self.seconds)
            return UP
        finally:
            call.done = True
            self.running[id_] -= 1


@dataclass
class FakeRecorder:
    """Keeps everything in order; commits at once."""

    results: list[CheckResult] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    rows: list[CheckResult | Gap] = field(default_factory=list)
    adopted: dict[int, Assignment] = field(default_factory=dict)
    parked: list[tuple[Monitor, str]] = field(default_factory=list)
    commit_s: float = 0.0
    failure: Exception | None = None
    on_record: Callable[[CheckResult], None] = lambda result: None
    on_park: Callable[[Monitor], None] = lambda monitor: None

    def adopt(self, assignment: Assignment) -> None:
        self.adopted[assignment.monitor.id] = assignment

    def forget(self, monitor_id: int) -> None:
        del self.adopted[monitor_id]

    def record(self, result: CheckResult) -> None:
        self.results.append(result)
        self.rows.append(result)
        self.on_record(result)

    async def record_and_wait(self, result: CheckResult) -> LogEntry:
        self.record(result)
        await asyncio.sleep(self.commit_s)
        if self.failure is not None:
            raise self.failure
        return entry_of_result(result, seq=len(self.rows), shard=0, position=len(self.rows), counted=True)

    def record_gap(self, gap: Gap) -> None:
        self.gaps.append(gap)
        self.rows.append(gap)

    async def park(self, monitor: Monitor, message: str) -> None:
        self.on_park(monitor)
        self.parked.append((monitor, message))

    def of(self, monitor_id: int) -> list[CheckResult]:
        return [result for result in self.results if result.monitor_id == monitor_id]

    def covered_until(self, monitor_id: int, start: Instant) -> Instant:
        """What a store would say after a crash: everything recorded so far is accounted for."""
        ends = [start]
        for row in self.rows:
            if row.monitor_id != monitor_id:
                continue
            if isinstance(row, Gap):
                ends.append(row.until)
            elif row.trigger is Trigger.SCHEDULED:
                ends.append(row.scheduled_at + 1)
        return max(ends)


class Fold:
    """Folds the results of a recorder as the ledger would, and tells of each change after ``delay_s``."""

    def __init__(self, settled: Callable[[int, Health], None], policy: Policy, delay_s: float = 0.2) -> None:
        self.health = Health(status=Status.UP, judged=Status.UP)
        self._settled, self._policy, self._delay_s = settled, policy, delay_s

    def __call__(self, result: CheckResult) -> None:
        after, _ = observe(self.health, result.observation.verdict, result.started_at, self._policy)
        if after != self.health:
            self.health = after
            asyncio.get_running_loop().call_later(self._delay_s, self._settled, result.monitor_id, after)


@dataclass
class FakeMeter:
    observed: int = 0
    lags: list[float] = field(default_factory=list)
    restarts: int = 0

    def observe(self, result: CheckResult) -> None:
        self.observed += 1

    def lag(self, seconds: float) -> None:
        self.lags.append(seconds)

    def restarted(self) -> None:
        self.restarts += 1


class FakeSource:
    """Stored monitors; ``failure`` makes every call fail, ``poison`` the loading of some rows."""

    def __init__(self, assignments: Iterable[Assignment] = ()) -> None:
        self.stored = {assignment.monitor.id: assignment for assignment in assignments}
        self.failure: Exception | None = None
        self.poison: set[int] = set()
        self.latency_s = 0.0
        self.loads: list[list[int]] = []
        self.compared = 0

    def put(self, assignment: Assignment) -> None:
        self.stored[assignment.monitor.id] = assignment

    async def versions(self) -> dict[int, int]:
        self.compared += 1
        stored = {id_: assignment.monitor.version for id_, assignment in self.stored.items()}
        await asyncio.sleep(self.latency_s)
        if self.failure is not None:
            raise self.failure
        return stored

    async def load(self, ids: Sequence[int]) -> list[Assignment]:
        self.loads.append(list(ids))
        found = [self.stored[id_] for id_ in ids if id_ in self.stored]
        await asyncio.sleep(self.latency_s)
        if self.failure is not None:
            raise self.failure
        if self.poison.intersection(ids):
            raise ValueError("a row that cannot be read")
        return found


def changed(monitor: Monitor, **changes: int) -> Monitor:
    """Return the next version of a monitor."""
    spec = msgspec.structs.replace(monitor.spec, **changes)
    return msgspec.structs.replace(monitor, spec=spec, version=monitor.version + 1)


def seconds(grid: Grid) -> float:
    return grid.phase / SECOND
