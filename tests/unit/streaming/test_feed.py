"""A tail has no unannounced hole (I15), and a slow one costs only its page (I16)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitord.domain.errors import InvalidArgumentError, UnavailableError
from monitord.domain.tail import (
    FromCursor,
    FromInstant,
    FromLast,
    FromNow,
    TailEnd,
    TailEndReason,
    TailEvent,
    TailGap,
    TailHeartbeat,
    TailRow,
    TailStart,
)
from monitord.streaming.feed import LogFeed
from tests.support.virtual_time import VirtualTimeLoop
from tests.unit.streaming.log_source import FakeLog

Tail = AsyncGenerator[TailEvent, None]


@contextlib.asynccontextmanager
async def tail(
    feed: LogFeed, start: TailStart | None = None, *, org_id: int = 1, monitors: list[int] | None = None
) -> AsyncIterator[Tail]:
    async with contextlib.aclosing(feed.tail(org_id, monitors, start or FromNow())) as events:
        first = await anext(events)
        assert isinstance(first, TailHeartbeat)
        yield events


async def rows(events: Tail, count: int) -> list[int]:
    found = []
    for _ in range(count):
        event = await anext(events)
        assert isinstance(event, TailRow)
        found.append(event.entry.position)
    return found


async def test_a_commit_reaches_its_readers_soon_and_nobody_elses() -> None:
    log = FakeLog()
    feed = LogFeed(log)
    loop = asyncio.get_running_loop()
    async with tail(feed) as mine, tail(feed, org_id=2) as theirs, tail(feed, monitors=[2]) as narrow:
        reads = [asyncio.ensure_future(rows(t, n)) for t, n in ((mine, 2), (theirs, 1), (narrow, 1))]
        await asyncio.sleep(1)
        began = loop.time()
        feed.publish(log.commit((1, 1), (2, 7), (1, 2)))
        assert await asyncio.gather(*reads) == [[1, 3], [2], [3]]
        assert loop.time() - began <= 0.05


async def test_entries_are_made_only_when_somebody_reads() -> None:
    log = FakeLog()
    feed = LogFeed(log)
    unread = log.commit((1, 1))
    feed.publish(unread)
    async with tail(feed) as first, tail(feed) as second:
        read = log.commit((1, 1))
        feed.publish(read)
        assert await rows(first, 1) == await rows(second, 1) == [2]
    assert (unread.looked_at, read.looked_at) == (0, 1)


@pytest.mark.parametrize(
    ("start", "expected"), [(FromLast(2), [4, 5]), (FromInstant(3), [3, 4, 5]), (FromInstant(99), [])]
)
async def test_starts_in_the_past_lead_up_to_the_present(start: TailStart, expected: list[int]) -> None:
    log = FakeLog()
    log.commit(*[(1, 1)] * 5)
    feed = LogFeed(log)
    async with tail(feed, start) as events:
        assert await rows(events, len(expected)) == expected
        feed.publish(log.commit((1, 1)))
        assert await rows(events, 1) == [6]


async def test_silence_is_broken_by_heartbeats_whose_cursor_is_good() -> None:
    log = FakeLog()
    feed = LogFeed(log)
    loop = asyncio.get_running_loop()
    async with tail(feed) as events:
        began = loop.time()
        feed.publish(log.commit((2, 1)))  # moves the reader on, but is nothing to it
        beat = await anext(events)
        assert isinstance(beat, TailHeartbeat)
        assert 15 <= loop.time() - began <= 15.1
    feed.publish(log.commit((1, 1)))
    async with tail(feed, FromCursor(beat.cursor)) as events:
        assert await rows(events, 1) == [2]


async def test_a_lost_wake_up_is_no_hole() -> None:
    log = FakeLog()
    feed = LogFeed(log)
    async with tail(feed) as events:
        log.commit((1, 1))  # and nobody publishes it
        assert isinstance(await anext(events), TailHeartbeat)
        assert await rows(events, 1) == [1]


async def test_a_ring_with_a_hole_is_not_believed() -> None:
    log = FakeLog()
    feed = LogFeed(log)
    async with tail(feed) as events:
        feed.publish(log.commit((1, 1)))
        log.commit((1, 1))
        feed.publish(log.commit((1, 1)))
        assert await rows(events, 3) == [1, 2, 3]


async def test_rows_deleted_meanwhile_are_announced() -> None:
    log = FakeLog()
    feed = LogFeed(log)
    log.commit(*[(1, 1)] * 10)
    async with tail(feed, FromLast(10)) as events:
        first = await anext(events)
    log.expire(before=6)
    async with tail(feed, FromCursor(first.cursor)) as events:
        gap = await anext(events)
        assert isinstance(gap, TailGap)
        assert await rows(events, 5) == [6, 7, 8, 9, 10]
    async with tail(feed, FromCursor(gap.cursor)) as events:
        assert await rows(events, 5) == [6, 7, 8, 9, 10]


async def test_a_cursor_from_the_future_of_a_restored_database_is_announced() -> None:
    log = FakeLog()
    feed = LogFeed(log)
    log.commit(*[(1, 1)] * 10)
    async with tail(feed) as events:
        feed.publish(log.commit((1, 1)))
        cursor = (await anext(events)).cursor
    restored = FakeLog()
    feed = LogFeed(restored)
    restored.commit((1, 1))
    async with tail(feed, FromCursor(cursor)) as events:
        assert isinstance(await anext(events), TailGap)
        feed.publish(restored.commit((1, 1)))
        assert await rows(events, 1) == [2]


async def test_without_the_database_a_tail_does_not_begin() -> None:
    feed = LogFeed(FakeLog(away=True))
    with pytest.raises(UnavailableError):
        await anext(feed.tail(1, None, FromNow()))
    assert feed.readers == 0


async def test_a_reader_behind_waits_for_the_database_and_then_ends_with_a_cursor() -> None:
    log = FakeLog()
    log.commit(*[(1, 1)] * 3)
    feed = LogFeed(log, patience_s=10)
    loop = asyncio.get_running_loop()
    async with tail(feed, FromLast(3)) as events:
        log.away = True
        loop.call_later(5, setattr, log, "away", False)
        assert await rows(events, 3) == [1, 2, 3]
    async with tail(feed, FromLast(3)) as events:
        log.away = True
        began = loop.time()
        end = await anext(events)
        assert isinstance(end, TailEnd)
        assert end.reason is TailEndReason.STORAGE_UNAVAILABLE
        assert 10 <= loop.time() - began < 12
    log.away = False
    async with tail(feed, FromCursor(end.cursor)) as events:
        assert await rows(events, 3) == [1, 2, 3]


async def test_a_reader_at_the_end_outlives_an_outage() -> None:
    log = FakeLog()
    feed = LogFeed(log)
    async with tail(feed) as events:
        log.away = True
        for _ in range(5):
            assert isinstance(await anext(events), TailHeartbeat)
        log.away = False
        feed.publish(log.commit((1, 1)))
        assert await rows(events, 1) == [1]


async def test_a_foreign_cursor_is_refused() -> None:
    feed = LogFeed(FakeLog())
    async with contextlib.aclosing(feed.tail(1, None, FromNow())) as events:
        cursor = (await anext(events)).cursor
    with pytest.raises(InvalidArgumentError):
        await anext(feed.tail(2, None, FromCursor(cursor)))


async def test_a_slow_reader_leaves_the_ring_small_and_reads_from_the_table() -> None:
    log = FakeLog()
    feed = LogFeed(log, ring_rows=10)
    async with tail(feed) as slow, tail(feed) as quick:
        for _ in range(50):
            feed.publish(log.commit((1, 1), (1, 2)))
            await rows(quick, 2)
        assert len(feed._ring._batches) <= 6
        assert await rows(slow, 100) == list(range(1, 101))
    assert not feed._ring._batches


steps = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.lists(st.tuples(st.integers(1, 2), st.integers(1, 3)), max_size=8)),
        st.tuples(st.just("silent commit"), st.lists(st.tuples(st.just(1), st.integers(1, 3)), max_size=3)),
        st.tuples(st.just("read"), st.integers(1, 12)),
        st.tuples(st.just("reconnect"), st.none()),
        st.tuples(st.just("expire"), st.integers(0, 6)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("outage"), st.booleans()),
    ),
    max_size=60,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(steps, st.sampled_from([None, [1], [1, 3]]), st.integers(1, 12))
def test_each_row_comes_once_and_in_order_or_is_announced_as_lost(
    script: list[tuple[str, object]], monitors: list[int] | None, ring_rows: int
) -> None:
    """A model: whatever commits, disconnects, stalls, deletions and outages, nothing is missed in silence."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(_Model(monitors, ring_rows).play(script))


class _Model:
    def __init__(self, monitors: list[int] | None, ring_rows: int) -> None:
        self.log = FakeLog()
        self.feed = LogFeed(self.log, ring_rows=ring_rows, patience_s=3)
        self.monitors = monitors
        self.owed: list[int] = []
        """Positions that the reader has neither got nor been told to be lost."""
        self.cursor = ""
        self.events: Tail | None = None

    async def play(self, script: list[tuple[str, object]]) -> None:
        await self.read(0)
        for step, argument in script:
            match step, argument:
                case (("commit" | "silent commit"), list(wanted)):
                    self.commit(wanted, publish=step == "commit")
                case "read", int(count):
                    await self.read(count)
                case "reconnect", _:
                    await self.disconnect()
                case "expire", int(kept):
                    self.log.expire(self.log.last + 1 - kept)
                case "wait", int(seconds):
                    await asyncio.sleep(seconds)
                case "outage", bool(away):
                    self.log.away = away
        self.log.away = False
        await self.read(len(self.owed) + 5)
        await self.disconnect()
        assert self.owed == []

    def commit(self, wanted: list[tuple[int, int]], *, publish: bool) -> None:
        made = self.log.commit(*wanted)
        if publish:
            self.feed.publish(made)
        self.owed += [
            r.position for r in made.rows if r.org_id == 1 and (not self.monitors or r.monitor_id in self.monitors)
        ]

    async def disconnect(self) -> None:
        if self.events is not None:
            await self.events.aclose()
            self.events = None

    async def read(self, count: int) -> None:
        """Read until ``count`` events have come; a new stream counts its first heartbeat too."""
        for _ in range(count + 1):
            if self.events is None:
                start: TailStart = FromCursor(self.cursor) if self.cursor else FromNow()
                self.events = self.feed.tail(1, self.monitors, start)
            try:
                event = await anext(self.events)
            except UnavailableError:
                self.events = None
                return
            self.take(event)
            if isinstance(event, TailEnd):
                await self.disconnect()

    def take(self, event: TailEvent) -> None:
        self.cursor = event.cursor
        match event:
            case TailRow(_, entry):
                assert self.owed, f"{entry.position} came twice"
                assert entry.position == self.owed.pop(0)
            case TailGap():
                self.owed = [position for position in self.owed if position >= self.log.kept_from]
