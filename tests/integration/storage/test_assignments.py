"""Where each monitor stands, as the engine reads it after a restart."""

import pytest

from monitord.domain.check import Trigger
from monitord.domain.health import Status
from monitord.domain.instant import DAY, MINUTE, SECOND
from monitord.domain.monitor import Assignment
from monitord.domain.secrets import Header
from monitord.storage import assignments
from monitord.storage.assignments import Assignments
from monitord.storage.database import Database
from monitord.storage.monitors import MonitorStore
from tests.support.stored import NOON, Clock, PlainSealer, log_row, organisation, spec


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def store(database: Database, clock: Clock) -> MonitorStore:
    return MonitorStore(database, PlainSealer(), clock=clock)


@pytest.fixture
def source(database: Database, clock: Clock) -> Assignments:
    return Assignments(database, PlainSealer(), clock=clock)


@pytest.fixture
async def org(database: Database) -> int:
    return await organisation(database)


async def _one(source: Assignments, monitor_id: int) -> Assignment:
    (loaded,) = await source.load([monitor_id])
    return loaded


async def test_versions_are_those_of_active_monitors_of_all(
    source: Assignments, store: MonitorStore, org: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assignments, "_PAGE", 2)
    other = await organisation(database, "other")
    ids = [(await store.create(org, spec(f"m{n}"))).monitor.id for n in range(4)]
    theirs = (await store.create(other, spec("theirs"))).monitor.id
    await store.set_active(org, ids[0], active=False)
    await store.update(org, ids[1], lambda old: spec("renamed"))
    assert await source.versions() == {ids[1]: 2, ids[2]: 1, ids[3]: 1, theirs: 1}


async def test_a_new_monitor_begins_at_its_creation(source: Assignments, store: MonitorStore, org: int) -> None:
    made = await store.create(org, spec(headers=(Header("A", "b", secret=True),)))
    assert await source.load([made.monitor.id, 4711]) == [
        Assignment(monitor=made.monitor, health=made.health, last_seq=0, covered_until=NOON)
    ]


async def test_a_paused_one_is_loaded_too(source: Assignments, store: MonitorStore, org: int) -> None:
    made = await store.create(org, spec(active=False))
    assert (await _one(source, made.monitor.id)).health.status is Status.PAUSED


async def test_goes_on_after_the_last_slot(
    source: Assignments, store: MonitorStore, org: int, database: Database, clock: Clock
) -> None:
    """(I5) Re-checks and checks by hand cover no slot."""
    monitor_id = (await store.create(org, spec())).monitor.id
    slot = NOON + MINUTE
    await log_row(database, org, monitor_id, 1, at=slot + 7, scheduled_at=slot)
    await log_row(database, org, monitor_id, 2, at=slot + 10 * SECOND, trigger=Trigger.RECHECK)
    await log_row(database, org, monitor_id, 3, at=slot + 20 * SECOND, trigger=Trigger.MANUAL)
    clock.now = slot + 30 * SECOND
    loaded = await _one(source, monitor_id)
    assert (loaded.last_seq, loaded.covered_until) == (3, slot + 1)


async def test_finds_the_last_slot_behind_many_other_checks(
    source: Assignments, store: MonitorStore, org: int, database: Database, clock: Clock
) -> None:
    monitor_id = (await store.create(org, spec())).monitor.id
    slot = NOON + MINUTE
    await log_row(database, org, monitor_id, 1, at=slot)
    for seq in range(2, 14):
        await log_row(database, org, monitor_id, seq, at=slot + seq * SECOND, trigger=Trigger.MANUAL)
    clock.now = slot + 30 * SECOND
    loaded = await _one(source, monitor_id)
    assert (loaded.last_seq, loaded.covered_until) == (13, slot + 1)


async def test_goes_on_after_a_gap_also_one_recorded_before_the_last_check(
    source: Assignments, store: MonitorStore, org: int, database: Database, clock: Clock
) -> None:
    monitor_id = (await store.create(org, spec())).monitor.id
    end = NOON + 5 * MINUTE
    await log_row(
        database, org, monitor_id, 1, at=end, scheduled_at=NOON + 2 * MINUTE, trigger=Trigger.GAP, gap_until=end
    )
    await log_row(database, org, monitor_id, 2, at=NOON + MINUTE)
    clock.now = end + SECOND
    loaded = await _one(source, monitor_id)
    assert (loaded.last_seq, loaded.covered_until) == (2, end)


async def test_owes_nothing_from_before_the_present_span(
    source: Assignments, store: MonitorStore, org: int, database: Database, clock: Clock
) -> None:
    monitor_id = (await store.create(org, spec())).monitor.id
    await log_row(database, org, monitor_id, 1, at=NOON + MINUTE)
    clock.now = NOON + 10 * MINUTE
    await store.set_active(org, monitor_id, active=False)
    clock.now = NOON + 20 * MINUTE
    await store.set_active(org, monitor_id, active=True)
    loaded = await _one(source, monitor_id)
    assert (loaded.last_seq, loaded.covered_until) == (1, NOON + 20 * MINUTE)


async def test_a_monitor_silent_for_long_keeps_its_sequence(
    source: Assignments, store: MonitorStore, org: int, database: Database, clock: Clock
) -> None:
    """(I7) Also while others of its organisation have recent rows."""
    silent = (await store.create(org, spec("silent"))).monitor.id
    busy = (await store.create(org, spec("busy"))).monitor.id
    await log_row(database, org, silent, 7, at=NOON, position=1)
    clock.now = NOON + 10 * DAY
    await log_row(database, org, busy, 1, at=clock.now, position=2)
    assert (await _one(source, silent)).last_seq == 7
    assert (await _one(source, busy)).last_seq == 1


async def test_the_last_sequence_is_true_after_the_clock_was_wrong(
    source: Assignments, store: MonitorStore, org: int, database: Database, clock: Clock
) -> None:
    """(I7) Rows made while the clock was a month behind are newer than those of today."""
    monitor_id = (await store.create(org, spec())).monitor.id
    await log_row(database, org, monitor_id, 1, at=NOON)
    await log_row(database, org, monitor_id, 2, at=NOON - 30 * DAY)
    clock.now = NOON + MINUTE
    assert (await _one(source, monitor_id)).last_seq == 2


async def test_rows_from_the_future_do_not_stop_the_checks(
    source: Assignments, store: MonitorStore, org: int, database: Database, clock: Clock
) -> None:
    monitor_id = (await store.create(org, spec())).monitor.id
    await log_row(database, org, monitor_id, 1, at=NOON + 30 * DAY)
    clock.now = NOON + MINUTE
    assert (await _one(source, monitor_id)).covered_until == NOON + MINUTE
