"""With the database away nothing is decided, nothing is lost, and nothing happens twice (I17)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from monitord.domain.check import Verdict
from monitord.domain.errors import UnavailableError
from monitord.domain.health import Status
from monitord.storage.database import Database
from monitord.storage.migrate import migrate
from monitord.storage.private_server import PrivateServer
from tests.integration.ledger.conftest import World, record_all, running, until
from tests.integration.ledger.cut import Cut, proxy
from tests.support.scratch import scratch
from tests.support.stored import organisation

UP, DOWN = Verdict.UP, Verdict.DOWN
TRANSITIONS = "SELECT before, after, seq FROM monitor_transitions ORDER BY id"
ROWS = "SELECT position, seq, verdict FROM monitor_logs ORDER BY position"


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
@pytest.mark.parametrize("verdicts", [[UP], [DOWN, DOWN]])
async def test_a_commit_whose_answer_is_lost_happens_once(
    world: World, database_url: str, cut: Cut, verdicts: list[Verdict]
) -> None:
    async with proxy(database_url) as between:
        database = Database(between.dsn, pool_size=2)
        await database.open()
        ledger = world.ledger(database)
        monitor = await world.monitor(ledger)
        await world.contact(monitor)
        async with running(ledger) as commits:
            await ledger.record_and_wait(world.result(monitor))
            between.cut = cut
            record_all(ledger, [world.result(monitor, v) for v in verdicts])
            await asyncio.wait_for(ledger.flush(), 20)
            await ledger.record_and_wait(world.result(monitor))
        await database.close()
    assert between.cuts == 1
    count = len(verdicts) + 2
    assert await world.rows(ROWS) == [(i + 1, i + 1, verdict) for i, verdict in enumerate([UP, *verdicts, UP])]
    told = [entry.position for commit in commits for entry in commit.entries]
    assert told == list(range(1, count + 1))
    expected = 3 if verdicts == [DOWN, DOWN] else 1
    assert await world.value("SELECT count(*) FROM monitor_transitions") == expected
    assert await world.value("SELECT count(*) FROM alerts") == expected - 1


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
async def test_a_parking_whose_answer_is_lost_happens_once(world: World, database_url: str, cut: Cut) -> None:
    async with proxy(database_url) as between:
        database = Database(between.dsn, pool_size=2)
        await database.open()
        ledger = world.ledger(database)
        monitor = await world.monitor(ledger)
        async with running(ledger):
            await ledger.flush()
            await until(lambda: ledger._lease is not None)
            between.cut = cut
            await asyncio.wait_for(ledger.park(monitor, "crashed"), 20)
        await database.close()
    assert between.cuts == 1
    assert await world.rows(TRANSITIONS) == [(Status.PENDING, Status.FAULTED, None)]


@contextlib.asynccontextmanager
async def own_server() -> AsyncIterator[tuple[PrivateServer, str]]:
    with scratch() as folder:
        server = PrivateServer(Path(folder), settings={"fsync": "off", "shared_buffers": "16MB"})
        try:
            dsn = await server.start()
            await migrate(dsn)
            yield server, dsn
        finally:
            await server.stop()


async def test_an_outage_causes_no_transition_and_loses_none() -> None:
    async with own_server() as (server, dsn):
        database = Database(dsn, pool_size=2)
        await database.open()
        world = World(database, await organisation(database))
        ledger = world.ledger(spool_rows=1_000)
        flaky, steady, falls = [await world.monitor(ledger) for _ in range(3)]
        async with running(ledger) as commits:
            record_all(ledger, [world.result(m) for m in (flaky, steady, falls)])
            await ledger.flush()
            before = len(commits)
            await server.stop()
            for verdict in (DOWN, UP, DOWN, UP, UP, UP):
                ledger.record(world.result(flaky, verdict))
                ledger.record(world.result(steady))
                ledger.record(world.result(falls, DOWN if verdict is DOWN else UP))
            record_all(ledger, [world.result(falls, DOWN) for _ in range(3)])
            await until(lambda: ledger._failures >= 2)
            assert len(commits) == before
            assert ledger.spooled == 21
            with pytest.raises(UnavailableError):
                await world.counts()
            await server.start()
            await asyncio.wait_for(ledger.flush(), 30)
        rows = await world.rows("SELECT monitor_id, seq FROM monitor_logs ORDER BY position")
        for monitor in (flaky, steady, falls):
            seqs = [seq for monitor_id, seq in rows if monitor_id == monitor.id]
            assert seqs == list(range(1, len(seqs) + 1))
        assert len(rows) == 24
        changes = "SELECT after FROM monitor_transitions WHERE monitor_id = $1 ORDER BY id"
        assert await world.rows(changes, flaky.id) == await world.rows(changes, steady.id) == [(Status.UP,)]
        assert await world.rows(changes, falls.id) == [(Status.UP,), (Status.DOWN,)]
        await database.close()


async def test_a_row_that_postgres_refuses_blocks_nobody(world: World) -> None:
    ledger = world.ledger()
    monitors = [await world.monitor(ledger) for _ in range(20)]
    async with running(ledger):
        results = [world.result(m) for m in monitors for _ in range(3)]
        results[31] = world.result(monitors[10], DOWN, status_code=10**6, message="\ud800 half a pair")
        results.append(world.result(monitors[3], DOWN, message="half \ud800 a \0 pair"))
        record_all(ledger, results)
        await asyncio.wait_for(ledger.flush(), 20)
        await ledger.record_and_wait(world.result(monitors[0]))
    assert await world.value("SELECT count(*) FROM monitor_logs") == 62
    texts = await world.rows("SELECT message, verdict FROM monitor_logs WHERE message IS NOT NULL ORDER BY monitor_id")
    assert texts == [
        ("half ? a � pair", DOWN),
        ("What this check saw could not be stored; its verdict stands.", DOWN),
    ]
    assert ledger.dropped == 0
