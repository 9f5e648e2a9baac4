"""What monitors may depend on, and groups be made of."""

from collections.abc import Callable

import msgspec
import pytest

from monitord.domain.errors import InvalidArgumentError, NotFoundError
from monitord.domain.kinds import GroupCheck
from monitord.domain.monitor import MonitorSpec
from monitord.storage.database import Database
from monitord.storage.monitors import MonitorStore
from tests.support.stored import PlainSealer, organisation, spec


@pytest.fixture
def store(database: Database) -> MonitorStore:
    return MonitorStore(database, PlainSealer())


@pytest.fixture
async def org(database: Database) -> int:
    return await organisation(database)


async def add(store: MonitorStore, org: int, name: str, *parent_ids: int) -> int:
    return (await store.create(org, spec(name, parent_ids=parent_ids))).monitor.id


async def depend(store: MonitorStore, org: int, monitor_id: int, *parent_ids: int) -> None:
    def edit(stored: MonitorSpec) -> MonitorSpec:
        return spec(stored.name, parent_ids=parent_ids)

    await store.update(org, monitor_id, edit)


async def test_what_is_stored_is_read_back(store: MonitorStore, org: int) -> None:
    router, switch = await add(store, org, "router"), await add(store, org, "switch")
    shop = await add(store, org, "shop", switch, router)
    assert (await store.get(org, shop)).monitor.spec.parent_ids == (switch, router)


async def test_no_circle_and_no_tower(store: MonitorStore, org: int) -> None:
    first = await add(store, org, "m0")
    chain = [first]
    for number in range(1, 9):
        chain.append(await add(store, org, f"m{number}", chain[-1]))
    for bad in ((first, (first,)), (first, (chain[3],)), (chain[2], (chain[8],))):
        with pytest.raises(InvalidArgumentError, match="depend on itself"):
            await depend(store, org, bad[0], *bad[1])
    with pytest.raises(InvalidArgumentError, match="more than 8"):
        await add(store, org, "m9", chain[-1])


async def test_what_is_not_there_or_anothers_cannot_be_depended_on(
    store: MonitorStore, org: int, database: Database
) -> None:
    """(T9)"""
    foreign = await add(store, await organisation(database), "theirs")
    own = await add(store, org, "own")
    for parent_id in (foreign, 12345):
        with pytest.raises(NotFoundError):
            await add(store, org, "child", own, parent_id)
        with pytest.raises(NotFoundError):
            await depend(store, org, own, parent_id)


async def test_whoever_depends_on_what_is_deleted_is_let_go(store: MonitorStore, org: int) -> None:
    router, switch = await add(store, org, "router"), await add(store, org, "switch")
    shop = await add(store, org, "shop", router, switch)
    before = (await store.get(org, shop)).monitor.version
    await store.delete(org, router)
    after = (await store.get(org, shop)).monitor
    assert after.spec.parent_ids == (switch,)
    assert after.version > before, "so that the engine looks"


async def add_group(
    store: MonitorStore, org: int, name: str, *monitor_ids: int, labels: dict[str, str] | None = None
) -> int:
    check = GroupCheck(monitor_ids=monitor_ids, labels=labels or {})
    return (await store.create(org, msgspec.structs.replace(spec(name), check=check))).monitor.id


async def test_a_group_is_read_back(store: MonitorStore, org: int) -> None:
    shop = await add(store, org, "shop")
    group = await add_group(store, org, "all", shop, labels={"env": "prod"})
    assert (await store.get(org, group)).monitor.spec.check == GroupCheck(monitor_ids=(shop,), labels={"env": "prod"})


async def test_no_circle_leads_through_a_group(store: MonitorStore, org: int) -> None:
    shop = await add(store, org, "shop")
    inner = await add_group(store, org, "inner", shop)
    outer = await add_group(store, org, "outer", inner)

    def into(member: int) -> Callable[[MonitorSpec], MonitorSpec]:
        return lambda stored: msgspec.structs.replace(stored, check=GroupCheck(monitor_ids=(member,)))

    for group, member in ((inner, outer), (inner, inner), (outer, outer)):
        with pytest.raises(InvalidArgumentError, match="depend on itself"):
            await store.update(org, group, into(member))
    with pytest.raises(InvalidArgumentError, match="depend on itself"):
        await depend(store, org, shop, outer)


async def test_groups_within_groups_are_bounded(store: MonitorStore, org: int) -> None:
    above = await add(store, org, "shop")
    for number in range(8):
        above = await add_group(store, org, f"g{number}", above)
    with pytest.raises(InvalidArgumentError, match="more than 8"):
        await add_group(store, org, "g8", above)


async def test_what_is_anothers_is_no_member(store: MonitorStore, org: int, database: Database) -> None:
    """(T9)"""
    foreign = await add(store, await organisation(database), "theirs")
    with pytest.raises(NotFoundError, match="to be a member"):
        await add_group(store, org, "all", foreign)


async def test_what_is_deleted_leaves_its_groups(store: MonitorStore, org: int) -> None:
    shop, blog = await add(store, org, "shop"), await add(store, org, "blog")
    group, other = await add_group(store, org, "both", shop, blog), await add_group(store, org, "blog alone", blog)
    before = [(await store.get(org, each)).monitor.version for each in (group, other)]
    await store.delete(org, shop)
    after = [(await store.get(org, each)).monitor for each in (group, other)]
    assert [each.spec.check for each in after] == [GroupCheck(monitor_ids=(blog,)), GroupCheck(monitor_ids=(blog,))]
    assert after[0].version > before[0], "so that the engine looks"
    assert after[1].version == before[1]
