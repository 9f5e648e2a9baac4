"""Applying a whole set by name."""

import asyncio

import pytest

from monitord.domain.errors import AlreadyExistsError
from monitord.domain.queries import ApplyAction, MonitorQuery
from monitord.domain.secrets import Header
from monitord.storage.database import Database
from monitord.storage.monitors import MonitorStore
from tests.support.stored import NOON, Clock, PlainSealer, organisation, spec


@pytest.fixture
def store(database: Database) -> MonitorStore:
    return MonitorStore(database, PlainSealer(), clock=Clock(NOON))


@pytest.fixture
async def org(database: Database) -> int:
    return await organisation(database)


async def _names(store: MonitorStore, org: int) -> list[str]:
    return [view.monitor.spec.name for view in await store.list(org, MonitorQuery())]


async def test_creates_changes_keeps_and_removes(store: MonitorStore, org: int) -> None:
    secret = Header("X-Key", "k", secret=True)
    same = (await store.create(org, spec("same", headers=(secret,)))).monitor
    other = (await store.create(org, spec("other"))).monitor
    gone = (await store.create(org, spec("gone"))).monitor
    wanted = [
        spec("new"),
        spec("other", url="http://127.0.0.1:2/", labels={"a": "b"}, interval_s=30),
        spec("same", headers=(Header("X-Key", "", secret=True),)),
    ]
    planned = await store.apply(org, wanted, prune=True, dry_run=True)
    assert await _names(store, org) == ["same", "other", "gone"]
    done = await store.apply(org, wanted, prune=True, dry_run=False)
    for results in (planned, done):
        assert [(r.name, r.action) for r in results] == [
            ("new", ApplyAction.CREATED),
            ("other", ApplyAction.CHANGED),
            ("same", ApplyAction.UNCHANGED),
            ("gone", ApplyAction.REMOVED),
        ]
        assert results[1].changed_fields == ("labels", "interval_s", "http.url")
        assert [r.id for r in results[1:]] == [other.id, same.id, gone.id]
    assert (planned[0].id, planned[1].version) == (0, 1)
    created = await store.get(org, done[0].id)
    assert (created.monitor.spec, created.monitor.version) == (wanted[0], done[0].version)
    changed = await store.get(org, other.id)
    assert (changed.monitor.spec, changed.monitor.version) == (wanted[1], done[1].version)
    assert (await store.get(org, same.id)).monitor == same
    again = await store.apply(org, wanted, prune=True, dry_run=False)
    assert {r.action for r in again} == {ApplyAction.UNCHANGED}


async def test_without_prune_nothing_is_removed(store: MonitorStore, org: int) -> None:
    await store.create(org, spec("kept"))
    results = await store.apply(org, [spec("new")], prune=False, dry_run=False)
    assert [r.action for r in results] == [ApplyAction.CREATED]
    assert await _names(store, org) == ["kept", "new"]


async def test_is_all_or_nothing(store: MonitorStore, org: int) -> None:
    with pytest.raises(AlreadyExistsError):
        await store.apply(org, [spec("a"), spec("b"), spec("a")], prune=False, dry_run=False)
    assert await _names(store, org) == []


async def test_two_at_once_do_not_mix(store: MonitorStore, org: int) -> None:
    first = [spec(f"a{n}") for n in range(20)]
    second = [spec(f"b{n}") for n in range(20)]
    await asyncio.gather(*(store.apply(org, specs, prune=True, dry_run=False) for specs in (first, second, first)))
    assert len({name[0] for name in await _names(store, org)}) == 1
