"""The one writer of the check log (I7), and the only place where results become statuses (I1, I8, I10)."""

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Callable

import asyncpg
import structlog

from monitord.domain.check import CheckResult, Gap
from monitord.domain.errors import NotFoundError, UnavailableError
from monitord.domain.instant import Instant
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Assignment, Monitor
from monitord.storage.database import Database
from monitord.storage.ledger_commit import Commit
from monitord.storage.ledger_flush import Flush, without_texts
from monitord.storage.ledger_tracks import Tracks
from monitord.storage.ledger_writes import Hold, Lease, OwnershipLostError, take_shard
from monitord.storage.spool import Awaited, Barrier, GapRecord, Item, Parking, Spool, future_of

__all__ = ["Ledger", "OwnershipLostError"]

BATCH = 500
"""Rows in one transaction, at most: more would hold up the loop while they are made."""

CATCH_UP_BATCH = 4_000
"""The same while the ledger lags behind. A transaction takes a handful of turns of the loop, and with the loop full of
checks a turn takes tens of milliseconds: at 6,000 checks/s, batches of 500 fell behind for ever."""

FLUSH_S = 0.2
"""How long a row that changes nothing may wait for others. With the commit, what kill -9 may cost stays below 250 ms
(I6), and what a tail waits for below 300 ms."""

_ANSWER_S = 10.0
_SHARD = 0
_BACKOFF_S = (0.1, 5.0)
_OF_THE_ROW = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.InterfaceError,
    ValueError,  # UnicodeError is one
    OverflowError,
)
"""What a value that can't be stored is answered with, by the driver or by Postgres."""

_log = structlog.get_logger(__name__)


class Ledger:
    """Takes results, and commits them in order, in batches, with all that follows from them.

    Implements the engine's Recorder. With the database away it holds what comes in a bounded spool; nothing is decided
    until it is committed (I17).
    """

    def __init__(self, database: Database, *, clock: Callable[[], Instant], spool_rows: int = 200_000) -> None:
        """Take the wall clock, and how many results to hold while the database is away."""
        self.listeners: list[Callable[[Commit], None]] = []
        """Called after each commit, in its order, from the event loop; must be quick, and must not raise."""
        self.hold_s: Hold = lambda monitor_id, transition, category: 0
        """How long alerts wait for a picture; must be quick, and must not raise."""
        self._database = database
        self._clock = clock
        self._spool = Spool(spool_rows)
        self._tracks = Tracks()
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._lease: Lease | None = None
        self._position = 0
        self._in_flight: list[Item] = []
        self._doubt: Flush | None = None  # its commit was lost sight of
        self._limit = BATCH
        self._failures = 0
        self._refused = 0
        self._ended = False

    # What the engine calls

    def adopt(self, assignment: Assignment) -> None:
        """Begin, or replace, what is known of a monitor."""
        self._tracks.adopt(assignment)

    def forget(self, monitor_id: int) -> None:
        """Drop what is known of a monitor that runs no more; what is spooled of it is still committed."""
        self._tracks.retire(monitor_id)

    def record(self, result: CheckResult) -> None:
        """Take a result; never blocks, never raises."""
        self._append(result, result)

    async def record_and_wait(self, result: CheckResult) -> LogEntry:
        """Take a result, and return its row once it is committed.

        Raises:
            UnavailableError: it is not committed within 10 s; it stays in the spool and will be.
            NotFoundError: its monitor was deleted meanwhile.

        """
        answer: asyncio.Future[LogEntry] = asyncio.get_running_loop().create_future()
        self._append(Awaited(result, answer), result)
        self._wake.set()
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await answer
        except TimeoutError:
            raise UnavailableError("The check was made; its result is stored once the database is back.") from None

    def record_gap(self, gap: Gap) -> None:
        """Take the record of slots that went unchecked; never blocks."""
        self._spool.append(GapRecord(gap, self._clock()))
        self._hurry(loud=False)

    async def park(self, monitor: Monitor, message: str) -> None:
        """Make a monitor FAULTED, with an incident and alerts; return once that is committed, however long it takes.

        Does nothing to a monitor that was changed since ``monitor`` was read (I10), or is FAULTED or paused already.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._spool.append(Parking(monitor, message, self._clock(), done))
        self._hurry(loud=True)
        await done

    # What the process calls

    @property
    def spooled(self) -> int:
        """How many rows wait to be committed."""
        return len(self._spool) + len(self._in_flight)

    @property
    def dropped(self) -> int:
        """How many results a GAP stands for because the spool was full, or Postgres refused them; hopefully 0."""
        return self._spool.dropped + self._refused

    async def run(self) -> None:
        """Own the shard and commit what comes, until cancelled.

        Raises:
            OwnershipLostError: another process took over (I7).

        """
        self._wake.set()  # own the shard before there is anything to write
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._stop_timer()
                await self._step()
                # Once the loop has run others: a batch is never followed by the next without them.
                if self._doubt is not None or len(self._spool) >= BATCH or (self._spool and self._failures):
                    self._wake.set()
                elif self._spool:
                    self._hurry(loud=False)
        finally:
            self._ended = True
            self._stop_timer()
            self._disappoint()

    async def flush(self) -> None:
        """Return once everything taken so far is committed.

        Raises:
            UnavailableError: ``run`` has ended, or ends before that.

        """
        if self._ended:
            raise UnavailableError("monitord is stopping.")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._spool.append(Barrier(done))
        self._wake.set()
        await done

    async def close(self, limit_s: float) -> int:
        """Commit what there is, within a limit; return how many rows are left, and lost with the process."""
        with contextlib.suppress(TimeoutError, UnavailableError):
            async with asyncio.timeout(limit_s):
                await self.flush()
        return self.spooled

    # Taking

    def _append(self, item: CheckResult | Awaited, result: CheckResult) -> None:
        idle, loud = self._tracks.judge(result)
        self._spool.append(item, idle=idle)
        self._hurry(loud=loud)

    def _hurry(self, *, loud: bool) -> None:
        if loud or len(self._spool) >= BATCH:
            self._wake.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._wake.set)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Committing

    async def _step(self) -> None:
        """Commit one batch; or wait a while, if the database is away."""
        try:
            await self._attempt()
        except UnavailableError as error:
            await self._back_off(error.message)
        except asyncpg.PostgresError as error:
            # Not a row's fault, and not absence: a missing right, a corrupt index. Wait for someone to mend it.
            await self._back_off(str(error))
        else:
            if self._failures:
                _log.info("results are committed again", waiting=self.spooled)
                self._failures = 0

    async def _attempt(self) -> None:
        if self._lease is None:
            async with self._database.transaction() as tx:
                lease, self._position = await take_shard(tx, _SHARD, uuid.uuid4())
            self._lease = lease
        if self._doubt is not None:
            await self._resolve(self._doubt)
        self._in_flight = self._spool.take(self._limit)
        if all(type(item) is Barrier for item in self._in_flight):
            self._finish(self._in_flight)
            return
        flush = Flush(self._in_flight, self._tracks, self._lease, self.hold_s)
        began = time.monotonic()
        try:
            async with self._database.transaction() as tx:
                await flush.perform(tx)
        except _OF_THE_ROW as error:
            self._isolate(error)
        except BaseException:
            if flush.last_position is None:  # not even begun to write
                self._return()
            else:
                self._doubt = flush
            raise
        else:
            lagging = len(self._spool) > BATCH
            self._limit = min(CATCH_UP_BATCH if lagging else BATCH, self._limit * 2)
            self._apply(flush, time.monotonic() - began)

    async def _resolve(self, flush: Flush) -> None:
        """Find out whether a commit happened whose answer was lost: never store twice, never lose."""
        assert self._lease is not None
        async with self._database.transaction() as tx:
            position = await self._lease.standing(tx)
        self._doubt = None
        if position == self._position:
            # Nothing, or no row: to park a monitor twice does nothing, as its stored state is looked at first.
            self._return()
        elif position == flush.last_position:
            self._apply(flush, 0.0)
        else:
            raise OwnershipLostError

    def _isolate(self, error: Exception) -> None:
        """Find the row that can't be stored, by halves; store it without what the target said; else let go of it."""
        items = self._in_flight
        if len(items) > 1:
            self._limit = max(1, len(items) // 2)
            self._return()
        else:
            if isinstance(items[0], CheckResult):
                self._tracks.distrust(items[0].monitor_id)
            plain = without_texts(items[0])
            if plain is not None:
                self._in_flight = [plain]
                self._return()
            else:
                self._refused += 1
                self._finish(items, UnavailableError("The result could not be stored."))
            _log.error("a row could not be stored as it is", kept=plain is not None, error=repr(error))
        self._wake.set()

    def _return(self) -> None:
        self._spool.put_back(self._in_flight)
        self._in_flight = []

    def _apply(self, flush: Flush, seconds: float) -> None:
        """Make the committed batch what is known, and tell everyone."""
        assert flush.last_position is not None
        self._position = flush.last_position
        self._tracks.commit(flush.draft, flush.fresh)
        commit = flush.commit(seconds)
        others = [item for item in self._in_flight if type(item) is not CheckResult]
        gone = flush.draft.gone
        flush.answer([item for item in others if type(item) is Awaited])
        self._finish([item for item in others if type(item) is not Awaited])
        self._finish([i for i in others if type(i) is Awaited and i.result.monitor_id in gone], _gone())
        for listener in self.listeners:
            listener(commit)

    def _finish(self, items: list[Item], error: Exception | None = None) -> None:
        self._in_flight = []
        if not self._spool:
            self._tracks.caught_up()
        for item in items:
            future = future_of(item)
            if future is None or future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    async def _back_off(self, reason: str) -> None:
        """Wait with full jitter: when Postgres comes back, not everyone comes at once."""
        if not self._failures:
            _log.warning("results can't be committed; they are held in memory", reason=reason, waiting=self.spooled)
        least, most = _BACKOFF_S
        await asyncio.sleep(random.uniform(least, min(most, least * 2.0 ** min(self._failures + 1, 10))))
        self._failures += 1

    def _disappoint(self) -> None:
        for future in [*self._spool.waiting(), *filter(None, map(future_of, self._in_flight))]:
            if not future.done():
                future.set_exception(UnavailableError("monitord is stopping."))


def _gone() -> NotFoundError:
    return NotFoundError("The monitor was deleted before its result could be stored.")
