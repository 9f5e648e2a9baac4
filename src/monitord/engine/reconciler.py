"""Keeps the running actors equal to the stored monitors."""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import structlog

from monitord.domain.errors import UnavailableError
from monitord.domain.monitor import Assignment
from monitord.engine.clock import Clock
from monitord.engine.supervisor import Supervisor

log = structlog.get_logger(__name__)

_RETRY_MAX_S = 5.0
_BATCH = 100
"""How many actors are started or stopped in one turn of the loop: a few milliseconds of work."""


class MonitorSource(Protocol):
    """Where the monitors are stored."""

    async def versions(self) -> dict[int, int]:
        """Return the version of every active monitor."""

    async def load(self, ids: Sequence[int]) -> list[Assignment]:
        """Return those of the monitors that are active, with all that is needed to check them."""


class Reconciler:
    """Compares what is stored with what runs, and starts, changes and stops actors until the two agree.

    The whole set is compared on each hint and every ``period_s`` regardless: a hint only says "look", and a lost
    one costs no more than that time. Monitors asked for by name (``settle``, or a hint that names
    them) are looked at alone and at once, also in the middle of a comparison of the whole set (I13). With the
    store away, everything goes on as it runs.
    """

    def __init__(
        self,
        source: MonitorSource,
        supervisor: Supervisor,
        *,
        clock: Clock,
        period_s: float = 30.0,
        spacing_s: float = 1.0,
        chunk: int = 1000,
    ) -> None:
        self._source = source
        self._supervisor = supervisor
        self._clock = clock
        self._period_s = period_s
        self._spacing_s = spacing_s
        self._chunk = chunk
        self._named: dict[int, list[asyncio.Future[None]]] = {}
        self._unloadable: set[int] = set()
        """Monitors whose rows could not be loaded: from then on each is loaded apart from the others (I11)."""
        self._wake = asyncio.Event()
        self._compared_at = self._compare_at = clock.monotonic() - period_s
        self.complete = False
        """Whether the whole set was compared at least once since the start."""

    def poke(self, *monitor_ids: int) -> None:
        """Look at these monitors at once; without any, at the whole set, within ``spacing_s`` of the last such look."""
        for monitor_id in monitor_ids:
            self._named.setdefault(monitor_id, [])
        if not monitor_ids:
            self._compare_at = min(self._compare_at, self._compared_at + self._spacing_s)
        self._wake.set()

    async def settle(self, monitor_id: int, version: int | None) -> None:
        """Return once the engine acts on this version of a monitor or a newer one; None: once the monitor is gone.

        Waits for as long as the store is away: the caller sets the limit.

        Raises:
            UnavailableError: the monitor's row could not be loaded; it is tried again every ``period_s``.
        """
        if version is not None and self._supervisor.version_of(monitor_id) >= version:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._named.setdefault(monitor_id, []).append(done)
        self._wake.set()
        await done

    async def run(self) -> None:
        """Reconcile until cancelled."""
        failures = 0
        while True:
            await self._rest()
            try:
                await self._look_at_named()
                if self._clock.monotonic() >= self._compare_at:
                    await self._compare()
                failures = 0
            except Exception as error:  # the one guard of this task: whatever breaks, what runs goes on (I17)
                failures += 1
                self._compared_at = self._clock.monotonic()
                self._compare_at = self._compared_at + min(_RETRY_MAX_S, 0.25 * 2.0 ** min(failures - 1, 10))
                if failures.bit_count() == 1:  # 1, 2, 4, 8...: an outage of hours is not a flood of lines
                    log.warning("reconcile_failed", error=f"{type(error).__name__}: {error}", failures=failures)

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._compare_at - self._clock.monotonic())):
                await self._wake.wait()
        self._wake.clear()

    async def _look_at_named(self) -> None:
        named, self._named = self._named, {}
        try:
            failed, endings = await self._bring(list(named))
        except BaseException:
            for monitor_id, waiting in named.items():
                self._named.setdefault(monitor_id, []).extend(waiting)
            raise
        for monitor_id, waiting in named.items():
            ending = endings.get(monitor_id)
            if monitor_id in failed:
                _finish(waiting, UnavailableError("The monitor is stored, but could not be loaded to be checked."))
            elif ending is None or ending.done():
                _finish(waiting)
            else:
                ending.add_done_callback(partial(_finish_when, waiting))

    async def _compare(self) -> None:
        """Compare the whole stored set with the running set, by version."""
        self._compared_at = self._clock.monotonic()  # set first: a hint from here on counts
        self._compare_at = self._compared_at + self._period_s
        stored = await self._source.versions()
        running = self._supervisor.running()
        differ = [monitor_id for monitor_id, version in stored.items() if running.get(monitor_id) != version]
        differ += [monitor_id for monitor_id in running if monitor_id not in stored]
        # `stored` may be outdated by now where a monitor was named meanwhile: what is loaded decides, not this.
        for chunk in _chunks(differ, self._chunk):
            await self._bring(chunk)
            await self._look_at_named()
        self.complete = True

    async def _bring(self, ids: list[int]) -> tuple[set[int], dict[int, asyncio.Future[None]]]:
        """Adopt those of the monitors that are stored and active, and release the others.

        Returns those that could not be loaded, which stay as they run, and the ends that are under way.
        """
        failed: set[int] = set()
        endings: dict[int, asyncio.Future[None]] = {}
        apart = [[monitor_id] for monitor_id in ids if monitor_id in self._unloadable]
        rest = [monitor_id for monitor_id in ids if monitor_id not in self._unloadable]
        for chunk in [*_chunks(rest, self._chunk), *apart]:
            loaded = {assignment.monitor.id: assignment for assignment in await self._load(chunk, failed)}
            for batch in _chunks(chunk, _BATCH):
                for monitor_id in batch:
                    assignment = loaded.get(monitor_id)
                    if assignment is not None and assignment.monitor.spec.active:
                        self._supervisor.adopt(assignment)
                    elif monitor_id not in failed and (ending := self._supervisor.release(monitor_id)):
                        endings[monitor_id] = ending
                await asyncio.sleep(0)
        return failed, endings

    async def _load(self, ids: list[int], failed: set[int]) -> list[Assignment]:
        """Load what can be loaded; a row that can't goes to ``failed`` and takes no other with it (I11)."""
        try:
            assignments = await self._source.load(ids)
        except (UnavailableError, OSError, TimeoutError):
            raise
        except Exception as error:  # some row among these: find it by halves
            if len(ids) > 1:
                middle = len(ids) // 2
                return [*await self._load(ids[:middle], failed), *await self._load(ids[middle:], failed)]
            if ids[0] not in self._unloadable:
                log.error("monitor_unloadable", monitor_id=ids[0], error=type(error).__name__)
            failed.update(ids)
            self._unloadable.update(ids)
            return []
        self._unloadable.difference_update(ids)
        return assignments


def _finish(waiting: list["asyncio.Future[None]"], error: Exception | None = None) -> None:
    for done in waiting:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _finish_when(waiting: list["asyncio.Future[None]"], _: "asyncio.Future[None]") -> None:
    _finish(waiting)


def _chunks(items: list[int], size: int) -> list[list[int]]:
    return [items[i : i + size] for i in range(0, len(items), size)]
