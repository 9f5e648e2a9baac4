"""The days of the log, and the janitor's rounds."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest

from monitord.domain.check import Verdict
from monitord.domain.errors import NotFoundError
from monitord.domain.instant import DAY, HOUR, Instant, to_datetime
from monitord.domain.queries import LogQuery
from monitord.domain.tail import FromCursor, TailGap, TailRow
from monitord.storage import partitions
from monitord.storage.database import Database
from monitord.storage.janitor import Janitor
from monitord.storage.logs import LogStore
from monitord.storage.monitors import MonitorStore
from monitord.streaming.cursor import Cursors
from monitord.streaming.feed import LogFeed
from tests.support.stored import NOON, Clock, PlainSealer, log_row, organisation, planned, spec


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def janitor(database: Database, clock: Clock) -> Janitor:
    return Janitor(database, retention_days=30, clock=clock)


@pytest.fixture
async def org(database: Database) -> int:
    return await organisation(database)


async def _where(database: Database) -> dict[int, str]:
    async with database.connection() as held:
        return {row[0]: row[1] for row in await held.fetch("SELECT seq, tableoid::regclass::text FROM monitor_logs")}


def _partition(at: Instant, parent: str = "monitor_logs") -> str:
    return f"{parent}_{to_datetime(at):%Y%m%d}"


async def test_days_from_yesterday_to_a_week_ahead_are_there(
    janitor: Janitor, database: Database, org: int, clock: Clock
) -> None:
    clock.now = NOON + 100 * DAY
    await janitor.prepare()
    for seq, day in enumerate(range(99, 108), 1):
        await log_row(database, org, 1, seq, at=NOON + day * DAY)
    await log_row(database, org, 1, 10, at=NOON + 108 * DAY)
    where = await _where(database)
    assert where.pop(10) == "monitor_logs_default"
    assert where == {seq: _partition(NOON + day * DAY) for seq, day in enumerate(range(99, 108), 1)}


async def test_making_them_again_or_at_the_same_time_changes_nothing(database: Database) -> None:
    now = datetime(2031, 5, 6, tzinfo=UTC)

    async def create() -> list[str]:
        async with database.connection() as held:
            return await partitions.create_ahead(held, now)

    await asyncio.gather(create(), create(), create())
    assert await create() == []


async def test_stray_rows_move_to_their_day(janitor: Janitor, database: Database, org: int, clock: Clock) -> None:
    """The clock was far off for a while, or nobody made partitions."""
    clock.now = NOON + 100 * DAY
    await log_row(database, org, 1, 1, at=clock.now)
    await log_row(database, org, 1, 2, at=clock.now + DAY)
    assert set((await _where(database)).values()) == {"monitor_logs_default"}
    await janitor.prepare()
    assert await _where(database) == {1: _partition(clock.now), 2: _partition(clock.now + DAY)}


async def test_writers_go_on_while_partitions_are_made(janitor: Janitor, database: Database, org: int) -> None:
    """An open transaction that has written to today's partition holds up nobody, nor is it held up."""
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO monitor_logs (org_id, monitor_id, seq, position, shard, trigger, counted, monitor_version, "
            "scheduled_at, checked_at) VALUES ($1, 1, 1, 1, 0, 1, true, 1, $2, $2)",
            org,
            to_datetime(NOON),
        )
        async with asyncio.timeout(20), database.connection() as held:
            assert await partitions.create_ahead(held, datetime(2031, 5, 6, tzinfo=UTC))


async def test_days_beyond_the_retention_are_dropped_and_tails_can_tell(
    janitor: Janitor, database: Database, org: int, clock: Clock
) -> None:
    """(I15)"""
    logs, other = LogStore(database, clock=clock), await organisation(database, "other")
    await log_row(database, org, 1, 1, at=NOON, position=1)
    await log_row(database, other, 2, 9, at=NOON, position=2)
    await log_row(database, org, 1, 2, at=NOON + DAY, position=3)
    clock.now = NOON + 30 * DAY
    assert await janitor.tidy()
    assert (len(await _where(database)), await logs.oldest_position(org, 0)) == (3, 1)
    clock.now += DAY
    assert await janitor.tidy()
    assert await _where(database) == {2: _partition(NOON + DAY)}
    assert await logs.oldest_position(org, 0) == 3
    async with database.connection() as held:
        for parent in partitions.PARTITIONED:
            assert await held.fetchval("SELECT to_regclass($1)", _partition(NOON, parent)) is None
            assert await held.fetchval("SELECT to_regclass($1)", _partition(NOON + DAY, parent)) is not None


async def test_old_stray_rows_are_deleted(janitor: Janitor, database: Database, org: int) -> None:
    await log_row(database, org, 1, 1, at=NOON - 40 * DAY)
    await log_row(database, org, 1, 2, at=NOON - 20 * DAY)
    assert await janitor.tidy()
    assert set(await _where(database)) == {2}


async def test_rows_of_deleted_monitors_go_and_stragglers_too(
    janitor: Janitor, database: Database, org: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitord.storage.janitor._CHUNK", 2)
    store = MonitorStore(database, PlainSealer(), clock=clock)
    gone, kept = [(await store.create(org, spec(name))).monitor.id for name in ("gone", "kept")]
    for seq in range(1, 6):
        await log_row(database, org, gone, seq, at=NOON, position=seq)
    await log_row(database, org, kept, 1, at=NOON, position=6)
    await store.delete(org, gone)
    assert await janitor.tidy()
    assert set(await _where(database)) == {1}
    await log_row(database, org, gone, 6, at=NOON, position=7, verdict=Verdict.DOWN)
    clock.now += 2 * HOUR
    assert await janitor.tidy()
    async with database.connection() as held:
        assert await held.fetchval("SELECT array_agg(monitor_id) FROM monitor_logs") == [kept]
        assert await held.fetchval("SELECT count(*) FROM monitor_purges") == 0


async def test_old_answers_and_sessions_go(janitor: Janitor, database: Database, org: int) -> None:
    async with database.connection() as held:
        await held.execute(
            "INSERT INTO users (org_id, email) VALUES ($1, 'a@b');",
            org,
        )
        for hours in (23, 25):
            moment = to_datetime(NOON - hours * HOUR)
            await held.execute(
                "INSERT INTO request_ids VALUES ($1, $2, 'Create', '', '', $3)", org, str(hours).encode(), moment
            )
            await held.execute(
                "INSERT INTO sessions (id, user_id, refresh_hash, expires_at) "
                "SELECT gen_random_uuid(), id, $1, $2 FROM users",
                str(hours).encode(),
                moment,
            )
    assert await janitor.tidy()
    async with database.connection() as held:
        assert await held.fetchval("SELECT array_agg(id_hash) FROM request_ids") == [b"23"]
        assert await held.fetchval("SELECT array_agg(refresh_hash) FROM sessions") == [b"23"]


async def test_an_outage_only_delays_the_round(database: Database, clock: Clock) -> None:
    await database.close()
    assert not await Janitor(database, retention_days=30, clock=clock).tidy()
    await database.open()
    assert await Janitor(database, retention_days=30, clock=clock).tidy()


async def test_a_plan_that_keeps_less_takes_only_its_own_organisations_rows(
    janitor: Janitor, database: Database, org: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tails of that organisation alone are told (I15)."""
    monkeypatch.setattr("monitord.storage.plan_retention.BATCH", 2)
    logs, other = LogStore(database, clock=clock), await organisation(database, "other")
    roomy = await organisation(database, "roomy")
    await planned(database, org, "SHORT", retention_days=3)
    await planned(database, roomy, "LONG", retention_days=300)
    monitor = (await MonitorStore(database, PlainSealer(), clock=clock).create(org, spec())).monitor.id
    clock.now = NOON + DAY
    await janitor.prepare()
    for seq in range(1, 6):
        await log_row(database, org, monitor, seq, at=NOON, position=seq)
    await log_row(database, other, 7, 6, at=NOON, position=6)
    await log_row(database, roomy, 8, 7, at=NOON, position=7)
    await log_row(database, org, monitor, 8, at=NOON + DAY, position=8)
    async with database.connection() as held:
        await held.execute(
            "INSERT INTO check_evidence (org_id, monitor_id, seq, checked_at, evidence) "
            "SELECT org_id, monitor_id, seq, checked_at, '' FROM monitor_logs"
        )
    clock.now = NOON + 3 * DAY
    assert await janitor.tidy()
    assert len(await _where(database)) == 8
    assert [entry.seq for entry in await logs.page(org, LogQuery(monitor_id=monitor, limit=9))] == [8, 5, 4, 3, 2, 1]

    clock.now += 12 * HOUR
    # Not shown from midnight on, whenever the janitor comes.
    assert [entry.seq for entry in await logs.page(org, LogQuery(monitor_id=monitor, limit=9))] == [8]
    early = LogQuery(monitor_id=monitor, limit=9, start=NOON - DAY)
    assert [entry.seq for entry in await logs.page(org, early)] == [8]
    with pytest.raises(NotFoundError):
        await logs.get(org, monitor, 5, with_evidence=False)
    assert (await logs.get(org, monitor, 8, with_evidence=False)).seq == 8
    assert await logs.oldest_position(org, 0) == 1
    assert await janitor.tidy()
    assert set(await _where(database)) == {6, 7, 8}
    async with database.connection() as held:
        assert {row[0] for row in await held.fetch("SELECT seq FROM check_evidence")} == {6, 7, 8}
    assert [await logs.oldest_position(whose, 0) for whose in (org, other, roomy)] == [6, 1, 1]
    assert await janitor.tidy()


async def test_a_tail_that_comes_back_behind_its_plans_retention_is_told_of_the_gap(
    janitor: Janitor, database: Database, org: int, clock: Clock
) -> None:
    """(I15)"""
    logs, other = LogStore(database, clock=clock), await organisation(database, "other")
    await planned(database, org, "SHORT", retention_days=1)
    for seq, day in enumerate((0, 0, 2), 1):
        await log_row(database, org, 1, seq, at=NOON + day * DAY, position=2 * seq - 1)
        await log_row(database, other, 2, seq, at=NOON + day * DAY, position=2 * seq)
    clock.now = NOON + 2 * DAY
    assert await janitor.tidy()
    seen: dict[int, list[object]] = {}
    for whose, monitor in ((org, 1), (other, 2)):
        cursor = Cursors(whose, None).write([1])
        tail = LogFeed(logs).tail(whose, None, FromCursor(cursor))
        seen[monitor] = []
        async with contextlib.aclosing(tail), asyncio.timeout(10):
            async for event in tail:
                match event:
                    case TailGap():
                        seen[monitor].append("gap")
                    case TailRow(_, entry):
                        seen[monitor].append(entry.seq)
                if seen[monitor][-1:] == [3]:
                    break
    assert seen == {1: ["gap", 3], 2: [1, 2, 3]}
