"""The owner of all actors: no actor outlives it, and what breaks one touches no other."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TypeVar

import structlog

from monitord.domain.check import CheckResult, Verdict
from monitord.domain.errors import FailedPreconditionError, UnavailableError
from monitord.domain.health import Health, Status
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Assignment, Monitor
from monitord.engine.actor import Actor
from monitord.engine.checker import Checker, Parent
from monitord.engine.clock import Clock
from monitord.engine.tools import Meter, Recorder, Tools
from monitord.engine.witness import FRESH_S

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

BACKOFF_MAX_S = 60.0
_COUNT_EVERY_S = 5.0
_VERIFY_SLACK_S = 1.0
_BATCH = 500
"""How many actors are touched in one turn of the loop: a few milliseconds of work."""


class Supervisor:
    """Runs one actor per monitor. To be made on the running loop.

    ``run`` lexically holds one TaskGroup, and each actor runs inside one guard: an actor that raises is restarted
    with backoff (1 s doubling to 60 s, full jitter), and parked as FAULTED after five crashes in a row.
    """

    def __init__(
        self,
        *,
        checker: Checker,
        recorder: Recorder,
        meter: Meter,
        clock: Clock,
        jitter: random.Random | None = None,
        stop_grace_s: float = 1.0,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._checker = checker
        self._recorder = recorder
        self._meter = meter
        self._clock = clock
        self._random = jitter or random.Random()
        self._stop_grace_s = stop_grace_s
        self._tools = Tools(
            checker=checker,
            recorder=recorder,
            meter=meter,
            clock=clock,
            loop=self._loop,
            answer=self._answer,
            backoff=self._backoff,
        )
        self._group: asyncio.TaskGroup | None = None
        self._actors: dict[int, Actor] = {}
        self._versions: dict[int, int] = {}
        """Of the monitors that are checked on schedule, or will be once a stop is over."""
        self._successors: dict[int, Assignment] = {}
        self._endings: dict[int, list[asyncio.Future[None]]] = {}
        self._answering: set[asyncio.Task[LogEntry]] = set()
        checker.parents = self
        self._overdue = 0
        self._statuses: Mapping[Status, int] = {}

    # Life

    async def run(self) -> None:
        """Run the actors until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                try:
                    for batch in _batches(list(self._actors.values())):
                        for actor in batch:
                            self._start(actor)
                        await asyncio.sleep(0)
                    while True:
                        await self._count()
                        await asyncio.sleep(_COUNT_EVERY_S)
                finally:
                    self._tools.closed = True
        finally:
            self._group = None
            for task in self._answering:
                task.cancel()
            await asyncio.gather(*self._answering, return_exceptions=True)

    async def drain(self, grace_s: float) -> None:
        """Stop all actors: no check begins from now on, and those under way have ``grace_s`` to end."""
        self._tools.closed = True
        for batch in _batches(list(self._actors)):
            for monitor_id in batch:
                if actor := self._actors.get(monitor_id):
                    actor.tell_stop(grace_s)
            await asyncio.sleep(0)
        await asyncio.gather(*(ending for monitor_id in list(self._actors) if (ending := self._ending(monitor_id))))

    # What the reconciler asks for

    def adopt(self, assignment: Assignment) -> None:
        """Check a monitor as assigned from now on. A version that is not newer than the one known is ignored."""
        monitor = assignment.monitor
        if self._tools.closed or monitor.version <= self.version_of(monitor.id):
            return
        self._versions[monitor.id] = monitor.version
        actor = self._actors.get(monitor.id)
        if actor is not None and actor.stopping:
            self._successors[monitor.id] = assignment  # so that the two never check at the same time
        else:
            self._assign(assignment)

    def release(self, monitor_id: int) -> "asyncio.Future[None] | None":
        """Stop checking a monitor: no check of it begins from now on (I13). Return when it is gone as a future.

        A check under way has the grace time to end. None: there is nothing to stop.
        """
        self._versions.pop(monitor_id, None)
        self._successors.pop(monitor_id, None)
        actor = self._actors.get(monitor_id)
        if actor is None:
            return None
        actor.tell_stop(self._stop_grace_s)
        return self._ending(monitor_id)

    async def stop(self, monitor_id: int) -> None:
        """Stop checking a monitor and return once it is gone. Safe twice, and for a monitor that never ran."""
        ending = self.release(monitor_id)
        if ending is not None:
            await ending

    def running(self) -> Mapping[int, int]:
        """Return the version of each monitor that is checked on schedule, as a live view."""
        return MappingProxyType(self._versions)

    def version_of(self, monitor_id: int) -> int:
        """Return the newest version of a monitor that this acts on; 0: it is not checked on schedule."""
        return self._versions.get(monitor_id, 0)

    # What others ask for

    def standings(self) -> Iterator[tuple[Monitor, Status]]:
        """Yield each monitor that is checked on schedule, with its status as last committed."""
        for actor in self._actors.values():
            if actor.version:
                yield actor.monitor, actor.status

    async def check_now(self, monitor: Monitor) -> LogEntry:
        """Check a monitor once, outside its schedule, and return the stored row. It may be paused.

        A check under way ends first: a monitor is never checked twice at the same time. Callers who ask while one
        waits share one check, which began after each of them asked.

        Raises:
            FailedPreconditionError: the monitor was paused or deleted meanwhile.
            UnavailableError: monitord is stopping.
        """
        if self._tools.closed or self._group is None:
            raise UnavailableError("monitord is not checking at the moment.")
        actor = self._actors.get(monitor.id)
        if actor is None:
            actor = self._add(monitor)
        elif actor.stopping:
            raise FailedPreconditionError("The monitor is being stopped.")
        answer: asyncio.Future[LogEntry] = self._loop.create_future()
        actor.tell_check(monitor, answer)
        return await answer

    async def verify(self, monitor_id: int, not_before: float) -> Parent | None:
        """Return what a check of a monitor says that began no earlier than about ``not_before`` (monotonic, seconds).

        One is made if need be, and shared by all who ask; it is stored like any re-check, but not waited for, so that
        an outage of the database holds up nobody. None: it isn't checked here, or does not answer in time.
        """
        actor = self._actors.get(monitor_id)
        if actor is None:
            return None
        spec = actor.spec
        answer: asyncio.Future[Verdict | None] = self._loop.create_future()
        actor.tell_verify(not_before, answer)
        try:
            # A check under way may have to end first.
            async with asyncio.timeout(2 * spec.timeout_ms / 1000 + _VERIFY_SLACK_S):
                verdict = await answer
        except TimeoutError:
            return None
        return None if verdict is None else Parent(name=spec.name, verdict=verdict)

    def recheck(self, monitor_id: int) -> None:
        """Check a monitor at once, off its schedule, if it is checked here: something is known to have changed."""
        actor = self._actors.get(monitor_id)
        if actor is not None:
            begins_from_now_on = self._clock.monotonic() + FRESH_S
            actor.tell_verify(begins_from_now_on, self._loop.create_future())

    def settled(self, monitor_id: int, health: Health) -> None:
        """Take the news that a monitor's committed health changed: its re-checks begin or end."""
        actor = self._actors.get(monitor_id)
        if actor is not None:
            actor.tell_health(health)

    async def realign(self) -> None:
        """Let every actor look at the wall clock again: it was set, or the machine slept (I18)."""
        for batch in _batches(list(self._actors.values())):
            for actor in batch:
                actor.wake()
            await asyncio.sleep(0)

    def overdue(self) -> int:
        """Return how many monitors had a slot waiting for longer than its timeout and a second, at the last count."""
        return self._overdue

    def statuses(self) -> Mapping[Status, int]:
        """Return how many of the monitors that run had each status, as committed, at the last count."""
        return self._statuses

    async def _count(self) -> None:
        """Count, a few milliseconds at a time: 100,000 actors would hold up the loop for 100 ms."""
        overdue, statuses = 0, Counter[Status]()
        for batch in _batches(list(self._actors.values())):
            now = self._clock.now()
            for actor in batch:
                if actor.version:
                    overdue += actor.overdue(now)
                    statuses[actor.status] += 1
            await asyncio.sleep(0)
        self._overdue, self._statuses = overdue, statuses

    @property
    def in_flight(self) -> int:
        """How many checks are under way."""
        return self._checker.gate.in_flight

    @property
    def accepting(self) -> bool:
        """Whether checks are made: running, and not draining."""
        return self._group is not None and not self._tools.closed

    # Within

    def _assign(self, assignment: Assignment) -> None:
        self._recorder.adopt(assignment)
        actor = self._actors.get(assignment.monitor.id) or self._add(assignment.monitor)
        actor.tell_assignment(assignment)

    def _add(self, monitor: Monitor) -> Actor:
        actor = self._actors[monitor.id] = Actor(self._tools, monitor)
        if self._group is not None:
            self._start(actor)
        return actor

    def _start(self, actor: Actor) -> None:
        if actor.task is None and self._group is not None:
            actor.task = self._group.create_task(self._guard(actor), name=f"monitor {actor.monitor_id}")

    async def _guard(self, actor: Actor) -> None:
        try:
            while True:
                try:
                    await actor.run()
                    return
                except Exception as error:  # the one guard of an actor's task: its bugs are its own (I11)
                    actor.crashed(type(error).__name__)
                    self._meter.restarted()
                    log.exception("actor_crashed", monitor_id=actor.monitor_id)
                    if actor.stopping:
                        return
        finally:
            self._ended(actor)

    def _ended(self, actor: Actor) -> None:
        monitor_id = actor.monitor_id
        actor.abandon()
        del self._actors[monitor_id]
        closed = self._tools.closed
        if actor.stopping and actor.version and not closed:
            self._recorder.forget(monitor_id)
        if (successor := self._successors.pop(monitor_id, None)) and not closed:
            self._assign(successor)
        for ending in self._endings.pop(monitor_id, ()):
            if not ending.done():
                ending.set_result(None)

    def _ending(self, monitor_id: int) -> "asyncio.Future[None] | None":
        """Return a future of the caller's own that is done when the actor is gone."""
        actor = self._actors.get(monitor_id)
        if actor is None:
            return None
        if actor.task is None:
            self._ended(actor)
            return None
        ending = self._loop.create_future()
        self._endings.setdefault(monitor_id, []).append(ending)
        return ending

    def _backoff(self, crashes: int) -> float:
        return self._random.uniform(0.0, min(BACKOFF_MAX_S, 2.0 ** min(crashes - 1, 10)))

    def _answer(self, result: CheckResult, answers: Sequence["asyncio.Future[LogEntry]"]) -> None:
        """Store a result, then give its row to those who asked; it is stored even if they all went away."""
        task = self._loop.create_task(self._recorder.record_and_wait(result), name=f"answer {result.monitor_id}")
        self._answering.add(task)
        task.add_done_callback(partial(self._answered, answers))

    def _answered(self, answers: Sequence["asyncio.Future[LogEntry]"], task: "asyncio.Task[LogEntry]") -> None:
        self._answering.discard(task)
        error = UnavailableError("monitord is stopping.") if task.cancelled() else task.exception()
        waiting = [answer for answer in answers if not answer.done()]
        if error is not None and not waiting:
            log.warning("answer_lost", error=str(error))
        for answer in waiting:
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(task.result())


def _batches(items: list[_T]) -> list[list[_T]]:
    return [items[i : i + _BATCH] for i in range(0, len(items), _BATCH)]
