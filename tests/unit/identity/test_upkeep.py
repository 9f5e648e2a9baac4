import asyncio
from collections.abc import Mapping

import pytest

from monitord.domain.errors import UnavailableError
from monitord.domain.instant import DAY, MINUTE, SECOND, Instant
from monitord.identity.upkeep import PERIOD_S, SESSIONS_KEPT_US, Upkeep

BEGIN = 1_800_000_000 * SECOND


class FakeStore:
    def __init__(self) -> None:
        self.writes: list[dict[str, Instant]] = []
        self.purges: list[Instant] = []
        self.away = False
        self.slow_s = 0.0

    async def record_key_use(self, last_used: Mapping[str, Instant]) -> None:
        await asyncio.sleep(self.slow_s)
        if self.away:
            raise UnavailableError("away")
        self.writes.append(dict(last_used))

    async def purge_sessions(self, over_before: Instant) -> int:
        if self.away:
            raise UnavailableError("away")
        self.purges.append(over_before)
        return 0


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def upkeep(store: FakeStore) -> Upkeep:
    loop = asyncio.get_running_loop()
    return Upkeep(store, now=lambda: BEGIN + round(loop.time() * SECOND))


async def run_for(upkeep: Upkeep, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(upkeep.run(), seconds)


async def test_many_uses_in_a_minute_are_one_write_to_the_minute(upkeep: Upkeep, store: FakeStore) -> None:
    for _ in range(100):
        upkeep.note_use("a")
        upkeep.note_use("b")
        await asyncio.sleep(0.1)
    await run_for(upkeep, 3 * PERIOD_S + 1)

    assert store.writes == [{"a": BEGIN // MINUTE * MINUTE, "b": BEGIN // MINUTE * MINUTE}]


async def test_an_outage_loses_no_use_and_a_later_one_wins(upkeep: Upkeep, store: FakeStore) -> None:
    upkeep.note_use("a")
    upkeep.note_use("b")
    store.away = True
    await run_for(upkeep, 2 * PERIOD_S + 1)
    upkeep.note_use("a")
    store.away = False
    await run_for(upkeep, PERIOD_S + 1)

    begin = BEGIN // MINUTE * MINUTE
    assert store.writes == [{"a": begin + 2 * MINUTE, "b": begin}]


async def test_a_use_noted_while_a_failing_write_is_under_way_is_kept(upkeep: Upkeep, store: FakeStore) -> None:
    upkeep.note_use("a")
    store.away = True
    writing = asyncio.create_task(upkeep.flush())
    await asyncio.sleep(0)
    upkeep.note_use("b")
    with pytest.raises(UnavailableError):
        await writing
    store.away = False
    await upkeep.flush()

    assert [set(write) for write in store.writes] == [{"a", "b"}]


async def test_a_later_use_of_the_same_key_wins_over_the_one_that_failed_to_be_written(
    upkeep: Upkeep, store: FakeStore
) -> None:
    upkeep.note_use("a")
    store.away, store.slow_s = True, 120.0
    writing = asyncio.create_task(upkeep.flush())
    await asyncio.sleep(60)
    upkeep.note_use("a")
    with pytest.raises(UnavailableError):
        await writing
    store.away = False
    await upkeep.flush()

    assert store.writes == [{"a": BEGIN // MINUTE * MINUTE + MINUTE}]


async def test_sessions_long_over_are_purged_once_a_day(upkeep: Upkeep, store: FakeStore) -> None:
    await run_for(upkeep, 3 * 86_400 - 100)

    assert len(store.purges) == 3
    assert store.purges[0] == BEGIN + 60 * SECOND - SESSIONS_KEPT_US
    assert store.purges[1] - store.purges[0] == DAY
