"""From a result to its readers, through a real Postgres."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from monitord.domain.check import CheckResult, Observation, Trigger, Verdict
from monitord.domain.monitor import Assignment, Monitor
from monitord.domain.tail import FromCursor, FromLast, FromNow, TailGap, TailHeartbeat, TailRow, TailStart
from monitord.storage.database import Database
from monitord.storage.ledger import Ledger
from monitord.storage.logs import LogStore
from monitord.storage.monitors import MonitorStore, wall_clock
from monitord.streaming.feed import LogFeed
from tests.support.stored import PlainSealer, organisation, spec


class Running:
    """A ledger that publishes to a feed."""

    def __init__(self, database: Database, org_id: int) -> None:
        self.database = database
        self.org_id = org_id
        self.ledger = Ledger(database, clock=wall_clock)
        self.feed = LogFeed(LogStore(database), ring_rows=100)
        self.ledger.listeners.append(self.feed.publish)
        self.committed_at: dict[int, float] = {}
        self.ledger.listeners.append(
            lambda c: self.committed_at.update(dict.fromkeys(range(c.first_position, c.last_position + 1), now()))
        )
        self.monitors: list[Monitor] = []

    async def add(self) -> Monitor:
        store = MonitorStore(self.database, PlainSealer())
        view = await store.create(self.org_id, spec(f"m{len(self.monitors)}"))
        self.ledger.adopt(Assignment(monitor=view.monitor, health=view.health, last_seq=0, covered_until=0))
        self.monitors.append(view.monitor)
        return view.monitor

    def record(self, count: int = 1) -> None:
        for n in range(count):
            monitor = self.monitors[n % len(self.monitors)]
            at = wall_clock()
            self.ledger.record(
                CheckResult(
                    monitor_id=monitor.id,
                    org_id=self.org_id,
                    monitor_version=1,
                    trigger=Trigger.SCHEDULED,
                    scheduled_at=at,
                    started_at=at,
                    duration_ms=1.0,
                    observation=Observation(verdict=Verdict.UP),
                )
            )

    async def read(
        self,
        start: TailStart,
        count: int,
        monitors: list[int] | None = None,
        begun: asyncio.Event | None = None,
    ) -> list[TailRow]:
        """Read ``count`` rows of a new tail, and leave it; ``begun`` is set once it has its place."""
        rows: list[TailRow] = []
        async with asyncio.timeout(20), contextlib.aclosing(self.feed.tail(self.org_id, monitors, start)) as events:
            while len(rows) < count:
                event = await anext(events)
                assert not isinstance(event, TailGap)
                if begun is not None:
                    begun.set()
                if isinstance(event, TailRow):
                    rows.append(event)
        return rows


def now() -> float:
    return time.monotonic()


@pytest.fixture
async def running(database: Database) -> AsyncIterator[Running]:
    made = Running(database, await organisation(database))
    task = asyncio.create_task(made.ledger.run())
    for _ in range(3):
        await made.add()
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_readers_that_come_and_go_get_every_row_once(running: Running) -> None:
    running.record(500)
    await running.ledger.flush()
    first = await running.read(FromLast(500), 250)
    running.record(500)
    await running.ledger.flush()
    second = await running.read(FromCursor(first[-1].cursor), 700)
    running.record(50)
    third = await running.read(FromCursor(second[-1].cursor), 100)
    positions = [row.entry.position for row in (*first, *second, *third)]
    assert positions == list(range(1, 1051))


async def test_the_ring_and_the_table_tell_the_same(running: Running) -> None:
    wanted = [running.monitors[0].id, running.monitors[2].id]
    begun = asyncio.Event()
    live = asyncio.create_task(running.read(FromNow(), 20, wanted, begun))
    await begun.wait()
    running.record(30)
    told = await live
    stored = await running.read(FromLast(20), 20, wanted)
    assert [row.entry for row in told] == [row.entry for row in stored]
    assert {row.entry.monitor_id for row in told} == set(wanted)


async def test_a_committed_row_is_with_its_readers_within_300_ms(running: Running) -> None:
    late: list[float] = []

    async def follow() -> None:
        seen = 0
        async with contextlib.aclosing(running.feed.tail(running.org_id, None, FromNow())) as events:
            async for event in events:
                if isinstance(event, TailHeartbeat):
                    ready.release()
                if isinstance(event, TailRow):
                    late.append(now() - running.committed_at[event.entry.position])
                    seen += 1
                    if seen == 200:
                        return

    ready = asyncio.Semaphore(0)
    readers = [asyncio.create_task(follow()) for _ in range(10)]
    for _ in readers:
        await ready.acquire()
    for _ in range(10):
        running.record(20)
        await running.ledger.flush()
    await asyncio.wait_for(asyncio.gather(*readers), 20)
    assert len(late) == 2_000
    assert sorted(late)[int(len(late) * 0.99)] < 0.3
