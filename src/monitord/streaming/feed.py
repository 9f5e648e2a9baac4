"""Tails of the check log: pulled by their readers, never pushed at them.

The table of the log is the queue, a small ring in memory is its cache, and a commit only wakes the readers. A reader
holds a position and one page, so a slow one costs nothing but that (I16); and as it always goes on from its position,
in the ring or in the table, it misses nothing (I15).
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from monitord.domain.errors import UnavailableError
from monitord.domain.instant import Instant
from monitord.domain.log import LogEntry
from monitord.domain.tail import (
    FromCursor,
    FromInstant,
    FromLast,
    TailEnd,
    TailEndReason,
    TailEvent,
    TailGap,
    TailHeartbeat,
    TailRow,
    TailStart,
)
from monitord.streaming.cursor import Cursors
from monitord.streaming.ring import Commit, Ring

_SHARD = 0
_PAGE = 500
_WAKE_S = 0.02
"""Commits within this time wake the readers once: a hundred readers are a hundred tasks to run."""
_RETRY_S = 0.5

_EXPIRED = "Rows after this cursor are older than the log is kept, and were deleted."
_REWOUND = "The log ends before this cursor: the database was restored to an older state."


class LogSource(Protocol):
    """Reads the stored log. Every method raises UnavailableError when the database is away."""

    async def feed(
        self, org_id: int, monitor_ids: Sequence[int] | None, shard: int, after_position: int, limit: int
    ) -> Sequence[LogEntry]:
        """Return the next rows in the order of their positions."""
        ...

    async def head(self, shard: int) -> int:
        """Return the position of the newest row, whoever owns it."""
        ...

    async def oldest_position(self, org_id: int, shard: int) -> int:
        """Return the position before which rows of an organisation may have been deleted."""
        ...

    async def position_at(self, org_id: int, monitor_ids: Sequence[int] | None, instant: Instant) -> int:
        """Return the position after which rows checked at or after ``instant`` begin."""
        ...

    async def position_of_last(self, org_id: int, monitor_ids: Sequence[int] | None, n: int) -> int:
        """Return the position after which the last ``n`` rows begin."""
        ...


class LogFeed:
    """All tails of the process."""

    def __init__(
        self, source: LogSource, *, ring_rows: int = 4096, heartbeat_s: float = 15.0, patience_s: float = 10.0
    ) -> None:
        """Take where rows are read that the ring of ``ring_rows`` does not hold (any more).

        A tail without news says so every ``heartbeat_s``. One that must read from the database while that is away
        waits for ``patience_s`` before it ends.
        """
        self._source = source
        self._ring = Ring(ring_rows)
        self._heartbeat_s = heartbeat_s
        self._patience_s = patience_s
        self._news = asyncio.Event()
        self._waking: asyncio.TimerHandle | None = None
        self.readers = 0
        """How many tails are open."""

    def publish(self, commit: Commit) -> None:
        """Take a commit, in the order of commits; wakes the readers soon."""
        if not self.readers or not commit.row_count:
            return
        self._ring.append(commit)
        if self._waking is None:
            self._waking = asyncio.get_running_loop().call_later(_WAKE_S, self._wake)

    async def tail(
        self, org_id: int, monitor_ids: Sequence[int] | None, start: TailStart
    ) -> AsyncGenerator[TailEvent, None]:
        """Yield the rows of an organisation's monitors, in the order of their commits; None: of all of them.

        Begins with a heartbeat, so that there is a cursor to come back with from the first moment on.

        Raises:
            InvalidArgumentError: the cursor is none, or comes from another tail (INVALID_CURSOR).
            UnavailableError: the database is away at the start. Later, the tail ends with STORAGE_UNAVAILABLE.

        """
        reader = _Reader(self, org_id, monitor_ids)
        self.readers += 1  # before the position is read: the ring holds what is committed from now on
        try:
            await reader.begin(start)
            yield TailHeartbeat(reader.cursor())
            while True:
                try:
                    page = await reader.page()
                except UnavailableError:
                    yield TailEnd(reader.cursor(), TailEndReason.STORAGE_UNAVAILABLE)
                    return
                if reader.gap is not None:
                    yield TailGap(reader.cursor(), reader.gap)
                    reader.gap = None
                for entry in page:
                    yield TailRow(reader.cursor(entry.position), entry)
                reader.position = reader.seen_until
                if not page and not await reader.wait(self._heartbeat_s):
                    yield TailHeartbeat(reader.cursor())
        finally:
            self.readers -= 1
            if not self.readers:
                self._ring.clear()

    def _wake(self) -> None:
        self._waking = None
        news, self._news = self._news, asyncio.Event()
        news.set()


class _Reader:
    """One tail's place in the log."""

    def __init__(self, feed: LogFeed, org_id: int, monitor_ids: Sequence[int] | None) -> None:
        self._feed = feed
        self._org_id = org_id
        self._monitor_ids = monitor_ids
        self._wanted = None if monitor_ids is None else frozenset(monitor_ids)
        self._cursors = Cursors(org_id, monitor_ids)
        self._behind = True
        self._unverified = False
        self._news = feed._news
        self.position = 0
        """Everything up to here was yielded."""
        self.seen_until = 0
        """The same, once the page in hand is."""
        self.gap: str | None = None
        """What to say of rows before ``position`` that are lost."""

    def cursor(self, position: int | None = None) -> str:
        return self._cursors.write([self.position if position is None else position])

    async def begin(self, start: TailStart) -> None:
        """Find the place to start from."""
        source, feed_of = self._feed._source, (self._org_id, self._monitor_ids)
        match start:
            case FromCursor(cursor):
                self.position = self._cursors.read(cursor)[_SHARD]
                head = await source.head(_SHARD)
                if self.position > head:
                    self.position, self.gap = head, _REWOUND
            case FromInstant(at):
                self.position = await source.position_at(*feed_of, at)
            case FromLast(count):
                self.position = await source.position_of_last(*feed_of, count)
            case _:
                self.position = await source.head(_SHARD)
                self._behind = False
        self.seen_until = self.position

    async def page(self) -> Sequence[LogEntry]:
        """Return the next rows, and where they end in ``seen_until``; nothing at the end of the log."""
        # Taken before looking: what is published after the look wakes us.
        self._news = self._feed._news
        ring = self._feed._ring
        if self._behind or ring.is_behind(self.position):
            return await self._patient_page()
        if self._unverified:
            self._unverified = False
            with contextlib.suppress(UnavailableError):  # then nothing can have been committed either
                return await self._stored_page()
        page, self.seen_until = ring.read(self._org_id, self._wanted, self.position, _PAGE)
        return page

    async def wait(self, limit_s: float) -> bool:
        """Return True once there may be news; False after ``limit_s`` without any."""
        try:
            async with asyncio.timeout(limit_s):
                await self._news.wait()
        except TimeoutError:
            # Look into the table itself from time to time: a missed wake-up must not become a hole.
            self._unverified = True
            return False
        return True

    async def _patient_page(self) -> Sequence[LogEntry]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._feed._patience_s
        while True:
            try:
                return await self._stored_page()
            except UnavailableError:
                if loop.time() >= deadline:
                    raise
            await asyncio.sleep(_RETRY_S * random.uniform(0.5, 1.5))

    async def _stored_page(self) -> Sequence[LogEntry]:
        source, position = self._feed._source, self.position
        head = await source.head(_SHARD)
        if head <= position:
            self._behind = False
            return ()
        page = await source.feed(self._org_id, self._monitor_ids, _SHARD, position, _PAGE)
        # Asked for afterwards: what was deleted before or while the page was read is known by now.
        oldest = await source.oldest_position(self._org_id, _SHARD)
        if position + 1 < oldest:
            self.gap, self.position = _EXPIRED, oldest - 1
        self._behind = len(page) == _PAGE
        last = page[-1].position if page else 0
        self.seen_until = max(self.position, last if self._behind else max(head, last))
        return page if self.gap is None else [entry for entry in page if entry.position >= oldest]
