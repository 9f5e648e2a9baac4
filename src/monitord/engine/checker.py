"""One check: through the gate, to the probe under a deadline, to a result."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from monitord.domain.check import Category, CheckResult, Evidence, Observation, Step, Trigger, Verdict
from monitord.domain.instant import Instant
from monitord.domain.kinds import Check
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Monitor
from monitord.engine.clock import Clock
from monitord.engine.gate import Gate

_FAILED = frozenset({Verdict.DOWN, Verdict.UNREACHABLE})


class Probe(Protocol):
    """Looks at a target."""

    async def __call__(self, check: Check, timeout_s: float, *, trace: bool = False) -> Observation:
        """Return what was seen within ``timeout_s``; nothing that a target does is an exception."""


class Judge(Protocol):
    """Knows how monitors of a kind do without dialling: what jobs have told, or how the members of a group do."""

    def judge(self, monitor: Monitor) -> Observation:
        """Return what is known of a monitor now."""


SLACK_S = 0.25
SWEEP_S = 0.25
"""A probe is given up between SLACK_S and SLACK_S + SWEEP_S after its own deadline; then the fault is ours (I9)."""

STALL_S = 0.25
"""From this much stall of the loop on, a timeout seen in it may be our own."""

_TIMED = frozenset(
    {
        Category.DNS_TIMEOUT,
        Category.CONNECT_TIMEOUT,
        Category.TLS_TIMEOUT,
        Category.TIMEOUT_TTFB,
        Category.TIMEOUT_TOTAL,
        Category.ASSERT_LATENCY,
    }
)
"""What a loop that stood still can make a good target look like."""


class Network(Protocol):
    """Knows whether our own network is to blame."""

    async def judge(self, seen: Observation, *, settled: bool = False) -> Observation:
        """Return what was seen, INCONCLUSIVE if our own network did it; ``settled``: it would decide nothing."""


class Maintenance(Protocol):
    """Knows which monitors are under maintenance."""

    def covers(self, monitor: Monitor, moment: Instant) -> bool:
        """Return whether a window of this monitor is open at a moment."""


class Parents(Protocol):
    """Knows how what a monitor depends on does."""

    async def verify(self, monitor_id: int, not_before: float) -> "Parent | None":
        """Return what a check of a monitor says that began no earlier than shortly before a moment; None: unknown."""


class Parent(msgspec.Struct, frozen=True):
    """What a monitor that others depend on is found to be."""

    name: str
    verdict: Verdict


class Flight:
    """A check under way."""

    __slots__ = (
        "answers",
        "asked",
        "began",
        "given_up",
        "host",
        "late_s",
        "maintenance",
        "monitor",
        "scheduled_at",
        "settled",
        "started_at",
        "task",
        "trigger",
    )

    def __init__(
        self, monitor: Monitor, host: str, trigger: Trigger, scheduled_at: Instant, asked: float, late_s: float = 0.0
    ) -> None:
        self.monitor = monitor
        self.host = host
        self.trigger = trigger
        self.scheduled_at = scheduled_at
        self.asked = asked
        """When it asked for a place at the gate, on the monotonic clock."""
        self.late_s = late_s
        """How long after its slot that was."""
        self.began: float | None = None
        """When the gate let it through, on the monotonic clock; None while it waits there."""
        self.started_at: Instant = 0
        """The same on the wall clock."""
        self.task: asyncio.Task[None] | None = None
        """Who makes it, and is cancelled when the probe does not end by itself."""
        self.given_up = False
        """Whether that happened."""
        self.maintenance = False
        """Whether it began within a maintenance window."""
        self.settled = False
        """Whether the monitor is DOWN already, so that one more failure decides nothing."""
        self.answers: Sequence[asyncio.Future[LogEntry]] = ()
        """Who asked for it (CheckNow)."""

    def result(self, duration_s: float, observation: Observation) -> CheckResult:
        """Return the result of this check. It carries the version that the check began with (I10)."""
        monitor = self.monitor
        return CheckResult(
            monitor_id=monitor.id,
            org_id=monitor.org_id,
            monitor_version=monitor.version,
            trigger=self.trigger,
            scheduled_at=self.scheduled_at,
            started_at=self.started_at,
            duration_ms=duration_s * 1000.0,
            observation=observation,
            maintenance=self.maintenance,
        )


class Checker:
    """Makes checks, for all monitors of the process."""

    def __init__(
        self,
        *,
        probe: Probe,
        gate: Gate,
        clock: Clock,
        stalled_since: Callable[[float], float],
        network: Network | None = None,
        maintenance: Maintenance | None = None,
        judges: Mapping[type[Check], Judge] | None = None,
    ) -> None:
        self.gate = gate
        self._network = network
        self._maintenance = maintenance
        self._judges = judges or {}
        self.parents: Parents | None = None
        """Whom to ask; the supervisor, once there is one."""
        self._probe = probe
        self._clock = clock
        self._stalled_since = stalled_since
        self._flights: set[Flight] = set()
        self._sweeping = False

    async def check(self, flight: Flight) -> CheckResult:
        """Make one check, in the flight's own task. Raises only what a bug in the probe raises."""
        gate, clock, host, spec = self.gate, self._clock, flight.host, flight.monitor.spec
        if not gate.try_enter(host):
            await gate.enter(host)
        try:
            # The latency clock starts inside the gate: a wait there is our lateness, not the target's.
            flight.started_at = clock.now()
            flight.began = began = clock.monotonic()
            if self._maintenance is not None:
                flight.maintenance = self._maintenance.covers(flight.monitor, flight.started_at)
            self._flights.add(flight)
            if not self._sweeping:
                self._sweep_later(began)
            judge = self._judges.get(type(spec.check))
            if judge is None:
                observation = await self._probe(spec.check, spec.timeout_ms * 0.001)
            else:
                observation = judge.judge(flight.monitor)
            duration_s = clock.monotonic() - began
        except asyncio.CancelledError:
            if not flight.given_up or flight.task is None or flight.task.cancelling() > 1:
                raise  # not by us, or not by us alone
            duration_s = clock.monotonic() - began
            observation = internal_error(f"the probe did not end {SLACK_S} s after its timeout of {spec.timeout_ms} ms")
        finally:
            self._flights.discard(flight)
            gate.leave(host)
            if flight.given_up and flight.task is not None:
                flight.task.uncancel()
        if observation.category in _TIMED:
            overrun_s = duration_s - spec.timeout_ms * 0.001
            observation = _acquit(observation, max(self._stalled_since(began), overrun_s))
        if observation.verdict is Verdict.DOWN and self._network is not None:
            # Outside the gate: whoever waits for the anchors keeps no place from others.
            observation = await self._network.judge(observation, settled=flight.settled)
        if observation.verdict is Verdict.DOWN and spec.parent_ids and not flight.settled:
            observation = await self._excuse(observation, spec.parent_ids, began)
        return flight.result(duration_s, observation)

    async def _excuse(self, seen: Observation, parent_ids: tuple[int, ...], began: float) -> Observation:
        """Return what was seen, as UNREACHABLE if something that the monitor depends on is found to be down too."""
        if self.parents is None:
            return seen
        found = await asyncio.gather(*(self.parents.verify(parent_id, began) for parent_id in parent_ids))
        down = next((each for each in found if each is not None and each.verdict in _FAILED), None)
        if down is None:
            return seen
        return msgspec.structs.replace(
            seen,
            verdict=Verdict.UNREACHABLE,
            category=Category.DEPENDENCY_DOWN,
            message=f"{down.name}, on which this depends, is down too. The check saw: {seen.message or seen.category}",
        )

    def _sweep(self, expected: float) -> None:
        """Give up the probes that are past their deadline.

        One timer for all: a timer for each check would cost more than the rest of this class, and is needed for
        none of them unless the probe has a bug. There are no more to look at than the gate lets in.
        """
        mono = self._clock.monotonic()
        self._sweeping = False
        if self._flights:
            self._sweep_later(mono)
        if mono - expected > STALL_S / 2:
            return  # our loop stood still: the probes have their turn first
        for flight in self._flights:
            assert flight.began is not None
            assert flight.task is not None
            if not flight.given_up and mono - flight.began >= flight.monitor.spec.timeout_ms * 0.001 + SLACK_S:
                flight.given_up = True
                flight.task.cancel()

    def _sweep_later(self, mono: float) -> None:
        self._sweeping = True
        asyncio.get_running_loop().call_later(SWEEP_S, self._sweep, mono + SWEEP_S)


def _acquit(observation: Observation, stall_s: float) -> Observation:
    """Blame ourselves, not the target, for a timeout during which our loop stood still (I9).

    A probe that ends well after its deadline was itself woken late: the watch over the clock may not have run yet.
    """
    if stall_s < STALL_S:
        return observation
    seen = observation.message or observation.category
    return msgspec.structs.replace(
        observation,
        verdict=Verdict.INCONCLUSIVE,
        category=Category.ENGINE_OVERLOAD,
        message=f"monitord itself stood still for {stall_s:.1f} s during this check, which then saw: {seen}",
    )


def internal_error(message: str) -> Observation:
    """Return the observation of a check that a fault of our own spoilt (I9)."""
    return Observation(
        verdict=Verdict.INCONCLUSIVE,
        category=Category.ENGINE_INTERNAL,
        message=message,
        evidence=Evidence(steps=(Step(at_ms=0.0, phase="engine", text=message),)),
    )
