"""One writer (I7), and no result that began before a change counts (I10)."""

import asyncio

import pytest

from monitord.domain.check import Verdict
from monitord.domain.errors import UnavailableError
from monitord.domain.health import Status
from monitord.storage.ledger import OwnershipLostError
from tests.integration.ledger.conftest import World, adopt, running, until
from tests.support.stored import spec

COUNTED = "SELECT monitor_version, counted FROM monitor_logs ORDER BY position"


async def somebody_waits(world: World) -> None:
    """Wait until somebody waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(10):
        while not await world.value(waiting):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_former_owners_write_fails(world: World) -> None:
    former, owner = world.ledger(), world.ledger()
    monitor = await world.monitor(former)
    adopt(owner, monitor, await world.health(monitor), last_seq=1)
    frozen = asyncio.create_task(former.run())
    await former.record_and_wait(world.result(monitor))
    async with running(owner):
        await owner.flush()
        await until(lambda: owner._lease is not None)
        waiting = asyncio.create_task(former.record_and_wait(world.result(monitor)))
        with pytest.raises(OwnershipLostError, match="took over"):
            await asyncio.wait_for(frozen, 10)
        with pytest.raises(UnavailableError):
            await waiting
        assert await asyncio.wait_for(former.close(60), 1) == 1  # it does not wait for what can't come
        assert (await owner.record_and_wait(world.result(monitor))).seq == 2
    assert await world.rows("SELECT seq, position FROM monitor_logs ORDER BY position") == [(1, 1), (2, 2)]


async def test_a_result_from_before_a_change_is_kept_and_counts_for_nothing(world: World) -> None:
    """The engine has not told the ledger of the change yet: the database knows."""
    ledger = world.ledger()
    monitor = await world.monitor(ledger)
    async with running(ledger):
        await ledger.record_and_wait(world.result(monitor))
        changed = (await world.store.update(world.org_id, monitor.id, lambda _: spec("changed", timeout_ms=9))).monitor
        ledger.record(world.result(monitor))  # an echo
        ledger.record(world.result(monitor, Verdict.DOWN))
        ledger.record(world.result(monitor, Verdict.DOWN))
        await ledger.flush()
        assert (await world.health(monitor)).status is Status.UP
        ledger.record(world.result(changed, Verdict.DOWN))  # the ledger has read the new version by itself
        ledger.record(world.result(changed, Verdict.DOWN))
        await ledger.flush()
    assert await world.rows(COUNTED) == [(1, True), (1, False), (1, False), (1, False), (2, True), (2, True)]
    assert (await world.health(monitor)).status is Status.DOWN


async def test_an_echo_from_before_a_pause_counts_for_nothing(world: World) -> None:
    ledger = world.ledger()
    monitor = await world.monitor(ledger)
    async with running(ledger):
        await ledger.record_and_wait(world.result(monitor))
        for _ in range(12):
            ledger.record(world.result(monitor))
        await ledger.flush()  # from here on its echoes take the shortest way
        await world.store.set_active(world.org_id, monitor.id, False)
        ledger.record(world.result(monitor))
        await ledger.flush()
    assert (await world.rows(COUNTED))[-1] == (1, False)
    assert (await world.health(monitor)).status is Status.PAUSED


async def test_a_change_under_way_is_waited_for(world: World) -> None:
    ledger = world.ledger()
    monitor = await world.monitor(ledger, failure_threshold=1)
    async with running(ledger):
        await ledger.record_and_wait(world.result(monitor))
        async with world.database.transaction() as tx:
            await world.store.update(world.org_id, monitor.id, lambda s: spec("changed", failure_threshold=1), tx=tx)
            ledger.record(world.result(monitor, Verdict.DOWN))
            await somebody_waits(world)
        await ledger.flush()
    assert (await world.rows(COUNTED))[-1] == (1, False)
    assert (await world.health(monitor)).status is Status.UP


async def test_a_version_adopted_while_a_batch_is_under_way_stays_as_it_was_read(world: World) -> None:
    ledger = world.ledger()
    monitor = await world.monitor(ledger, failure_threshold=1)
    async with running(ledger):
        await ledger.record_and_wait(world.result(monitor))
        async with world.database.transaction() as tx:
            changed = await world.store.update(
                world.org_id, monitor.id, lambda s: spec("changed", failure_threshold=1), tx=tx
            )
            ledger.record(world.result(monitor, Verdict.DOWN))
            await somebody_waits(world)
            adopt(ledger, changed.monitor, changed.health, last_seq=0)
        await ledger.flush()
        entry = await ledger.record_and_wait(world.result(changed.monitor, Verdict.DOWN))
    assert (entry.seq, entry.counted) == (3, True)
    assert await world.rows(COUNTED) == [(1, True), (1, False), (2, True)]
    assert (await world.health(monitor)).status is Status.DOWN
