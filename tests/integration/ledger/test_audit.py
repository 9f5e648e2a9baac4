"""Whatever slot has neither a row nor a gap is found (I5)."""

from monitord.domain.check import Trigger
from monitord.domain.instant import MINUTE, SECOND, Instant
from monitord.domain.monitor import Monitor
from monitord.storage.audit import Auditor, uncovered_slots
from tests.integration.ledger.conftest import World
from tests.support.stored import NOON, log_row, spec

WINDOW = (NOON, NOON + 10 * MINUTE)


def slots(monitor: Monitor, start: Instant = NOON, end: Instant = WINDOW[1]) -> list[Instant]:
    grid = monitor.grid
    return list(range(grid.at_or_after(start), end, grid.interval))


async def checked(world: World, monitor: Monitor, at: list[Instant], trigger: Trigger = Trigger.SCHEDULED) -> None:
    for slot in at:
        world.positions += 1
        await log_row(
            world.database, world.org_id, monitor.id, world.positions, at=slot + SECOND, scheduled_at=slot,
            trigger=trigger,
        )  # fmt: skip


async def test_what_is_covered_and_what_is_not(world: World) -> None:
    full, holed, gapped, rechecked, twice = [await world.monitor() for _ in range(5)]
    await checked(world, full, slots(full))
    await checked(world, holed, slots(holed)[:4] + slots(holed)[5:])
    own = slots(gapped)
    await checked(world, gapped, own[:3])
    await log_row(
        world.database, world.org_id, gapped.id, 1000, at=own[7], scheduled_at=own[3], gap_until=own[7],
        trigger=Trigger.GAP, verdict=None,
    )  # fmt: skip
    await checked(world, gapped, own[8:])
    await checked(world, rechecked, slots(rechecked), Trigger.RECHECK)
    # A slot checked twice does not make up for one that was not.
    await checked(world, twice, [*slots(twice)[:9], slots(twice)[0]])
    found = await uncovered_slots(world.database, *WINDOW)
    expected = {(holed.id, slots(holed)[4]), (gapped.id, own[7]), (twice.id, slots(twice)[9])}
    assert set(found.examples) == expected | {(rechecked.id, slot) for slot in slots(rechecked)}
    assert found.count == 13


async def test_a_pause_and_another_interval_owe_no_slots(world: World) -> None:
    monitor = await world.monitor()
    world.clock.now = NOON + 3 * MINUTE
    await world.store.set_active(world.org_id, monitor.id, False)
    world.clock.now = NOON + 5 * MINUTE
    resumed = (await world.store.set_active(world.org_id, monitor.id, True)).monitor
    world.clock.now = NOON + 7 * MINUTE
    name = monitor.spec.name
    slower = (await world.store.update(world.org_id, monitor.id, lambda _: spec(name, interval_s=120))).monitor
    await checked(world, monitor, slots(monitor, end=NOON + 3 * MINUTE))
    await checked(world, resumed, slots(resumed, NOON + 5 * MINUTE, NOON + 7 * MINUTE))
    assert {slot for _, slot in (await uncovered_slots(world.database, *WINDOW)).examples} == set(
        slots(slower, NOON + 7 * MINUTE)
    )
    await checked(world, slower, slots(slower, NOON + 7 * MINUTE))
    assert (await uncovered_slots(world.database, *WINDOW)).count == 0


async def test_the_auditor_looks_again_until_late_rows_have_come(world: World) -> None:
    monitor = await world.monitor()
    auditor = Auditor(world.database, clock=world.clock)
    seen: list[int | None] = [auditor.uncovered]
    world.clock.now = NOON + 5 * MINUTE + 90 * SECOND
    due = slots(monitor, end=NOON + 5 * MINUTE)
    await checked(world, monitor, due[:-2])
    await auditor.audit()
    seen.append(auditor.uncovered)
    world.clock.now += MINUTE
    await checked(world, monitor, [due[-1]])
    await auditor.audit()
    seen.append(auditor.uncovered)  # one of the two is new
    await checked(world, monitor, [due[-2], *slots(monitor, NOON + 5 * MINUTE, NOON + 6 * MINUTE)])
    await auditor.audit()
    assert [*seen, auditor.uncovered] == [None, 2, 2, 0]
