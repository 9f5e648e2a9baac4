"""Reading the check log."""

import msgspec
import pytest

from monitord.domain.check import Evidence, Step, Trigger, Verdict
from monitord.domain.errors import NotFoundError
from monitord.domain.health import Status
from monitord.domain.instant import DAY, HOUR, MINUTE, SECOND, to_datetime
from monitord.domain.log import LogEntry
from monitord.domain.queries import LogQuery, ResponseTimes
from monitord.storage.database import Database
from monitord.storage.logs import LogStore
from monitord.storage.monitors import MonitorStore
from tests.support.stored import NOON, Clock, PlainSealer, log_row, organisation, spec, transition


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def logs(database: Database, clock: Clock) -> LogStore:
    return LogStore(database, clock=clock)


@pytest.fixture
async def org(database: Database) -> int:
    return await organisation(database)


@pytest.fixture
async def web(database: Database, org: int, clock: Clock) -> int:
    store = MonitorStore(database, PlainSealer(), clock=clock)
    return (await store.create(org, spec())).monitor.id


def _seqs(entries: list[LogEntry]) -> list[int]:
    return [entry.seq for entry in entries]


async def test_pages_join_up_newest_first(logs: LogStore, org: int, web: int, database: Database) -> None:
    for seq in range(1, 6):
        await log_row(database, org, web, seq, at=NOON + seq * 12 * HOUR)
    first = await logs.page(org, LogQuery(monitor_id=web, limit=3))
    rest = await logs.page(org, LogQuery(monitor_id=web, limit=3, before_seq=first[-1].seq))
    assert _seqs(first + rest) == [5, 4, 3, 2, 1]


async def test_pages_are_filtered(logs: LogStore, org: int, web: int, database: Database) -> None:
    for seq in (1, 2, 3):
        await log_row(database, org, web, seq, at=NOON + seq * SECOND, verdict=Verdict(seq))
    await log_row(
        database,
        org,
        web,
        4,
        at=NOON + 4 * SECOND,
        verdict=None,
        trigger=Trigger.GAP,
        gap_until=NOON,
        response_time=None,
    )

    async def seqs(**conditions: object) -> list[int]:
        return _seqs(await logs.page(org, LogQuery(monitor_id=web, **conditions)))  # type: ignore[arg-type]

    assert await seqs() == [4, 3, 2, 1]
    assert await seqs(start=NOON + 2 * SECOND) == [4, 3, 2]
    assert await seqs(end=NOON + 2 * SECOND) == [1]
    assert await seqs(verdicts=(Verdict.UP, Verdict.DOWN)) == [3, 1]


async def test_a_row_comes_with_its_evidence(logs: LogStore, org: int, web: int, database: Database) -> None:
    await log_row(database, org, web, 1, at=NOON)
    evidence = Evidence(steps=(Step(0.5, "dns", "resolved"),), body_excerpt=b"\x00\xff")
    async with database.connection() as held:
        await held.execute(
            "INSERT INTO check_evidence VALUES ($1, $2, 1, $3, $4)",
            org,
            web,
            to_datetime(NOON),
            msgspec.msgpack.encode(evidence),
        )
    assert (await logs.get(org, web, 1)).evidence == evidence
    assert (await logs.get(org, web, 1, with_evidence=False)).evidence is None
    with pytest.raises(NotFoundError):
        await logs.get(org, web, 2)


async def test_another_organisations_log_does_not_exist(logs: LogStore, org: int, web: int, database: Database) -> None:
    """(T9)"""
    await log_row(database, org, web, 1, at=NOON)
    stranger = await organisation(database, "stranger")
    for attempt in (
        logs.page(stranger, LogQuery(monitor_id=web)),
        logs.get(stranger, web, 1),
        logs.metrics(stranger, web, NOON - DAY, NOON),
    ):
        with pytest.raises(NotFoundError):
            await attempt
    assert await logs.feed(stranger, None, 0, 0, 10) == []
    assert await logs.feed(stranger, [web], 0, 0, 10) == []
    assert await logs.position_of_last(stranger, [web], 1) == await logs.head(0) == 1
    assert await logs.position_at(stranger, [web], 0) == 1


async def test_a_feed_follows_positions(logs: LogStore, org: int, web: int, database: Database) -> None:
    """(I15)"""
    other = web + 1
    for position, monitor_id in enumerate((web, other, web, other, web), 1):
        await log_row(database, org, monitor_id, position, at=NOON, position=position)

    async def positions(ids: list[int] | None, after: int, limit: int = 10) -> list[int]:
        return [entry.position for entry in await logs.feed(org, ids, 0, after, limit)]

    assert await positions(None, 0, 2) == [1, 2]
    assert await positions(None, 2) == [3, 4, 5]
    assert await positions([web], 1) == [3, 5]
    assert await positions([], 0) == []
    assert await positions(None, 5) == []
    assert await logs.head(0) == 5


async def test_a_tail_begins_with_the_last_rows(logs: LogStore, org: int, web: int, database: Database) -> None:
    other = web + 1
    for position, monitor_id in enumerate((web, other, web, other, web), 1):
        await log_row(database, org, monitor_id, position, at=NOON, position=position)
    assert [await logs.position_of_last(org, None, n) for n in (1, 2, 99)] == [4, 3, 0]
    assert [await logs.position_of_last(org, [web], n) for n in (1, 2, 99)] == [4, 2, 0]
    assert [await logs.position_of_last(org, [web, other], n) for n in (1, 2, 99)] == [4, 3, 0]


async def test_a_tail_begins_at_a_moment(logs: LogStore, org: int, web: int, database: Database) -> None:
    moments = [NOON, NOON + HOUR, NOON + HOUR + 50 * SECOND, NOON + HOUR + 20 * SECOND, NOON + 30 * DAY]
    for position, at in enumerate(moments, 1):
        await log_row(database, org, web, position, at=at, position=position)
    assert await logs.position_at(org, None, 0) == 0
    assert await logs.position_at(org, None, NOON + 1) == 1
    # The third began later than the fourth, but ended first: both were asked for, so it begins before both.
    assert await logs.position_at(org, [web], NOON + HOUR + 10 * SECOND) == 2
    assert await logs.position_at(org, None, NOON + DAY) == 4
    assert await logs.position_at(org, None, NOON + 31 * DAY) == 5
    assert await logs.position_at(org, [web + 1], NOON) == 5


async def test_metrics_weigh_by_time_and_tell_response_times(
    logs: LogStore, org: int, web: int, database: Database, clock: Clock
) -> None:
    start, end = NOON, NOON + 2 * DAY
    await transition(database, org, web, Status.PENDING, Status.DOWN, NOON - 10 * DAY)
    await transition(database, org, web, Status.DOWN, Status.UP, NOON - DAY)
    await transition(database, org, web, Status.UP, Status.DOWN, NOON + 30 * HOUR)
    await transition(database, org, web, Status.DOWN, Status.DEGRADED, NOON + 31 * HOUR)
    await transition(database, org, web, Status.DEGRADED, Status.PAUSED, NOON + 40 * HOUR)
    for seq in range(1, 101):
        await log_row(database, org, web, seq, at=NOON + seq * MINUTE, response_time=float(seq))
    await log_row(database, org, web, 101, at=NOON + 101 * MINUTE, verdict=Verdict.DOWN, response_time=9999)
    await log_row(
        database,
        org,
        web,
        102,
        at=NOON + 5 * HOUR,
        verdict=None,
        trigger=Trigger.GAP,
        scheduled_at=NOON + 2 * HOUR,
        gap_until=NOON + 5 * HOUR,
        response_time=None,
    )
    await log_row(database, org, web, 103, at=end)
    clock.now = end + HOUR
    found = await logs.metrics(org, web, start, end)
    assert (found.start, found.end) == (start, end)
    assert (found.time.up, found.time.down, found.time.degraded) == (27 * HOUR, HOUR, 9 * HOUR)
    assert (found.time.paused, found.time.unknown) == (8 * HOUR, 3 * HOUR)
    assert found.downtime_last_24h == HOUR
    assert (found.check_count, found.down_check_count) == (101, 1)
    assert msgspec.structs.astuple(found.response_times) == pytest.approx((50.5, 50.5, 95.05, 99.01))


async def test_metrics_of_nothing_are_unknown_and_so_is_the_future(
    logs: LogStore, org: int, web: int, database: Database, clock: Clock
) -> None:
    found = await logs.metrics(org, web, NOON - DAY, NOON)
    assert (found.time.unknown, found.time.uptime, found.check_count) == (DAY, None, 0)
    assert found.response_times == ResponseTimes()
    await transition(database, org, web, Status.PENDING, Status.DOWN, NOON)
    clock.now = NOON + HOUR
    ahead = await logs.metrics(org, web, NOON, NOON + 3 * HOUR)
    assert (ahead.time.down, ahead.time.unknown, ahead.downtime_last_24h) == (HOUR, 2 * HOUR, HOUR)
