"""Claims of the dead are free at once, claims of the living never; what kills us is given up in the end (I3, I4)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from monitord.domain.check import Verdict
from monitord.domain.instant import HOUR
from monitord.storage.claimant import Claimant
from monitord.storage.database import Database
from monitord.storage.orphans import Orphans
from monitord.storage.outbox import LEASE_S, Claims
from tests.integration.alerting.conftest import REFUSED, Desk
from tests.integration.ledger.conftest import until

DOWN = Verdict.DOWN


@contextlib.asynccontextmanager
async def living(database: Database) -> AsyncIterator[Claimant]:
    """Run a claimant for the block; at its end it dies as a process does: its connection ends."""
    claimant = Claimant(database.dsn)
    task = asyncio.create_task(claimant.run())
    await claimant.held(15)
    assert claimant.standing == claimant.number
    try:
        yield claimant
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert claimant.standing is None


def orphans(desk: Desk, own: int = 0) -> Orphans:
    return Orphans(desk.world.database, own, lambda least, most: most)


async def test_what_a_dead_process_was_sending_is_free_at_once(desk: Desk) -> None:
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    async with living(desk.world.database) as claimant:
        desk.claims = Claims(desk.world.database, lambda: claimant.standing)
        assert len(await desk.claim()) == 1
        assert await orphans(desk).free(desk.now) == 0, "it lives, and may be sending at this moment"
        assert await desk.claim() == []
    assert await orphans(desk, claimant.number).free(desk.now) == 0, "its own are never free to itself"
    assert await orphans(desk).free(desk.now) == 1
    (again,) = await desk.claim()
    assert again.attempt == 2
    assert await desk.attempts(contact) == [(0, 1, None, ""), (0, 2, None, "")]


async def test_a_claim_of_nobody_known_waits_for_its_lease(desk: Desk) -> None:
    monitor = await desk.monitor()
    await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    assert len(await desk.claim()) == 1
    assert await orphans(desk).free(desk.now) == 0
    desk.later(LEASE_S + 1)
    assert len(await desk.claim()) == 1


async def test_a_lost_connection_is_taken_up_again(desk: Desk) -> None:
    async with living(desk.world.database) as claimant:
        found = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1::bigint"
        before = await desk.world.value(found, claimant.number)
        await desk.world.value("SELECT pg_terminate_backend($1)", before)
        await until(lambda: claimant.standing is None)
        await claimant.held(15)
        assert await desk.world.value(found, claimant.number) not in (None, before)


async def test_a_message_that_kills_us_again_and_again_waits_longer_and_longer_and_ends(desk: Desk) -> None:
    """The first death costs no wait; from then on it may be the message's fault. A refusal in between clears it."""
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    for wait_s in (0, 10, 20, 40):
        await _die_with_it(desk)
        await _due_in(desk, wait_s)
    await desk.deliver(REFUSED)
    desk.later(600)
    await _die_with_it(desk)
    await _due_in(desk, 0)
    await _die_with_it(desk)
    desk.now += 24 * HOUR
    await orphans(desk).free(desk.now)
    assert await desk.claim() == []
    assert await desk.states(contact) == [("down", "dead", "gave up after a day; the last attempt never ended", 7)]


async def _die_with_it(desk: Desk) -> None:
    async with living(desk.world.database) as claimant:
        desk.claims = Claims(desk.world.database, lambda: claimant.standing)
        assert len(await desk.claim()) == 1
    assert await orphans(desk).free(desk.now) == 1


async def _due_in(desk: Desk, wait_s: float) -> None:
    due = await desk.world.value("SELECT min(due_at) FROM alerts WHERE state = 'pending'")
    if wait_s:
        assert await desk.world.value(
            "SELECT to_timestamp($1::double precision / 1e6) + $2 * interval '1 s' = $3", desk.now, wait_s, due
        )
        assert await desk.claim() == []
    desk.later(wait_s)


async def test_a_digest_of_the_dead_stays_one(desk: Desk) -> None:
    monitors = [await desk.monitor() for _ in range(6)]
    contact = await desk.world.contact(*monitors)
    for monitor in monitors:
        await desk.see(monitor, DOWN, DOWN)
    await desk.claim()
    desk.later(11)
    async with living(desk.world.database) as claimant:
        desk.claims = Claims(desk.world.database, lambda: claimant.standing)
        (first,) = await desk.claim()
    assert await orphans(desk).free(desk.now) == 6
    (again,) = await desk.claim()
    assert (again.alert_id, again.members, again.attempt) == (first.alert_id, first.members, 2)
    await desk.deliver(claims=[again])
    assert {row[1] for row in await desk.states(contact)} == {"sent"}
