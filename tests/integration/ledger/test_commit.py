"""Rows are stored in the order of their commits, numbered without holes, and told of afterwards."""

import asyncio

import pytest

from monitord.domain.check import Gap, GapReason, Trigger, Verdict
from monitord.domain.errors import NotFoundError
from monitord.domain.health import Status
from monitord.domain.instant import MINUTE
from monitord.storage.logs import LogStore
from tests.integration.ledger.conftest import World, adopt, running

LOG = "SELECT position, monitor_id, seq, verdict, counted FROM monitor_logs ORDER BY position"


async def test_rows_have_positions_and_sequences_without_holes(world: World) -> None:
    ledger = world.ledger()
    first, second = await world.monitor(ledger), await world.monitor(ledger)
    async with running(ledger) as commits:
        for _ in range(3):
            ledger.record(world.result(first))
            ledger.record(world.result(second))
        await ledger.flush()
        ledger.record(world.result(first))
        await ledger.flush()
    stored = await world.rows(LOG)
    assert [row[0] for row in stored] == [1, 2, 3, 4, 5, 6, 7]
    assert [row[2] for row in stored if row[1] == first.id] == [1, 2, 3, 4]
    assert [row[2] for row in stored if row[1] == second.id] == [1, 2, 3]
    assert [(c.first_position, c.last_position) for c in commits] == [(1, 6), (7, 7)]
    assert ledger.spooled == 0


async def test_what_listeners_are_told_is_what_readers_find(world: World) -> None:
    ledger = world.ledger()
    monitor = await world.monitor(ledger)
    async with running(ledger) as commits:
        ledger.record(world.result(monitor, status_code=200, address="127.0.0.1:80", bytes_received=7, redirects=2))
        ledger.record(world.result(monitor, Verdict.DOWN, message="a\0b", certificate_expires_at=9_999_999_999_000_001))
        ledger.record(world.result(monitor, dialled=False))
        slot = world.result(monitor).scheduled_at
        ledger.record_gap(Gap(monitor.id, world.org_id, 1, slot, slot + 3 * MINUTE, 3, GapReason.OVERRUN))
        await ledger.flush()
    stored = await LogStore(world.database).feed(world.org_id, None, 0, 0, 10)
    told = [entry for commit in commits for entry in commit.entries]
    assert [e.message for e in stored] == ["", "a�b", "", f"3 checks not made: {GapReason.OVERRUN}"]
    assert stored[0] == told[0]
    assert [e.response_time_ms for e in stored] == [e.response_time_ms for e in told] == [12.5, 12.5, None, None]
    assert (stored[3], stored[3].trigger, stored[3].counted) == (told[3], Trigger.GAP, False)
    assert stored[1].certificate_expires_at == told[1].certificate_expires_at == 9_999_999_999_000_001
    assert (await LogStore(world.database).get(world.org_id, monitor.id, 2)).evidence is not None
    assert told[1].evidence is None


async def test_an_echo_waits_for_others_and_news_do_not(world: World) -> None:
    """At most 250 ms of rows that change nothing can be lost (I6)."""
    ledger = world.ledger()
    monitor = await world.monitor(ledger)
    async with running(ledger) as commits:
        await ledger.record_and_wait(world.result(monitor))
        loop = asyncio.get_running_loop()
        loud = asyncio.Event()
        ledger.listeners.append(lambda commit: loud.set())
        began = loop.time()
        ledger.record(world.result(monitor))
        await asyncio.wait_for(loud.wait(), 5)
        assert loop.time() - began >= 0.2
        loud.clear()
        began = loop.time()
        ledger.record(world.result(monitor, Verdict.DOWN))
        await asyncio.wait_for(loud.wait(), 5)
        assert loop.time() - began < 0.2
    assert [c.row_count for c in commits] == [1, 1, 1]


async def test_who_waits_gets_the_row_with_its_evidence(world: World) -> None:
    ledger = world.ledger()
    monitor = await world.monitor(ledger)
    async with running(ledger):
        entry = await ledger.record_and_wait(world.result(monitor, Verdict.DOWN, Trigger.MANUAL))
    assert (entry.seq, entry.position, entry.counted, entry.verdict) == (1, 1, True, Verdict.DOWN)
    assert entry.evidence is not None


async def test_a_monitor_that_is_gone_gets_no_row(world: World) -> None:
    ledger = world.ledger()
    monitor, other = await world.monitor(ledger), await world.monitor(ledger)
    await world.store.delete(world.org_id, monitor.id)
    async with running(ledger):
        ledger.record(world.result(other))
        with pytest.raises(NotFoundError):
            await ledger.record_and_wait(world.result(monitor))
        ledger.record(world.result(other))
        await ledger.flush()
    assert [row[:3] for row in await world.rows(LOG)] == [(1, other.id, 1), (2, other.id, 2)]


async def test_a_check_of_a_paused_monitor_is_kept_and_counts_for_nothing(world: World) -> None:
    ledger = world.ledger()
    monitor = await world.monitor()
    paused = (await world.store.set_active(world.org_id, monitor.id, False)).monitor
    async with running(ledger):
        entries = [await ledger.record_and_wait(world.result(paused, trigger=Trigger.MANUAL)) for _ in range(2)]
        assert [(e.seq, e.counted) for e in entries] == [(1, False), (2, False)]
        # What the engine read before those two were committed must not take their numbers again.
        resumed = await world.store.set_active(world.org_id, monitor.id, True)
        adopt(ledger, resumed.monitor, resumed.health, last_seq=0)
        assert (await ledger.record_and_wait(world.result(resumed.monitor))).seq == 3
    assert (await world.health(monitor)).status is Status.UP


async def test_a_restart_goes_on_with_the_sequence(world: World) -> None:
    first = world.ledger()
    monitor = await world.monitor(first)
    async with running(first):
        await first.record_and_wait(world.result(monitor))
    second = world.ledger()
    view = await world.store.get(world.org_id, monitor.id)
    adopt(second, view.monitor, view.health, last_seq=1)
    async with running(second):
        entry = await second.record_and_wait(world.result(monitor))
    assert (entry.seq, entry.position) == (2, 2)


async def test_closing_commits_what_there_is(world: World) -> None:
    ledger = world.ledger()
    monitor = await world.monitor(ledger)
    async with running(ledger):
        for _ in range(1_200):
            ledger.record(world.result(monitor))
        assert await ledger.close(10) == 0
    assert await world.value("SELECT max(position) FROM monitor_logs") == 1_200
