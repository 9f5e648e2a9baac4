"""monitord and monitorctl as processes of their own, started as a user starts them.

Most are forks of one that has imported everything (``preloaded``), as the imports are most of a start's work; ``real``
ones are begun by Python itself.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar

import aiohttp
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from monitord_client import Client
from tests.support.preloaded import Forked, forks

T = TypeVar("T")

START_S = 60.0
"""A first start makes a database; two cores may be shared by many tests."""
STOP_S = 60.0
_POLL_S = 0.05

_GRPC = re.compile(r"gRPC API +(\S+:\d+)")
_METRICS = re.compile(r"metrics +(http://\S+:\d+)/metrics")
_KEY = re.compile(r"mk_\S+")
_OWN = re.compile(r"MONITORD_|DATABASE_URL$|POSTGRES_CONNECTION$|PORT$|FIREBASE_|CLOUDINARY_|SCREENSHOTONE_|SMTP_|XDG_")
_BUGS = ("Traceback (most recent call last)", "was never awaited", "exception was never retrieved")


async def until(look: Callable[[], Awaitable[T]], what: str, *, within_s: float = 15.0) -> T:
    """Look again and again until the answer is true, and return it; fail with ``what`` when that takes too long."""
    deadline = time.monotonic() + within_s
    while not (answer := await look()):
        assert time.monotonic() < deadline, f"{what}: not within {within_s:g} s; the last look gave {answer!r}"
        await asyncio.sleep(_POLL_S)
    return answer


def environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return a user's environment: this one without anything that monitord reads, with the given settings."""
    kept = {name: value for name, value in os.environ.items() if not _OWN.match(name)}
    return kept | {"HOME": str(folder), "PYTHONUNBUFFERED": "1"} | dict(settings)


class Monitord:
    """One process of ``python -m monitord``. What it says goes to files, so it never waits for a reader."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        name: str = "1",
        real: bool = False,
    ) -> None:
        """Start it in ``folder``, on free ports and with its state below ``folder`` unless the settings differ."""
        self.settings = {
            "MONITORD_STATE_DIR": str(folder / "state"),
            "MONITORD_PORT": "0",
            "MONITORD_METRICS_PORT": "0",
            "MONITORD_PING_PORT": "0",
            "MONITORD_CONSOLE": "none",
            **(settings or {}),
        }
        self.folder = folder
        self.state = Path(self.settings["MONITORD_STATE_DIR"])
        self._stdout, self._stderr = folder / f"{name}.stdout", folder / f"{name}.stderr"
        arguments, env = arguments or ("run",), environment(folder, self.settings)
        with Path(os.devnull).open("rb") as stdin, self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process: subprocess.Popen[bytes] | Forked
            if real:
                command = (sys.executable, "-m", "monitord", *arguments)
                self.process = subprocess.Popen(command, cwd=folder, env=env, stdin=stdin, stdout=stdout, stderr=stderr)
            else:
                self.process = forks().start("monitord", arguments, folder, env, (stdin, stdout, stderr))

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def address(self) -> str:
        """Where the gRPC API is, as the banner says it."""
        return _only(_GRPC, self.stdout)

    @property
    def web(self) -> str:
        """The URL of the HTTP listener, as the banner says it."""
        return _only(_METRICS, self.stdout)

    @property
    def shown_key(self) -> str | None:
        """The key that the banner shows; None after the first start."""
        found = _KEY.search(self.stdout)
        return found[0] if found else None

    @property
    def key(self) -> str:
        """The first administrator's key, from the state folder."""
        return (self.state / "admin.key").read_text().strip()

    def client(self, *, key: str | None = None, retries: int = 3) -> Client:
        return Client(self.address, api_key=key or self.key, retries=retries)

    async def started(self) -> "Monitord":
        """Return once the banner is printed whole; raise with what was said if the process ends before."""

        async def look() -> bool:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.stdout}{self.stderr}"
            return "Try next" in self.stdout

        await until(look, "the banner", within_s=START_S)
        return self

    async def said(self, text: str, *, within_s: float = 15.0) -> str:
        """Return all of stderr once it holds ``text``."""

        async def look() -> bool:
            return text in self.stderr

        await until(look, f"{text!r} on stderr", within_s=within_s)
        return self.stderr

    async def ended(self, *, within_s: float = STOP_S) -> int:
        """Return the exit status once the process has ended."""

        async def look() -> bool:
            return self.process.poll() is not None

        await until(look, f"the end of the process, which says {self.stderr[-2000:]}", within_s=within_s)
        status = self.process.returncode
        assert status is not None
        return status

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Tell it to stop and return the exit status."""
        self.process.send_signal(number)
        return await self.ended()

    async def metrics(self) -> dict[str, Metric]:
        """Return the families of /metrics, as Prometheus' own parser reads them, by name."""
        _, text = await self.get("/metrics")
        return {family.name: family for family in text_string_to_metric_families(text)}

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and text of a page of the HTTP listener."""
        async with aiohttp.ClientSession() as session, session.get(self.web + path) as answer:
            return answer.status, await answer.text()

    def assert_no_bug_shows(self) -> None:
        """Fail if the process has printed what only a bug prints."""
        said = self.stdout + self.stderr
        assert not any(sign in said for sign in _BUGS), said[-4000:]
        assert '"level": "error"' not in said, said[-4000:]


def _only(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    assert found, f"no {pattern.pattern} in {text!r}"
    return found[1]


@contextlib.asynccontextmanager
async def monitord(
    folder: Path,
    *arguments: str,
    settings: Mapping[str, str] | None = None,
    name: str = "1",
    real: bool = False,
) -> AsyncIterator[Monitord]:
    """Run a monitord for the block; stop it if it still runs by then, and fail if it shows bugs or does not stop."""
    process = Monitord(folder, *arguments, settings=settings, name=name, real=real)
    try:
        yield await process.started()
        if process.process.poll() is None:
            assert await process.stop() == 0, process.stderr
        process.assert_no_bug_shows()
    finally:
        if process.process.poll() is None:
            process.process.kill()
            process.process.wait()


async def run_monitord(
    folder: Path,
    *arguments: str,
    settings: Mapping[str, str] | None = None,
    stdin: str = "",
    limit_s: float = START_S,
    real: bool = False,
) -> "Answer":
    """Run a command of monitord that ends by itself."""
    env = environment(folder, settings or {})
    if not real:
        return await _fork("monitord", arguments, folder, env, stdin, limit_s)
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "monitord", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd=folder)
    try:
        async with asyncio.timeout(limit_s):
            stdout, stderr = await process.communicate(stdin.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Answer(process.returncode, stdout.decode(), stderr.decode())


async def _fork(
    program: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str], stdin: str, limit_s: float
) -> "Answer":
    """Run a program to its end."""
    with TemporaryFile() as given, TemporaryFile() as stdout, TemporaryFile() as stderr:
        given.write(stdin.encode())
        given.seek(0)
        process = forks().start(program, arguments, folder, env, (given, stdout, stderr))
        try:
            async with asyncio.timeout(limit_s):
                status = await process.ended()
        finally:
            process.kill()
            process.wait()
        for file in (stdout, stderr):
            file.seek(0)
        return Answer(status, stdout.read().decode(), stderr.read().decode())


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended, and what it printed."""

    status: int
    stdout: str
    stderr: str


class Monitorctl:
    """Runs monitorctl against one server, as one user with a home of their own."""

    def __init__(self, folder: Path, address: str, key: str | None) -> None:
        self._environment = environment(folder, {"MONITORD_ADDRESS": address, "XDG_STATE_HOME": str(folder / "xdg")})
        if key is not None:
            self._environment["MONITORD_API_KEY"] = key
        self._folder = folder

    async def __call__(self, *arguments: str, stdin: str = "", limit_s: float = START_S) -> Answer:
        """Run one command to its end."""
        return await _fork("monitorctl", arguments, self._folder, self._environment, stdin, limit_s)

    async def ok(self, *arguments: str, stdin: str = "") -> str:
        """Run a command that has to succeed, and return what it prints."""
        answer = await self(*arguments, stdin=stdin)
        assert answer.status == 0, f"monitorctl {' '.join(arguments)}: {answer}"
        return answer.stdout

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Begin a command that goes on; the caller ends it."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "monitord_client.monitorctl", *arguments)
        return await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment, cwd=self._folder
        )
