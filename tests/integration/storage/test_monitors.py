"""The store of monitors against a real Postgres."""

import asyncio

import msgspec
import pytest

from monitord.domain.check import Verdict
from monitord.domain.errors import AlreadyExistsError, EtagMismatchError, NotFoundError
from monitord.domain.health import Health, Status
from monitord.domain.instant import DAY, SECOND, from_datetime
from monitord.domain.kinds import HttpCheck
from monitord.domain.kinds.http import StatusRange
from monitord.domain.monitor import MonitorSpec
from monitord.domain.queries import MonitorOrder, MonitorQuery
from monitord.domain.secrets import Header
from monitord.storage.database import Database, connect, disconnect
from monitord.storage.monitors import MonitorStore
from tests.support.stored import NOON, Clock, PlainSealer, log_row, organisation, spec, transition

SECRET = Header("Authorization", "Bearer s3cret", secret=True)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def store(database: Database, clock: Clock) -> MonitorStore:
    return MonitorStore(database, PlainSealer(), clock=clock)


@pytest.fixture
async def org(database: Database) -> int:
    return await organisation(database)


async def _spans(database: Database, monitor_id: int) -> list[tuple[int, int | None, int]]:
    async with database.connection() as held:
        found = await held.fetch(
            "SELECT valid_from, valid_until, interval_s FROM monitor_schedules WHERE monitor_id = $1 ORDER BY 1",
            monitor_id,
        )
    return [(from_datetime(a), None if b is None else from_datetime(b), c) for a, b, c in found]


async def _transitions(database: Database, monitor_id: int) -> list[tuple[Status, Status, str]]:
    async with database.connection() as held:
        found = await held.fetch(
            "SELECT before, after, silence FROM monitor_transitions WHERE monitor_id = $1 ORDER BY id", monitor_id
        )
    return [(Status(row[0]), Status(row[1]), row[2]) for row in found]


async def test_what_is_created_is_read_back_whole(store: MonitorStore, org: int) -> None:
    check = HttpCheck(
        url="https://ü.example/x?y=1",
        method="POST",
        headers=(Header("Accept", "*/*"), SECRET),
        body=b"\x00\xff",
        accepted_status=(StatusRange(200, 204), StatusRange(418, 418)),
        keyword="ok",
        expected_latency_ms=250,
    )
    asked = MonitorSpec(name="näme", check=check, labels={"team": "ünï", "a.b/c": ""}, interval_s=30, timeout_ms=1500)
    created = await store.create(org, asked)
    assert created.monitor.spec == asked
    assert (created.monitor.version, created.monitor.created_at, created.last) == (1, NOON, None)
    assert created.health == Health(Status.PENDING, since=NOON)
    assert await store.get(org, created.monitor.id) == created


async def test_secrets_lie_sealed_apart_from_the_configuration(
    store: MonitorStore, org: int, database: Database
) -> None:
    """(T15)"""
    await store.create(org, spec(headers=(SECRET,)))
    async with database.connection() as held:
        row = await held.fetchrow("SELECT * FROM monitors")
    assert row is not None
    assert "s3cret" not in str(dict(row))
    assert row["secrets"] is not None


async def test_an_empty_secret_keeps_the_stored_one(store: MonitorStore, org: int) -> None:
    made = await store.create(org, spec(headers=(SECRET,)))

    def edit(old: MonitorSpec) -> MonitorSpec:
        blanked = Header("authorization", "", secret=True)
        return msgspec.structs.replace(old, check=msgspec.structs.replace(old.check, headers=(blanked,)))

    updated = await store.update(org, made.monitor.id, edit)
    assert updated.monitor.spec.check.headers == (Header("authorization", "Bearer s3cret", secret=True),)


async def test_a_name_is_taken_once_per_organisation(store: MonitorStore, org: int, database: Database) -> None:
    await store.create(org, spec("a"))
    with pytest.raises(AlreadyExistsError):
        await store.create(org, spec("a"))
    await store.create(await organisation(database, "other"), spec("a"))
    other = await store.create(org, spec("b"))
    with pytest.raises(AlreadyExistsError):
        await store.update(org, other.monitor.id, lambda old: msgspec.structs.replace(old, name="a"))


async def test_an_update_bumps_the_version_and_resets_streaks(
    store: MonitorStore, org: int, database: Database, clock: Clock
) -> None:
    """(I10)"""
    made = await store.create(org, spec())
    async with database.connection() as held:
        await held.execute(
            "UPDATE monitor_states SET status = $1, down_streak = 1, degraded_streak = 2, alive_streak = 3, "
            "up_streak = 4",
            Status.UP,
        )
    clock.now += SECOND
    changed = await store.update(org, made.monitor.id, lambda old: msgspec.structs.replace(old, timeout_ms=1))
    assert (changed.monitor.version, changed.monitor.updated_at) == (2, NOON + SECOND)
    assert changed.health == Health(Status.UP, since=NOON)
    assert await _spans(database, made.monitor.id) == [(NOON, None, 60)]


async def test_an_update_that_changes_nothing_writes_nothing(store: MonitorStore, org: int, clock: Clock) -> None:
    made = await store.create(org, spec())
    clock.now += SECOND
    assert await store.update(org, made.monitor.id, lambda old: old) == made


async def test_an_update_checks_the_expected_version(store: MonitorStore, org: int) -> None:
    made = await store.create(org, spec())
    with pytest.raises(EtagMismatchError):
        await store.update(org, made.monitor.id, lambda old: old, expected_version=2)
    with pytest.raises(EtagMismatchError):
        await store.delete(org, made.monitor.id, expected_version=2)
    await store.delete(org, made.monitor.id, expected_version=1)


async def test_concurrent_updates_are_all_applied(store: MonitorStore, org: int) -> None:
    made = await store.create(org, spec(timeout_ms=1))

    def more(old: MonitorSpec) -> MonitorSpec:
        return msgspec.structs.replace(old, timeout_ms=old.timeout_ms + 1)

    await asyncio.gather(*(store.update(org, made.monitor.id, more) for _ in range(8)))
    after = (await store.get(org, made.monitor.id)).monitor
    assert (after.spec.timeout_ms, after.version) == (9, 9)


async def test_a_new_interval_closes_the_span_and_opens_another(
    store: MonitorStore, org: int, database: Database, clock: Clock
) -> None:
    """(I5) The audit of slots knows which grid held when."""
    made = await store.create(org, spec())
    clock.now += 10 * SECOND
    await store.update(org, made.monitor.id, lambda old: msgspec.structs.replace(old, interval_s=30))
    change = NOON + 10 * SECOND
    assert await _spans(database, made.monitor.id) == [(NOON, change, 60), (change, None, 30)]


async def test_spans_do_not_overlap_when_the_clock_steps_back(
    store: MonitorStore, org: int, database: Database, clock: Clock
) -> None:
    made = await store.create(org, spec())
    clock.now -= 100 * SECOND
    await store.update(org, made.monitor.id, lambda old: msgspec.structs.replace(old, interval_s=30))
    assert await _spans(database, made.monitor.id) == [(NOON, NOON + 1, 60), (NOON + 1, None, 30)]


async def test_pause_and_resume(store: MonitorStore, org: int, database: Database, clock: Clock) -> None:
    made = await store.create(org, spec())
    clock.now += SECOND
    paused = await store.set_active(org, made.monitor.id, active=False)
    assert (paused.health.status, paused.health.since) == (Status.PAUSED, NOON + SECOND)
    assert (paused.monitor.version, paused.monitor.spec.active) == (2, False)
    assert await store.set_active(org, made.monitor.id, active=False) == paused
    clock.now += SECOND
    resumed = await store.set_active(org, made.monitor.id, active=True)
    assert (resumed.health.status, resumed.monitor.version) == (Status.PENDING, 3)
    assert await store.set_active(org, made.monitor.id, active=True) == resumed
    assert await _spans(database, made.monitor.id) == [
        (NOON, NOON + SECOND, 60),
        (NOON + 2 * SECOND, None, 60),
    ]
    assert await _transitions(database, made.monitor.id) == [
        (Status.PENDING, Status.PAUSED, "unremarkable"),
        (Status.PAUSED, Status.PENDING, "unremarkable"),
    ]


async def test_created_paused_it_owes_no_slots(store: MonitorStore, org: int, database: Database) -> None:
    made = await store.create(org, spec(active=False))
    assert made.health.status is Status.PAUSED
    assert await _spans(database, made.monitor.id) == []
    assert await _transitions(database, made.monitor.id) == [(Status.PENDING, Status.PAUSED, "unremarkable")]


async def test_a_pause_resolves_the_open_incident(store: MonitorStore, org: int, database: Database) -> None:
    made = await store.create(org, spec())
    opened_by = await transition(database, org, made.monitor.id, Status.UP, Status.DOWN, NOON)
    async with database.connection() as held:
        await held.execute(
            "INSERT INTO incidents (org_id, monitor_id, opened_at, opened_by) VALUES ($1, $2, now(), $3)",
            org,
            made.monitor.id,
            opened_by,
        )
        await held.execute("UPDATE monitor_states SET status = $1, judged = $1", Status.DOWN)
    await store.set_active(org, made.monitor.id, active=False)
    async with database.connection() as held:
        row = await held.fetchrow("SELECT resolved_at, resolved_by FROM incidents")
    assert row is not None
    assert row["resolved_by"] > opened_by


@pytest.mark.parametrize("by_update", [True, False])
async def test_a_faulted_monitor_gets_a_new_chance(
    store: MonitorStore, org: int, database: Database, by_update: bool
) -> None:
    made = await store.create(org, spec())
    async with database.connection() as held:
        await held.execute("UPDATE monitor_states SET status = $1", Status.FAULTED)
    if by_update:
        after = await store.update(org, made.monitor.id, lambda old: msgspec.structs.replace(old, timeout_ms=1))
    else:
        after = await store.set_active(org, made.monitor.id, active=True)
    assert (after.health.status, after.monitor.version) == (Status.PENDING, 2)
    assert await _transitions(database, made.monitor.id) == [(Status.FAULTED, Status.PENDING, "unremarkable")]


async def test_delete_takes_all_but_the_log_which_is_marked(store: MonitorStore, org: int, database: Database) -> None:
    made = await store.create(org, spec(active=False))
    await log_row(database, org, made.monitor.id, 1, at=NOON)
    await store.delete(org, made.monitor.id)
    with pytest.raises(NotFoundError):
        await store.get(org, made.monitor.id)
    async with database.connection() as held:
        assert await held.fetchval("SELECT count(*) FROM monitor_transitions") == 0
        assert await held.fetchval("SELECT monitor_id FROM monitor_purges") == made.monitor.id


@pytest.mark.parametrize("age", [0, 10 * DAY])
async def test_the_last_row_is_the_newest_however_old(
    store: MonitorStore, org: int, database: Database, clock: Clock, age: int
) -> None:
    made = await store.create(org, spec())
    for seq in (1, 2, 3):
        await log_row(database, org, made.monitor.id, seq, at=NOON + seq * SECOND, verdict=Verdict(seq))
    clock.now += 4 * SECOND + age
    last = (await store.get(org, made.monitor.id)).last
    assert last is not None
    assert (last.seq, last.verdict, last.response_time_ms) == (3, Verdict.DOWN, 12.5)
    assert [view.last for view in await store.list(org, MonitorQuery())] == [last]


async def test_changes_roll_back_with_the_callers_transaction(
    store: MonitorStore, org: int, database: Database
) -> None:
    async def failing() -> None:
        async with database.transaction() as tx:
            await store.create(org, spec(), tx=tx)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await store.list(org, MonitorQuery()) == []


async def test_a_change_is_hinted_to_other_processes(store: MonitorStore, org: int, database: Database) -> None:
    heard = asyncio.Event()
    listening = await connect(database.dsn)
    try:
        await listening.add_listener("monitord_monitors", lambda *_: heard.set())
        await store.create(org, spec())
        async with asyncio.timeout(10):
            await heard.wait()
    finally:
        await disconnect(listening)


async def test_another_organisations_monitors_do_not_exist(store: MonitorStore, org: int, database: Database) -> None:
    """(T9)"""
    stranger = await organisation(database, "stranger")
    mine = (await store.create(org, spec())).monitor.id
    for attempt in (
        store.get(stranger, mine),
        store.update(stranger, mine, lambda old: msgspec.structs.replace(old, timeout_ms=1)),
        store.set_active(stranger, mine, active=False),
        store.delete(stranger, mine),
    ):
        with pytest.raises(NotFoundError):
            await attempt
    assert await store.list(stranger, MonitorQuery()) == []
    assert await store.apply(stranger, [], prune=True, dry_run=False) == []
    assert (await store.get(org, mine)).monitor.version == 1


async def test_lists_are_filtered(store: MonitorStore, org: int, database: Database) -> None:
    a = (await store.create(org, spec("a", labels={"env": "prod", "team": "x"}))).monitor.id
    b = (await store.create(org, spec("b", labels={"env": "prod"}, active=False))).monitor.id
    c = (await store.create(org, spec("c"))).monitor.id

    async def ids(**conditions: object) -> list[int]:
        found = await store.list(org, MonitorQuery(**conditions))  # type: ignore[arg-type]
        return [view.monitor.id for view in found]

    assert await ids() == [a, b, c]
    assert await ids(labels={"env": "prod"}) == [a, b]
    assert await ids(labels={"env": "prod", "team": "x"}) == [a]
    assert await ids(active=False) == [b]
    assert await ids(statuses=(Status.PENDING,)) == [a, c]
    assert await ids(statuses=(Status.PAUSED, Status.UP)) == [b]
    assert await ids(types=("http",)) == [a, b, c]
    assert await ids(types=("icmp",)) == []
    assert await ids(names=("c", "a", "nobody")) == [a, c]
    assert await ids(names=("c", "b"), active=True) == [c]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (MonitorOrder.ID, "aBcé"),
        (MonitorOrder.ID_DESC, "écBa"),
        (MonitorOrder.NAME, "Bacé"),
        (MonitorOrder.NAME_DESC, "écaB"),
    ],
)
async def test_pages_join_up_in_every_order(store: MonitorStore, org: int, order: MonitorOrder, expected: str) -> None:
    """By code points: capitals first, whatever the database's language is."""
    for name in "aBcé":
        await store.create(org, spec(name))
    seen = ""
    after: int | str | None = None
    while page := await store.list(org, MonitorQuery(limit=3, order=order, after=after)):
        seen += "".join(view.monitor.spec.name for view in page)
        last = page[-1].monitor
        after = last.spec.name if order in (MonitorOrder.NAME, MonitorOrder.NAME_DESC) else last.id
    assert seen == expected
