"""What happens inside, counted as it happens.

The hot path is ``observe``: a few additions to plain Python objects that belong to the event loop. Everything that
Prometheus wants is made of them when it asks (``collector``, ``series``).
"""

from collections import Counter
from collections.abc import Callable, ItemsView, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from monitord.domain.check import CheckResult
from monitord.domain.health import Health, Status
from monitord.domain.kinds import kind_of
from monitord.domain.monitor import Assignment
from monitord.metrics.histogram import Histogram
from monitord.metrics.watched import KindTotals, Watched

LATENESS_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""1 ms is the resolution of the event loop's timers, 100 ms is what is promised."""

DWELL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0)
"""2 s is what is promised while the other side is well; a day is how long an alert is tried."""

WORK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

MAX_RPC_SERIES = 1_000
"""Far more than (methods x codes); beyond it a caller who invents method names would make memory grow (T18)."""

_UNKNOWN_KIND = "unknown"
"""The type of a check whose monitor does not run here: CheckNow on a paused one."""


@dataclass(frozen=True, kw_only=True)
class Gauges:
    """Numbers that others know, asked for at each scrape. None means not known now: the series is absent."""

    in_flight: Callable[[], int | None]
    overdue: Callable[[], int | None]
    spool_rows: Callable[[], int | None]
    slots_uncovered: Callable[[], int | None]
    outbox_pending: Callable[[], int | None]
    outbox_oldest_s: Callable[[], float | None]
    tail_streams: Callable[[], int | None]
    paused_monitors: Callable[[], int | None]
    network_up: Callable[[], bool | None]


class Instruments:
    """Counts what the engine, the ledger and the edge tell it. All methods are for the event loop's thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.gauges: Gauges | None = None
        self.lateness = Histogram(LATENESS_SECONDS)
        self.loop_lag = Histogram(LATENESS_SECONDS)
        self.batches = Histogram(WORK_SECONDS)
        self.dwell = Histogram(DWELL_SECONDS)
        self.log_rows = 0
        self.restarts = 0
        self._kinds: dict[str, KindTotals] = {}
        self._deliveries: Counter[tuple[str, str]] = Counter()
        self._rpcs: dict[tuple[str, str], Histogram] = {}
        self._watched: dict[int, Watched] = {}
        self._statuses = dict.fromkeys(Status, 0)
        self._unknown = KindTotals()

    def attach(self, gauges: Gauges) -> None:
        """Take the numbers that others know, once those others exist."""
        self.gauges = gauges

    # Which monitors run

    def adopt(self, assignment: Assignment) -> None:
        """Begin to watch a monitor, or begin anew: what an older configuration saw says nothing of this one."""
        monitor, status = assignment.monitor, assignment.health.status
        self.forget(monitor.id)
        totals = self._kinds.setdefault(kind_of(monitor.spec.check), KindTotals())
        self._watched[monitor.id] = Watched(monitor=monitor, status=status, totals=totals)
        self._statuses[status] += 1

    def settled(self, monitor_id: int, health: Health) -> None:
        """Take the status that a commit decided."""
        known = self._watched.get(monitor_id)
        if known is not None:
            self._statuses[known.status] -= 1
            known.status = health.status
            self._statuses[known.status] += 1

    def forget(self, monitor_id: int) -> None:
        """Drop the series of a monitor that is deleted or paused; at once, whatever is still in flight."""
        known = self._watched.pop(monitor_id, None)
        if known is not None:
            self._statuses[known.status] -= 1

    # What they and others do

    def observe(self, result: CheckResult) -> None:
        """Count a check; works with the database away too."""
        known = self._watched.get(result.monitor_id)
        if known is None:
            totals = self._kinds.setdefault(_UNKNOWN_KIND, self._unknown)
        else:
            totals = known.totals
            if result.monitor_version == known.monitor.version:
                known.remember(result)
        totals.verdicts[result.observation.verdict] += 1
        totals.seconds.observe(result.duration_ms / 1000)

    def lag(self, seconds: float) -> None:
        """Count how late a scheduled check passed the gate."""
        self.lateness.observe(seconds)

    def restarted(self) -> None:
        """Count an actor's crash."""
        self.restarts += 1

    def batch(self, rows: int, seconds: float) -> None:
        """Count a committed batch of log rows, and how long its transaction took."""
        self.log_rows += rows
        self.batches.observe(seconds)

    def delivered(self, channel: str, outcome: str, dwell_s: float | None) -> None:
        """Count an attempt to deliver an alert; if it was accepted, so long after what it tells of."""
        self._deliveries[channel, outcome] += 1
        if dwell_s is not None:
            self.dwell.observe(max(dwell_s, 0.0))

    def rpc(self, method: str, code: str, seconds: float) -> None:
        """Count a call by its full method name and the name of its status code."""
        histogram = self._rpcs.get((method, code))
        if histogram is None:
            if len(self._rpcs) >= MAX_RPC_SERIES:
                method = "other"
            histogram = self._rpcs.setdefault((method, code), Histogram(WORK_SECONDS))
        histogram.observe(seconds)

    # What the collector reads

    @property
    def kinds(self) -> ItemsView[str, KindTotals]:
        """Totals by kind of check."""
        return self._kinds.items()

    @property
    def deliveries(self) -> ItemsView[tuple[str, str], int]:
        """Attempts by channel and outcome."""
        return self._deliveries.items()

    @property
    def rpcs(self) -> ItemsView[tuple[str, str], Histogram]:
        """Durations of calls by method and code."""
        return self._rpcs.items()

    @property
    def watched(self) -> Iterable[Watched]:
        """The running monitors, as they are at this moment."""
        return list(self._watched.values())

    @property
    def statuses(self) -> Mapping[Status, int]:
        """How many running monitors have each status."""
        return self._statuses
