"""Sees to it that what went down is photographed, and that the picture reaches those who are told of it.

Alerts of such a transition wait in the outbox for ``HOLD_S`` at most. Whoever records the picture lets them go before:
so they are late by 15 s at worst, also when this process dies in the middle, and no check waits for anything.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec
import structlog

from monitord.domain.check import Category
from monitord.domain.errors import UnavailableError
from monitord.domain.health import Status, Transition
from monitord.domain.instant import Instant
from monitord.domain.kinds import Check, HttpCheck
from monitord.domain.monitor import Assignment
from monitord.evidence.screenshots import NOBODY_THERE, unfit
from monitord.evidence.shot import Shot, Skipped

HOLD_S = 15
"""How long alerts wait for a picture, at most."""

_AGAIN_S = (0.5, 2.0, 5.0)
"""When to try again to record, with the database away: later there is nobody who waits."""

_log = structlog.get_logger(__name__)


class Moment(msgspec.Struct, frozen=True):
    """Which transition a picture belongs to."""

    org_id: int
    monitor_id: int
    at: Instant


class Album(Protocol):
    """Where pictures are recorded: with the log row, the incident and the alerts."""

    async def record(self, moment: Moment, result: Shot | Skipped) -> None:
        """Record what came of it, and let alerts that wait for it go. Raises UnavailableError."""
        ...


class Camera(Protocol):
    """Takes screenshots; ``screenshots.Screenshots``."""

    @property
    def can(self) -> bool:
        """Whether there is any way to take one."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether so many wait that another one would not be taken."""
        ...

    async def of(self, check: Check) -> Shot | Skipped:
        """Return a screenshot of what a monitor watches. Raises nothing."""
        ...


class Change(Protocol):
    """What was committed of a monitor; ``storage.ledger_commit.Change``."""

    @property
    def monitor_id(self) -> int:
        """Whose."""
        ...

    @property
    def transitions(self) -> Sequence[Transition]:
        """In order; mostly none or one."""
        ...

    @property
    def category(self) -> Category | None:
        """What was wrong at the newest of them; None: nothing."""
        ...


class Photographer:
    """Follows the monitors that are checked, and what is committed of them."""

    def __init__(self, camera: Camera, album: Album, *, recoveries: bool = False) -> None:
        """Take pictures of recoveries too if wanted."""
        self._camera = camera
        self._album = album
        self._recoveries = recoveries
        self._subjects: dict[int, tuple[int, HttpCheck]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def adopt(self, assignment: Assignment) -> None:
        """A monitor is checked from now on, or in another way than before."""
        monitor = assignment.monitor
        check = monitor.spec.check
        if isinstance(check, HttpCheck) and unfit(check) is None:
            self._subjects[monitor.id] = (monitor.org_id, check)
        else:
            self._subjects.pop(monitor.id, None)

    def forget(self, monitor_id: int) -> None:
        """It is checked no more."""
        self._subjects.pop(monitor_id, None)

    def hold_s(self, monitor_id: int, transition: Transition, category: Category | None) -> int:
        """Return how long alerts of a transition are to wait, in seconds: 0 where no picture will come."""
        wanted = self._is_wanted(transition) and category not in NOBODY_THERE
        possible = monitor_id in self._subjects and self._camera.can and not self._camera.is_full
        return HOLD_S if wanted and possible else 0

    def committed(self, changes: Iterable[Change]) -> None:
        """Take pictures of what is durable now; returns at once."""
        for change in changes:
            if not change.transitions:
                continue
            newest = change.transitions[-1]  # it alone can be photographed: what was before is over
            if self.hold_s(change.monitor_id, newest, change.category):
                org_id, check = self._subjects[change.monitor_id]
                moment = Moment(org_id, change.monitor_id, newest.at)
                task = asyncio.create_task(self._photograph(moment, check), name=f"picture of {change.monitor_id}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what is under way: its alerts go without a picture."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _is_wanted(self, transition: Transition) -> bool:
        before, after = transition.judged_before, transition.judged_after
        went_down = after is Status.DOWN and before is not Status.DOWN
        return went_down or (self._recoveries and before is Status.DOWN and after in (Status.UP, Status.DEGRADED))

    async def _photograph(self, moment: Moment, check: HttpCheck) -> None:
        result = await self._camera.of(check)
        for wait_s in (*_AGAIN_S, None):
            try:
                await self._album.record(moment, result)
            except UnavailableError as error:
                if wait_s is None:
                    _log.warning("screenshot_not_recorded", monitor_id=moment.monitor_id, reason=error.message)
                    return
                await asyncio.sleep(wait_s)
            except Exception:  # the guard of this task: the alerts go on their own in a moment (I11)
                _log.exception("screenshot_not_recorded", monitor_id=moment.monitor_id)
                return
            else:
                return
