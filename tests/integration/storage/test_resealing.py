"""Sealing anew what real stores have sealed, while others go on changing it (T15)."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from monitord.domain.contact import ContactSpec
from monitord.domain.contacts import WebhookContact
from monitord.domain.errors import FailedPreconditionError
from monitord.domain.kinds import HeartbeatCheck, HttpCheck
from monitord.domain.monitor import MonitorSpec
from monitord.domain.secrets import Header, Secret
from monitord.identity.key_file import key_id
from monitord.identity.vault import Vault
from monitord.storage import resealing as module
from monitord.storage.contacts import ContactStore
from monitord.storage.database import Database, connect, disconnect
from monitord.storage.monitors import MonitorStore
from monitord.storage.resealing import STORE_MONITORS, Resealing, alone
from tests.support.stored import organisation, spec

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


class World:
    """Two organisations with secrets, all sealed with the old key."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.resealing = Resealing(database)
        self.before, self.after = Vault([OLD]), Vault([NEW, OLD])
        self.orgs: list[int] = []
        self.monitors: list[tuple[int, int]] = []
        self.contacts: list[tuple[int, int]] = []

    async def fill(self, *, monitors: int = 3, contacts: int = 2) -> None:
        for name in ("one", "two"):
            org = await organisation(self.database, name)
            self.orgs.append(org)
            store, people = MonitorStore(self.database, self.before), ContactStore(self.database, self.before)
            for number in range(monitors):
                made = await store.create(org, guarded(f"m{number}", f"secret {org} {number}"))
                self.monitors.append((org, made.monitor.id))
            for number in range(contacts):
                hook = WebhookContact(url="https://example.org/", signing_key=Secret(f"key {org} {number}"))
                contact = await people.create(org, ContactSpec(name=f"c{number}", channel=hook))
                self.contacts.append((org, contact.id))
            await store.create(org, spec("nothing to hide"))
        # What was never changed is taken for just made by the audit log, which tells less of it.
        async with self.database.connection() as held:
            await held.execute("UPDATE monitors SET updated_at = updated_at + interval '1 minute'")
            await held.execute("UPDATE alert_contacts SET updated_at = updated_at + interval '1 minute'")

    async def reseal(self) -> tuple[int, list[Any]]:
        """Do one round; return how many values were sealed anew, and what was not opened."""
        done: list[int] = []
        unopened = await self.resealing.reseal(self.after, [key_id(OLD)], done.append)
        return sum(done), unopened

    async def counts(self) -> dict[bytes, int]:
        return {each: sealed.number for each, sealed in (await self.resealing.census()).items()}

    async def secrets(self, vault: Vault) -> list[str]:
        """Return all secrets as stores with these keys read them."""
        monitors, people = MonitorStore(self.database, vault), ContactStore(self.database, vault)
        found = [secret_of(await monitors.get(*each)) for each in self.monitors]
        return found + [(await people.get(*each)).spec.channel.signing_key.value for each in self.contacts]  # type: ignore[union-attr]

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self.database.connection() as held:
            return list(await held.fetch(query, *arguments))


def guarded(name: str, secret: str) -> MonitorSpec:
    return spec(name, headers=(Header("X-Token", secret, secret=True),))


def secret_of(view: Any) -> str:
    check: HttpCheck = view.monitor.spec.check
    return check.headers[0].value


@pytest.fixture
async def world(database: Database) -> World:
    made = World(database)
    await made.fill()
    return made


async def test_everything_is_sealed_with_the_new_key_and_opens(world: World) -> None:
    plain = await world.secrets(world.before)
    assert len(set(plain)) == 10
    assert await world.counts() == {key_id(OLD): 10}
    assert await world.reseal() == (10, [])
    assert await world.counts() == {key_id(NEW): 10}
    assert await world.secrets(Vault([NEW])) == plain
    assert await world.reseal() == (0, []), "there is nothing left to do"


async def test_nothing_else_changes_and_the_audit_log_is_silent(world: World) -> None:
    facts = "SELECT to_jsonb(t) - 'secrets' FROM {} AS t ORDER BY id"
    queries = [facts.format(table) for table in ("monitors", "alert_contacts")]
    queries.append("SELECT count(*) FROM audit_events")
    before = [await world.fetch(query) for query in queries]
    await world.reseal()
    assert [await world.fetch(query) for query in queries] == before


SEALED = "secrets IS NOT NULL"
CHANGES = [
    (f"UPDATE monitors SET secrets = '\\x01' WHERE {SEALED}", 0, 6),
    (f"UPDATE monitors SET secrets = '\\x01', version = version + 1 WHERE {SEALED}", 6, 6),
    (f"UPDATE monitors SET secrets = '\\x01', name = 'x' || id WHERE {SEALED}", 6, 6),
    (f"UPDATE monitors SET name = 'x' || id WHERE {SEALED}", 6, 6),
    (f"UPDATE monitors SET secrets = NULL WHERE {SEALED}", 6, 6),
    ("UPDATE monitors SET secrets = '\\x01' WHERE secrets IS NULL", 2, 2),
    (f"UPDATE alert_contacts SET secrets = '\\x01' WHERE {SEALED}", 0, 4),
    (f"UPDATE alert_contacts SET secrets = '\\x01', name = 'x' || id WHERE {SEALED}", 4, 4),
    (f"UPDATE alert_contacts SET secrets = NULL WHERE {SEALED}", 4, 4),
    ("DELETE FROM alert_contacts", 4, 4),
]
"""What is done, and how many events tell of it: in a transaction that says that it reseals, and in any other."""


async def test_nothing_but_another_seal_goes_untold(world: World) -> None:
    """Whoever says that they reseal, and does more, is in the audit log."""
    for change, *expected in CHANGES:
        told = []
        for say_so in (True, False):
            async with world.database.connection() as held:
                deed = held.transaction()
                await deed.start()
                before = await held.fetchval("SELECT count(*) FROM audit_events")
                if say_so:
                    await held.execute(module.SAY_SO)
                await held.execute(change)
                told.append(await held.fetchval("SELECT count(*) FROM audit_events") - before)
                await deed.rollback()
        assert told == expected, change


async def test_interrupted_in_the_middle_it_goes_on_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    plain = await world.secrets(world.before)
    done: list[int] = []

    def told(number: int) -> None:
        done.append(number)
        if len(done) == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await world.resealing.reseal(world.after, [key_id(OLD)], told)
    assert await world.counts() == {key_id(OLD): 6, key_id(NEW): 4}
    assert await world.secrets(world.after) == plain
    assert await world.reseal() == (6, [])
    assert await world.counts() == {key_id(NEW): 10}
    assert await world.secrets(Vault([NEW])) == plain


async def test_what_somebody_is_changing_is_left_to_them_and_done_in_the_next_round(world: World) -> None:
    (org, monitor_id), *_ = world.monitors
    people = MonitorStore(world.database, world.before)
    async with world.database.transaction() as tx:
        await people.update(org, monitor_id, lambda _: guarded("m0", "changed meanwhile"), tx=tx)
        async with asyncio.timeout(5):
            assert await world.reseal() == (9, []), "nobody is waited for"
    assert await world.reseal() == (1, [])
    assert secret_of(await MonitorStore(world.database, Vault([NEW])).get(org, monitor_id)) == "changed meanwhile"


async def test_a_value_is_stored_only_over_the_one_that_was_read(world: World) -> None:
    (org, monitor_id), *_ = world.monitors
    ((was,),) = await world.fetch("SELECT secrets FROM monitors WHERE id = $1", monitor_id)
    people = MonitorStore(world.database, world.before)
    await people.update(org, monitor_id, lambda _: guarded("m0", "changed meanwhile"))
    async with world.database.transaction() as tx:
        assert await tx.execute(STORE_MONITORS, [org], [monitor_id], [was], [b"stale"]) == "UPDATE 0"
    assert secret_of(await people.get(org, monitor_id)) == "changed meanwhile"


async def test_many_changes_during_a_rotation_lose_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one process that knows the old key alone until it meets the new one, as a monitord that runs does."""
    monkeypatch.setattr(module, "BATCH", 1)

    class Source:
        def newer(self) -> Sequence[bytes]:
            return [NEW, OLD]

    running = MonitorStore(world.database, Vault([OLD], source=Source()))
    (org, monitor_id), *others = world.monitors

    async def change() -> None:
        for number in range(20):
            for each in (monitor_id, others[0][1]):
                await running.update(org, each, lambda s, n=number: guarded(s.name, f"change {n}"))  # type: ignore[misc]

    rounds = [world.reseal() for _ in range(4)]
    await asyncio.gather(change(), *rounds)
    await world.reseal()
    assert set(await world.counts()) == {key_id(NEW)}
    assert (await world.secrets(Vault([NEW])))[:2] == ["change 19", "change 19"]


async def test_what_does_not_open_is_named_and_stays_as_it_is(world: World) -> None:
    (_, damaged), (_, foreign), *_ = world.monitors
    stranger = Vault([b"x" * 32]).seal(b"{}", b"")
    async with world.database.connection() as held:
        await held.execute("UPDATE monitors SET secrets = set_byte(secrets, 30, 0) WHERE id = $1", damaged)
        await held.execute("UPDATE monitors SET secrets = $2 WHERE id = $1", foreign, stranger)
    done, (unopened,) = await world.reseal()
    assert (done, unopened.place, unopened.reason) == (8, f"monitor {damaged}", "damaged, or sealed for another place")
    census = await world.resealing.census()
    assert {each: sealed.number for each, sealed in census.items()} == {
        key_id(NEW): 8, key_id(OLD): 1, key_id(b"x" * 32): 1,
    }  # fmt: skip
    assert census[key_id(b"x" * 32)].example == f"monitor {foreign}"


async def test_one_works_on_the_keys_at_a_time(database_url: str) -> None:
    async with alone(database_url):
        with pytest.raises(FailedPreconditionError, match="Another `monitord keys`"):
            async with alone(database_url):
                raise AssertionError
    async with alone(database_url):
        pass


async def test_a_standstill_waits_for_who_has_sealed_but_not_stored(world: World, database_url: str) -> None:
    """A transaction that has locked its row may have sealed already, and stores when we have counted."""
    other = await connect(database_url)
    try:
        deed = other.transaction()
        await deed.start()
        await other.execute("SELECT FROM monitors WHERE id = $1 FOR NO KEY UPDATE", world.monitors[0][1])

        async def count() -> dict[bytes, int]:
            async with world.resealing.standstill() as tx:
                return {each: one.number for each, one in (await world.resealing.census(within=tx)).items()}

        counting = asyncio.create_task(count())
        async with asyncio.timeout(5):
            while not await other.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'ExclusiveLock'"
            ):
                pass
        late = world.after.seal(b"{}", b"")
        await other.execute("UPDATE monitors SET secrets = $2 WHERE id = $1", world.monitors[0][1], late)
        await deed.commit()
        assert await counting == {key_id(OLD): 9, key_id(NEW): 1}
    finally:
        await disconnect(other)


async def test_heartbeats_are_counted_and_some_named(world: World) -> None:
    store = MonitorStore(world.database, world.before)
    for number in range(3):
        await store.create(world.orgs[number % 2], MonitorSpec(name=f"job {number}", check=HeartbeatCheck(period_s=60)))
    found = await world.resealing.heartbeats(2)
    assert (found.number, [name.partition(" ")[2] for name in found.names]) == (3, ["'job 0'", "'job 1'"])
