"""The commands about master keys, against a real database: what they do, what they say, and what they refuse."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitord import key_rotation
from monitord.domain.kinds import HeartbeatCheck
from monitord.domain.monitor import MonitorSpec
from monitord.domain.secrets import Header
from monitord.environment import load
from monitord.identity import private_file
from monitord.identity.key_file import KEY_FILE, KeyFile, key_id, spelled
from monitord.identity.vault import Vault
from monitord.storage.database import Database
from monitord.storage.monitors import MonitorStore
from monitord.storage.resealing import alone
from tests.support.stored import organisation, spec

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


@dataclass
class Told:
    """How a command ended."""

    status: int
    out: str
    err: str


class Place:
    """A monitord's database and state folder, with its keys in a file or in the setting."""

    def __init__(self, database: Database, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.database = database
        self.state = state
        self.capsys = capsys
        self.file = KeyFile(state / KEY_FILE)
        self.setting: list[bytes] = []
        self.org = 0

    async def fill(self, vault: Vault, names: str = "abc") -> None:
        self.org = self.org or await organisation(self.database)
        async with self.database.connection() as held:
            await held.execute(
                "INSERT INTO users (org_id, email, role) VALUES ($1, 'a@example.org', 'ADMIN') ON CONFLICT DO NOTHING",
                self.org,
            )
        for name in names:
            header = Header("X-Token", f"secret of {name}", secret=True)
            await MonitorStore(self.database, vault).create(self.org, spec(name, headers=(header,)))

    async def keys(self, command: str, *, break_ping_urls: bool = False) -> Told:
        """Run a command as the command line does, on a thread with a loop of its own."""
        variables = {"MONITORD_DATABASE_URL": self.database.dsn, "MONITORD_STATE_DIR": str(self.state)}
        if self.setting:
            variables["MONITORD_SECRET_KEY"] = spelled(self.setting, ",")
        settings = load(variables)
        commands = {
            "status": lambda: key_rotation.status(settings),
            "rotate": lambda: key_rotation.rotate(settings),
            "retire": lambda: key_rotation.retire(settings, break_ping_urls=break_ping_urls),
        }
        self.capsys.readouterr()
        status = await asyncio.to_thread(commands[command])
        return Told(status, *self.capsys.readouterr())

    async def opens_with(self, *keys: bytes) -> set[str]:
        """Return the secrets of all monitors, as a monitord with these keys alone reads them."""
        store = MonitorStore(self.database, Vault(keys))
        async with self.database.connection() as held:
            ids = [row[0] for row in await held.fetch("SELECT id FROM monitors WHERE secrets IS NOT NULL")]
        return {(await store.get(self.org, each)).monitor.spec.check.headers[0].value for each in ids}  # type: ignore[union-attr]

    async def audited(self) -> list[tuple[str, str, str]]:
        async with self.database.connection() as held:
            rows = await held.fetch(
                "SELECT action, thing_id, method FROM audit_events WHERE kind = 'master_key' ORDER BY id"
            )
        return [tuple(row) for row in rows]


@pytest.fixture
async def place(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    monkeypatch.setattr(key_rotation, "NOTICED_S", 0.0)
    made = Place(database, tmp_path / "state", capsys)
    private_file.create(made.file.path, spelled([OLD]))
    await made.fill(Vault([OLD]))
    return made


SECRETS = {"secret of a", "secret of b", "secret of c"}


async def test_a_rotation_from_its_beginning_to_its_end(place: Place) -> None:
    old = key_id(OLD).hex()
    told = await place.keys("status")
    assert (told.status, told.out) == (0, f"{old}  current  seals 3 values\n")

    told = await place.keys("rotate")
    new, kept = place.file.read()
    assert (told.status, told.out, kept) == (0, "", OLD)
    assert f"The new key {key_id(new).hex()} stands first in {place.file.path}." in told.err
    assert "Sealed anew: 3 of 3." in told.err
    assert f"Kept for sessions, links and heartbeat URLs that were made with them: {old}." in told.err
    assert await place.opens_with(new) == SECRETS
    told = await place.keys("status")
    assert told.out == f"{key_id(new).hex()}  current  seals 3 values\n{old}  older    seals 0 values\n"

    told = await place.keys("retire")
    assert (told.status, place.file.read()) == (0, [new])
    assert f"Retired: {old}. In {place.file.path} there is {key_id(new).hex()} alone." in told.err
    assert "Sessions that have not been renewed since the rotation end" in told.err
    assert "nothing to retire" in (await place.keys("retire")).err
    assert await place.audited() == [
        ("rotated", key_id(new).hex(), "monitord keys rotate"),
        ("retired", old, "monitord keys retire"),
    ]


async def test_a_rotation_that_was_interrupted_is_gone_on_with_and_another_one_makes_another_key(place: Place) -> None:
    place.file.replace([NEW, OLD], instead_of=[OLD])
    await place.fill(Vault([NEW, OLD]), "d")
    refused = await place.keys("retire")
    assert (refused.status, place.file.read()) == (1, [NEW, OLD])
    assert f"monitord: Still in use: {key_id(OLD).hex()} seals 3 values. Run `monitord keys rotate`" in refused.err
    told = await place.keys("rotate")
    assert (told.status, place.file.read()) == (0, [NEW, OLD]), "no other key"
    assert f"The rotation to the key {key_id(NEW).hex()} was not finished" in told.err
    assert await place.opens_with(NEW) == {*SECRETS, "secret of d"}
    assert (await place.keys("rotate")).status == 0
    third, *rest = place.file.read()
    assert rest == [NEW, OLD]
    assert len(await place.opens_with(third)) == 4
    assert (await place.keys("retire")).status == 0
    assert place.file.read() == [third]


async def test_of_two_at_once_one_is_refused_before_it_has_done_anything(place: Place) -> None:
    async with alone(place.database.dsn):
        for command in ("rotate", "retire"):
            refused = await place.keys(command)
            assert (refused.status, place.file.read()) == (1, [OLD])
            assert refused.err == "monitord: Another `monitord keys` works on this database: wait for its end.\n"
    both = await asyncio.gather(place.keys("rotate"), place.keys("rotate"))
    assert {told.status for told in both} <= {0, 1}
    assert any(told.status == 0 for told in both)
    first, *_ = place.file.read()
    assert await place.opens_with(first) == SECRETS


async def test_a_key_that_is_missing_is_named_by_its_id(place: Place) -> None:
    await place.fill(Vault([NEW]), "d")
    missing = key_id(NEW).hex()
    told = await place.keys("status")
    assert told.status == 1
    assert f"{missing}  missing  seals 1 value, such as that of monitor 4\n" in told.out
    told = await place.keys("rotate")
    assert told.status == 1
    assert f"The key {missing} seals 1 value, such as that of monitor 4, and is not in {place.file.path}" in told.err
    first, _ = place.file.read()
    # Put behind the others, as was said, it is all well.
    place.file.replace([first, OLD, NEW], instead_of=[first, OLD])
    assert (await place.keys("rotate")).status == 0
    assert await place.opens_with(first) == {*SECRETS, "secret of d"}


async def test_another_file_than_monitords_touches_nothing(place: Place, tmp_path: Path) -> None:
    place.state = tmp_path / "elsewhere"
    for command in ("status", "rotate", "retire"):
        refused = await place.keys(command)
        assert refused.status == 1
        assert f"There is no {place.state / KEY_FILE}" in refused.err
        assert "MONITORD_STATE_DIR" in refused.err
    assert not place.state.exists()


async def test_a_damaged_value_is_named_and_does_not_stand_in_the_way_of_a_rotation(place: Place) -> None:
    async with place.database.connection() as held:
        await held.execute("UPDATE monitors SET secrets = set_byte(secrets, 30, 0) WHERE name = 'b'")
    told = await place.keys("rotate")
    assert told.status == 1
    assert "The secrets of monitor 2 could not be opened: damaged, or sealed for another place." in told.err
    assert f"Still in use besides the first key: {key_id(OLD).hex()} seals 1 value" in told.err
    assert len(place.file.read()) == 2
    assert (await place.keys("rotate")).status == 1
    assert len(place.file.read()) == 3, "who wants another key now gets one"
    assert (await place.keys("retire")).status == 1
    async with place.database.connection() as held:
        await held.execute("DELETE FROM monitors WHERE name = 'b'")
    assert (await place.keys("retire")).status == 0


async def test_what_is_sealed_with_an_old_key_at_the_last_moment_keeps_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await place.keys("rotate")).status == 0
    loop = asyncio.get_running_loop()

    async def meanwhile(_: object) -> None:
        """Come between the first look and the second one, as a monitord that is slow to notice."""
        late = asyncio.run_coroutine_threadsafe(place.fill(Vault([OLD]), "d"), loop)
        await asyncio.wrap_future(late)

    monkeypatch.setattr(key_rotation, "_refuse_to_break_ping_urls", meanwhile)
    refused = await place.keys("retire")
    assert (refused.status, f"{key_id(OLD).hex()} seals 1 value" in refused.err) == (1, True)
    assert len(place.file.read()) == 2
    assert [action for action, *_ in await place.audited()] == ["rotated"]


async def test_urls_of_heartbeats_are_not_broken_in_silence(place: Place) -> None:
    store = MonitorStore(place.database, Vault([OLD]))
    for number in range(7):
        await store.create(place.org, MonitorSpec(name=f"job {number}", check=HeartbeatCheck(period_s=60)))
    assert (await place.keys("rotate")).status == 0
    refused = await place.keys("retire")
    assert refused.status == 1
    assert "4 'job 0', 5 'job 1', 6 'job 2', 7 'job 3', 8 'job 4' and 2 more" in refused.err
    assert "--break-ping-urls" in refused.err
    assert len(place.file.read()) == 2
    assert (await place.keys("retire", break_ping_urls=True)).status == 0
    assert len(place.file.read()) == 1


async def test_keys_of_the_setting_are_changed_by_the_operator_who_is_told_how(place: Place) -> None:
    place.file.path.unlink()
    place.setting = [OLD]
    told = await place.keys("rotate")
    assert told.status == 0
    assert "Nothing has changed yet." in told.err
    name, _, value = told.out.strip().partition("=")
    assert name == "MONITORD_SECRET_KEY"
    assert await place.opens_with(OLD) == SECRETS, "as monitord still has the old one alone"
    made = load({name: value}).secret_key
    assert made is not None
    place.setting = key_rotation.Keys.of(load({name: value})).masters
    assert place.setting[1] == OLD
    assert OLD.hex() not in told.err

    told = await place.keys("rotate")
    assert (told.status, told.out) == (0, "")
    assert await place.opens_with(place.setting[0]) == SECRETS
    told = await place.keys("retire")
    assert (told.status, told.out) == (0, "")
    assert "Leave in MONITORD_SECRET_KEY only what stands before the first comma" in told.err
    # And once more, while the old key is still there.
    assert (await place.keys("rotate")).out.count(",") == 2
    assert not place.file.path.exists()


async def test_a_setting_that_was_followed_is_understood_where_nothing_is_sealed_yet(place: Place) -> None:
    async with place.database.connection() as held:
        await held.execute("DELETE FROM monitors")
    place.setting = [NEW, OLD]
    told = await place.keys("rotate")
    assert (told.status, told.out) == (0, "")
    assert f"The key {key_id(NEW).hex()} seals everything" in told.err
    assert "MONITORD_SECRET_KEY=" in (await place.keys("rotate")).out


async def test_an_interruption_says_what_it_leaves(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(job: object) -> int:
        job.close()  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(key_rotation, "run_job", interrupted)
    told = await place.keys("rotate")
    assert (told.status, "`monitord keys rotate` goes on with the rest" in told.err) == (130, True)


def test_no_key_is_in_the_representation() -> None:
    text = repr(key_rotation.Keys([OLD], None))
    assert spelled([OLD]).strip() not in text
    assert "x00" not in text
