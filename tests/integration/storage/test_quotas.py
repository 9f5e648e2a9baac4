"""Quotas of plans, counted under a lock: nothing beyond them is made, and nothing that is there is lost (T17)."""

import asyncio
from collections.abc import Awaitable

import msgspec
import pytest

from monitord.domain.contact import ContactSpec
from monitord.domain.contacts import EmailContact
from monitord.domain.errors import QuotaExceededError
from monitord.domain.monitor import MonitorSpec
from monitord.domain.organisation import Role
from monitord.domain.queries import ApplyAction, MonitorQuery
from monitord.storage.contacts import ContactStore
from monitord.storage.database import Database
from monitord.storage.memberships import InvitationStore, MembershipStore
from monitord.storage.monitors import MonitorStore
from tests.support.stored import NOON, Clock, PlainSealer, organisation, planned, spec


@pytest.fixture
def store(database: Database) -> MonitorStore:
    return MonitorStore(database, PlainSealer(), clock=Clock(NOON))


@pytest.fixture
async def org(database: Database) -> int:
    return await organisation(database)


async def names(store: MonitorStore, org: int) -> list[str]:
    return [view.monitor.spec.name for view in await store.list(org, MonitorQuery())]


async def all_of(*calls: Awaitable[object]) -> list[QuotaExceededError]:
    """Run all at the same time, and return how some were refused."""
    ended = await asyncio.gather(*calls, return_exceptions=True)
    refused = [end for end in ended if isinstance(end, QuotaExceededError)]
    assert not [end for end in ended if isinstance(end, BaseException) and end not in refused]
    return refused


def contact(name: str) -> ContactSpec:
    return ContactSpec(name=name, channel=EmailContact(address=f"{name}@example.org"))


async def test_of_twenty_at_the_same_time_as_many_are_made_as_there_is_room_for(
    database: Database, store: MonitorStore, org: int
) -> None:
    await planned(database, org, max_monitors=10)
    refused = await all_of(*(store.create(org, spec(f"m{number}")) for number in range(20)))
    assert (len(refused), len(await names(store, org))) == (10, 10)
    for error in refused:
        assert [one.subject for one in error.violations] == [f"organisation:{org}"]
        assert error.message == "Monitors: the plan SMALL allows at most 10; there are 10, and one more is asked for."
        assert error.metadata["plan"] == "SMALL"


async def test_sets_and_single_ones_are_counted_together(database: Database, store: MonitorStore, org: int) -> None:
    await planned(database, org, max_monitors=6)
    sets = [[spec(f"{letter}{number}") for number in range(3)] for letter in "abcd"]
    refused = await all_of(
        *(store.apply(org, each, prune=False, dry_run=False) for each in sets),
        *(store.create(org, spec(f"m{number}")) for number in range(6)),
    )
    made = await names(store, org)
    assert refused
    assert len(made) <= 6
    for letter in "abcd":
        assert len([name for name in made if name.startswith(letter)]) in (0, 3)


async def test_a_set_of_which_half_would_fit_makes_nothing(database: Database, store: MonitorStore, org: int) -> None:
    await planned(database, org, max_monitors=3, min_interval_s=60)
    await store.create(org, spec("old"))
    wanted = [spec("old", labels={"a": "b"}), spec("new 1"), spec("new 2"), spec("new 3", interval_s=20)]
    for dry_run in (True, False):
        with pytest.raises(QuotaExceededError) as refused:
            await store.apply(org, wanted, prune=False, dry_run=dry_run)
        assert [one.description for one in refused.value.violations] == [
            "Monitors: the plan SMALL allows at most 3; there are 1, and 3 more are asked for.",
            "The plan SMALL allows intervals from 60 s on, and 'new 3' has 20 s.",
        ]
    (kept,) = await store.list(org, MonitorQuery())
    assert (kept.monitor.spec.name, kept.monitor.spec.labels) == ("old", {})
    # What makes room is counted first.
    done = await store.apply(org, [spec("a"), spec("b"), spec("c")], prune=True, dry_run=False)
    assert [one.action for one in done] == [ApplyAction.CREATED] * 3 + [ApplyAction.REMOVED]


async def test_a_smaller_plan_takes_nothing_away(database: Database, store: MonitorStore, org: int) -> None:
    made = [(await store.create(org, spec(f"m{number}", interval_s=20))).monitor for number in range(4)]
    await planned(database, org, max_monitors=2, min_interval_s=60)
    assert len(await names(store, org)) == 4
    with pytest.raises(QuotaExceededError, match="at most 2; there are 4"):
        await store.create(org, spec("more"))

    def with_interval(seconds: int) -> object:
        return lambda stored: msgspec.structs.replace(stored, interval_s=seconds)

    async def change(**changes: object) -> MonitorSpec:
        edited = await store.update(org, made[0].id, lambda stored: msgspec.structs.replace(stored, **changes))
        return edited.monitor.spec

    assert (await change(name="renamed")).interval_s == 20
    with pytest.raises(QuotaExceededError, match="intervals from 60 s on, and 'renamed' has 15 s"):
        await change(interval_s=15, timeout_ms=5000)
    assert (await store.get(org, made[0].id)).monitor.spec.timeout_ms == 10_000
    assert (await change(interval_s=30)).interval_s == 30
    assert (await change(interval_s=90)).interval_s == 90
    with pytest.raises(QuotaExceededError):
        await change(interval_s=30)
    paused = await store.set_active(org, made[1].id, False)
    assert (await store.set_active(org, made[1].id, True)).monitor.version > paused.monitor.version
    done = await store.apply(org, [spec("m2", interval_s=20, labels={"a": "b"})], prune=False, dry_run=False)
    assert [one.action for one in done] == [ApplyAction.CHANGED]
    with pytest.raises(QuotaExceededError, match="'m3' has 19 s"):
        await store.apply(org, [spec("m3", interval_s=19)], prune=False, dry_run=False)
    assert len(await store.apply(org, [], prune=True, dry_run=False)) == 4


async def test_without_a_plan_there_are_no_limits_of_one(database: Database, store: MonitorStore, org: int) -> None:
    async with database.connection() as held:
        assert await held.fetchval("SELECT plan FROM organisations WHERE id = $1", org) is None
    other = await organisation(database, "other")
    await planned(database, other, max_monitors=0)
    for number in range(12):
        await store.create(org, spec(f"m{number}", interval_s=5))
    await planned(database, org, "OPEN")
    await store.create(org, spec("one more", interval_s=5))
    with pytest.raises(QuotaExceededError):
        await store.create(other, spec("one"))


async def test_contacts_that_are_deleted_do_not_count_and_those_yet_to_confirm_do(database: Database, org: int) -> None:
    contacts = ContactStore(database, PlainSealer(), clock=Clock(NOON))
    await planned(database, org, max_contacts=3)
    refused = await all_of(*(contacts.create(org, contact(f"c{number}")) for number in range(9)))
    kept = await contacts.list(org, 0, 100)
    assert (len(refused), len(kept)) == (6, 3)
    assert kept[0].verified_at is None
    assert refused[0].violations[0].subject == f"organisation:{org}"
    await contacts.delete(org, kept[0].id)
    await contacts.create(org, contact("new"))
    with pytest.raises(QuotaExceededError, match=r"^Contacts: the plan SMALL allows at most 3; there are 3"):
        await contacts.create(org, contact("newer"))


async def seat(database: Database, org: int, email: str, role: Role | None = None) -> int:
    """Store a user, who is a member if they have a role."""
    async with database.connection() as held:
        own = await organisation(database, email)
        user: int = await held.fetchval("INSERT INTO users (org_id, email) VALUES ($1, $2) RETURNING id", own, email)
        if role is not None:
            await held.execute("INSERT INTO memberships VALUES ($1, $2, $3)", org, user, role.name.lower())
    return user


async def test_members_and_open_invitations_take_seats(database: Database, org: int) -> None:
    members, invitations = MembershipStore(database), InvitationStore(database)
    async with database.connection() as held:
        await held.execute("UPDATE organisations SET personal = false WHERE id = $1", org)
    owner = await seat(database, org, "ann@example.org", Role.OWNER)
    users = [await seat(database, org, f"u{number}@example.org") for number in range(8)]
    await planned(database, org, max_seats=4)

    def invite(number: int) -> Awaitable[object]:
        return members.invite(org, owner, f"u{number}@example.org", Role.VIEWER, b"%d" % number, at=NOON)

    refused = await all_of(*(invite(number) for number in range(8)))
    open_now = await members.invitations(org, at=NOON)
    assert (len(refused), len(open_now)) == (5, 3)
    assert refused[0].message.startswith("Seats (members and open invitations): the plan SMALL allows at most 4;")
    # Inviting the same one again takes no other seat.
    await invite(int(open_now[0].email[1]))

    async def accept(number: int) -> int:
        (mine,) = await invitations.of_user(users[number], at=NOON)
        return await invitations.accept(users[number], mine.id, at=NOON)

    invited = [int(one.email[1]) for one in open_now]
    assert await accept(invited[0]) == org
    await planned(database, org, max_seats=3)
    refused = await all_of(*(accept(number) for number in invited[1:]))
    assert (len(refused), len(await members.members(org))) == (1, 3)
    # An invitation that was refused a seat is not used up.
    assert len(await members.invitations(org, at=NOON)) == 1
