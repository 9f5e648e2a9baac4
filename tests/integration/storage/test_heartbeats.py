"""What is kept of the words of jobs."""

import asyncio

import msgspec
import pytest

from monitord.domain.errors import NotFoundError
from monitord.domain.heartbeat import Ping, PingKind, Words
from monitord.domain.instant import SECOND
from monitord.domain.kinds import HeartbeatCheck
from monitord.domain.monitor import MonitorSpec
from monitord.storage.assignments import Assignments
from monitord.storage.database import Database
from monitord.storage.heartbeats import KEPT, MAX_ID, HeartbeatStore
from monitord.storage.monitors import MonitorStore
from tests.support.stored import NOON, PlainSealer, organisation, spec


@pytest.fixture
def monitors(database: Database) -> MonitorStore:
    return MonitorStore(database, PlainSealer())


@pytest.fixture
def store(database: Database) -> HeartbeatStore:
    return HeartbeatStore(database)


@pytest.fixture
async def org(database: Database) -> int:
    return await organisation(database)


@pytest.fixture
async def job(monitors: MonitorStore, org: int) -> int:
    wish = MonitorSpec(name="job", check=HeartbeatCheck(period_s=60, ping_url_version=3))
    return (await monitors.create(org, wish)).monitor.id


def ping(kind: PingKind = PingKind.SUCCESS, second: int = 0, body: bytes = b"") -> Ping:
    return Ping(at=NOON + second * SECOND, kind=kind, body=body, source="127.0.0.1")


async def test_words_are_remembered_over_a_restart(store: HeartbeatStore, database: Database, job: int) -> None:
    source = Assignments(database, PlainSealer())
    (before,) = await source.load([job])
    assert before.words is None
    await store.record(job, 3, ping(PingKind.START))
    words = await store.record(job, 3, ping(PingKind.FAIL, 2, b"\x00\xff"))
    assert (words.failed, words.excerpt, words.run_ms) == (True, b"\x00\xff", 2000)
    (after,) = await source.load([job])
    assert after.words == words


async def test_an_old_url_another_kind_and_nothing_are_not_found(
    store: HeartbeatStore, monitors: MonitorStore, org: int, job: int
) -> None:
    web = (await monitors.create(org, spec("web"))).monitor.id
    for monitor_id, version in ((job, 2), (web, None), (web, 0), (4711, 0)):
        with pytest.raises(NotFoundError):
            await store.record(monitor_id, version, ping())
    assert await store.list(org, job, MAX_ID, 10) == []


async def test_the_newest_are_kept_and_old_logs_push_out_no_word(store: HeartbeatStore, org: int, job: int) -> None:
    await store.record(job, None, ping())
    for number in range(KEPT + 5):
        words = await store.record(job, None, ping(PingKind.LOG, number + 1))
    assert words.ended_at == NOON
    kept = await store.list(org, job, MAX_ID, 1000)
    assert len(kept) == KEPT
    assert [one.at for _, one in kept[:2]] == [NOON + (KEPT + 5) * SECOND, NOON + (KEPT + 4) * SECOND]
    assert [one for one, _ in await store.list(org, job, kept[1][0], 2)] == [kept[2][0], kept[3][0]]


async def test_words_at_the_same_time_are_heard_one_after_the_other(store: HeartbeatStore, org: int, job: int) -> None:
    kinds = [PingKind.START, PingKind.SUCCESS, PingKind.FAIL, PingKind.LOG] * 5
    await asyncio.gather(*(store.record(job, None, ping(kind, number)) for number, kind in enumerate(kinds)))
    assert len(await store.list(org, job, MAX_ID, 1000)) == len(kinds)


async def test_words_go_with_their_monitor_and_are_nobody_elses(
    store: HeartbeatStore, monitors: MonitorStore, database: Database, org: int, job: int
) -> None:
    """(T9)"""
    await store.record(job, None, ping())
    await store.require(org, job)
    other = await organisation(database, "other")
    with pytest.raises(NotFoundError):
        await store.require(other, job)
    assert await store.list(other, job, MAX_ID, 10) == []
    await monitors.delete(org, job)
    assert await store.list(org, job, MAX_ID, 10) == []
    with pytest.raises(NotFoundError):
        await store.record(job, None, ping())


async def test_another_schedule_is_remembered_over_a_restart_and_a_rename_is_none(
    store: HeartbeatStore, monitors: MonitorStore, database: Database, org: int, job: int
) -> None:
    """(I9): a word that came by the old schedule must not be missed by the new one."""
    source = Assignments(database, PlainSealer())
    told = await store.record(job, 3, ping())
    await monitors.update(org, job, lambda stored: msgspec.structs.replace(stored, name="renamed"))
    (renamed,) = await source.load([job])
    assert renamed.words == told
    often = HeartbeatCheck(period_s=10, ping_url_version=3)
    await monitors.update(org, job, lambda stored: msgspec.structs.replace(stored, check=often))
    (changed,) = await source.load([job])
    assert changed.words is not None
    assert (changed.words.ended_at, changed.words.rescheduled_at) == (told.ended_at, changed.monitor.updated_at)
    heard = await store.record(job, 3, ping(second=5))
    assert heard.rescheduled_at == changed.monitor.updated_at


async def test_a_schedule_may_change_before_the_first_word(
    monitors: MonitorStore, database: Database, org: int, job: int
) -> None:
    check = HeartbeatCheck(period_s=10, ping_url_version=3)
    await monitors.update(org, job, lambda stored: msgspec.structs.replace(stored, check=check))
    (changed,) = await Assignments(database, PlainSealer()).load([job])
    assert changed.words == Words(rescheduled_at=changed.monitor.updated_at)
