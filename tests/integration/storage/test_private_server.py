"""The private Postgres: made, repaired, found, ended; as root and as an ordinary user."""

import asyncio
import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from monitord.domain.errors import FailedPreconditionError, UnavailableError
from monitord.storage import private_files, stale_server
from monitord.storage.database import Database, connect, disconnect
from monitord.storage.private_server import PrivateServer
from tests.support.scratch import scratch

_LIMIT_S = 60
_PYTHON = Path(sys.executable).resolve()
_UNSAFE_BUT_FAST = {"fsync": "off", "shared_buffers": "16MB"}
_AS_A_PROCESS = """
import asyncio, pathlib, sys
from monitord.storage.private_server import PrivateServer
async def main():
    server = PrivateServer(pathlib.Path(sys.argv[1]), settings={"fsync": "off", "shared_buffers": "16MB"})
    print(await server.start(), server.pid, flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs the parent-death signal")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder that does not exist yet, with a name that needs care everywhere."""
    with scratch() as folder:
        Path(folder).chmod(0o711)
        # A socket's folder that a killed server leaves behind goes with the rest.
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder) / 'it\'s, "my" state'


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A state folder with a database in it, to be copied: making one is what takes long."""
    with scratch() as folder, asyncio.Runner() as runner:
        server = _server(Path(folder))
        runner.run(server.start())
        runner.run(server.stop())
        yield Path(folder)


@pytest.fixture
def state(made: Path, fresh: Path) -> Path:
    """A state folder of an earlier start."""
    subprocess.run(["cp", "-a", str(made), str(fresh)], check=True)
    return fresh


def _server(state: Path, announce: Callable[[str], None] = lambda _: None) -> PrivateServer:
    return PrivateServer(state, announce=announce, settings=_UNSAFE_BUT_FAST)


async def _fetchval(dsn: str, query: str) -> object:
    connection = await connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await disconnect(connection)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_LIMIT_S):
        while not condition():  # noqa: ASYNC110 - files and processes have no event
            await asyncio.sleep(0.01)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _owner(path: Path) -> int:
    return path.stat().st_uid


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@asynccontextmanager
async def _running(state: Path, first: str = "") -> AsyncIterator[tuple[asyncio.subprocess.Process, str, int]]:
    """A process of its own that runs a private server, with the server's connection string and process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", first + _AS_A_PROCESS, str(state), cwd="/", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_LIMIT_S):
            dsn, pid = (await process.stdout.readline()).decode().split()
        yield process, dsn, int(pid)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_starts_keeps_its_data_and_stops(fresh: Path) -> None:
    told: list[str] = []
    server = _server(fresh, told.append)
    dsn = await server.start()
    await _fetchval(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    pid = server.pid
    assert pid is not None
    await server.stop()
    await server.stop()
    assert not _alive(pid)
    assert any("Creating" in sentence for sentence in told)
    again = _server(fresh, told.append)
    told.clear()
    assert await again.start() == dsn
    assert await _fetchval(dsn, "SELECT answer FROM kept") == 42
    await again.stop()
    assert told == []


async def test_is_private(state: Path) -> None:
    server = _server(state)
    dsn = await server.start()
    try:
        settings = "current_setting('listen_addresses') || current_setting('password_encryption')"
        assert await _fetchval(dsn, f"SELECT {settings}") == "scram-sha-256"
        assert await _fetchval(dsn, "SELECT datlocprovider::text || datlocale FROM pg_database LIMIT 1") == "bC.UTF-8"
        for file in (state / "postgres.password", state / "postgres.log"):
            assert _mode(file) == 0o600
        assert _mode(Path(dsn.partition("host=")[2].partition("&")[0])) == 0o700
        secret = (state / "postgres.password").read_text().strip()
        with pytest.raises(FailedPreconditionError, match="password authentication failed"):
            await connect(dsn.replace(secret, "wrong"))
    finally:
        await server.stop()


async def test_a_crash_is_noticed_and_the_database_comes_back_by_itself(state: Path) -> None:
    server = _server(state)
    database = Database(await server.start())
    await database.open()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    async with asyncio.timeout(_LIMIT_S):
        assert "ended unexpectedly (signal 9)" in await server.wait()
    with pytest.raises(UnavailableError):
        await database.ping()
    await server.start()
    await database.ping()
    await database.close()
    await server.stop()


@only_linux
async def test_it_dies_with_a_monitord_that_is_killed(state: Path) -> None:
    async with _running(state) as (process, _, pid):
        process.kill()
        await process.wait()
        await _until(lambda: not _alive(pid))


@only_linux
async def test_a_server_that_was_left_running_is_ended_first(state: Path) -> None:
    async with _running(state) as (process, _, pid):
        # Frozen, it neither hears the parent-death signal nor ends: as where there is no such signal.
        os.kill(pid, signal.SIGSTOP)
        process.kill()
        await process.wait()
        told: list[str] = []
        server = _server(state, told.append)
        starting = asyncio.create_task(server.start())
        await _until(lambda: bool(told))
        os.kill(pid, signal.SIGCONT)
        dsn = await starting
        assert told == [f"Stopping the database (process {pid}) that an earlier monitord left running."]
        assert not _alive(pid)
        assert await _fetchval(dsn, "SELECT 1") == 1
        await server.stop()


async def test_a_lock_file_that_names_a_stranger_is_no_server(state: Path) -> None:
    """After a reboot the process id may be anyone's: here, our own."""
    server = _server(state)
    await server.start()
    data = (state / "postgres").resolve() / "data"
    lock = (data / "postmaster.pid").read_text().splitlines()
    await server.stop()
    (data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lock[1:]]) + "\n")
    assert not stale_server.serves(os.getpid(), data, os.getuid())
    dsn = await server.start()
    assert await _fetchval(dsn, "SELECT 1") == 1
    await server.stop()


async def test_two_on_one_folder_are_refused_with_a_sentence(state: Path) -> None:
    first, second = _server(state), _server(state)
    dsn = await first.start()
    with pytest.raises(FailedPreconditionError, match=rf"Another monitord \(process {os.getpid()}\) is using"):
        await second.start()
    assert await _fetchval(dsn, "SELECT 1") == 1
    await first.stop()
    await second.start()
    await second.stop()


async def test_a_creation_that_was_cut_short_is_repaired(fresh: Path) -> None:
    server = _server(fresh)
    starting = asyncio.create_task(server.start())
    await _until(lambda: any((fresh / "postgres").glob("data.new-*/PG_VERSION")))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not (fresh / "postgres" / "data").exists()
    (fresh / "postgres" / "data.new-leftover").mkdir()
    (fresh / "postgres" / "data").mkdir()
    dsn = await server.start()
    assert await _fetchval(dsn, "SELECT 1") == 1
    await server.stop()
    assert not list((fresh / "postgres").glob("data.new-*"))
    assert not list((fresh / "postgres").glob("secret-*"))


async def test_a_server_that_cannot_start_says_why(state: Path) -> None:
    server = PrivateServer(state, settings={**_UNSAFE_BUT_FAST, "shared_buffers": "nonsense"})
    with pytest.raises(UnavailableError, match='invalid value for parameter "shared_buffers"'):
        await server.start()
    assert server.pid is None
    usable = _server(state)
    await usable.start()
    await usable.stop()


async def test_data_of_another_major_version_is_refused(state: Path) -> None:
    server = _server(state)
    await server.start()
    await server.stop()
    ((state / "postgres").resolve() / "data" / "PG_VERSION").write_text("13\n")
    with pytest.raises(FailedPreconditionError, match="made by Postgres 13"):
        await server.start()


async def test_a_lost_password_is_not_papered_over(state: Path) -> None:
    server = _server(state)
    await server.start()
    await server.stop()
    (state / "postgres.password").unlink()
    with pytest.raises(FailedPreconditionError, match="restore it from a backup"):
        await server.start()


async def test_a_frozen_server_does_not_hold_up_the_end(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitord.storage.private_server._STOP", ((signal.SIGINT, 0.1), (signal.SIGQUIT, 0.1)))
    server = _server(state)
    await server.start()
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    await server.stop()
    assert time.monotonic() - begun < 10
    assert not _alive(pid)


@only_root
async def test_root_runs_it_as_somebody_else(state: Path) -> None:
    server = _server(state)
    await server.start()
    owners = {_owner(Path(f"/proc/{server.pid}")), _owner(state / "postgres" / "data")}
    assert owners == {private_files.account().uid} != {0}
    await server.stop()


@only_root
async def test_below_a_closed_folder_the_data_is_elsewhere_and_stays(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in root's home, which nobody else may pass."""
    elsewhere = fresh.parent / "var"
    elsewhere.mkdir(mode=0o755)
    monkeypatch.setattr(private_files, "_ROOT_HOME", elsewhere)
    monkeypatch.setattr(private_files.Account, "runs", lambda self, program: False)
    closed = fresh.parent / "closed"
    closed.mkdir(mode=0o700)
    told: list[str] = []
    server = _server(closed / "state", told.append)
    await server.start()
    await server.stop()
    home = (closed / "state" / "postgres").resolve()
    assert home.parent == elsewhere
    assert (home / "data" / "PG_VERSION").exists()
    assert [path.name for path in home.glob("binaries-*")]
    assert str(home) in told[0]
    # Whatever the modes are later, the data that is there is used.
    closed.chmod(0o755)
    told.clear()
    await server.start()
    await server.stop()
    assert told == []


@only_root
async def test_works_for_an_ordinary_user() -> None:
    nobody = pwd.getpwnam("nobody")
    if not private_files.Account(nobody.pw_uid, nobody.pw_gid).runs(_PYTHON):
        pytest.skip("another user cannot run this Python")
    become = f"import os; os.setgroups([]); os.setgid({nobody.pw_gid}); os.setuid({nobody.pw_uid})\n"
    with scratch() as folder:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        async with _running(Path(folder) / "state", become) as (process, dsn, pid):
            assert await _fetchval(dsn, "SELECT 1") == 1
            process.kill()
            await process.wait()
            await _until(lambda: not _alive(pid))
