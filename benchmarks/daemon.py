"""A monitord under measurement: a real process on a core of its own, with a real Postgres beside it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import asyncpg

from benchmarks.processes import MEASURED, Usage, on_core, usage
from monitord.storage.private_server import PrivateServer
from monitord_client import Client
from monitord_client.v1 import monitor_pb2

_READY_S = 60
_STOP_S = 30


@dataclass
class Daemon:
    """Handles on the running pair."""

    pid: int
    postgres_pid: int
    address: str
    key: str
    metrics_port: int
    database: asyncpg.Connection
    client: Client

    def monitord(self) -> Usage:
        """Return what monitord used so far."""
        return usage(self.pid)

    def postgres(self) -> Usage:
        """Return what Postgres and its backends used so far."""
        return usage(self.postgres_pid, children=True)

    async def resize(self, count: int, interval_s: int, url: str) -> None:
        """Make the stored set exactly ``count`` monitors of one URL."""
        wanted = [_monitor(n, interval_s, url) for n in range(count)]
        for start in range(0, count, 1000):
            await self.client.apply_monitors(wanted[start : start + 1000], timeout_s=120)


def _monitor(number: int, interval_s: int, url: str) -> monitor_pb2.Monitor:
    monitor = monitor_pb2.Monitor(name=f"bench {number:06}")
    monitor.interval.FromSeconds(interval_s)
    monitor.timeout.FromMilliseconds(min(10_000, interval_s * 1000))
    monitor.http.url = url
    return monitor


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"monitord ended with {process.returncode} before it was ready")
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except (URLError, OSError):
            await asyncio.sleep(0.1)
    raise RuntimeError(f"monitord was not ready within {_READY_S} s")


@asynccontextmanager
async def daemon(
    folder: Path, settings: Mapping[str, str] | None = None, *, module: str = "monitord"
) -> AsyncIterator[Daemon]:
    """Start Postgres and monitord, or a module that does the same, in an empty folder, and end both."""
    postgres = PrivateServer(folder)
    dsn = await postgres.start()
    port, metrics_port = free_port(), free_port()
    environment = {
        **os.environ,
        "MONITORD_STATE_DIR": str(folder / "monitord"),
        "MONITORD_DATABASE_URL": dsn,
        "MONITORD_PORT": str(port),
        "MONITORD_METRICS_PORT": str(metrics_port),
        "MONITORD_PING_PORT": "0",
        "MONITORD_MIN_INTERVAL_S": "1",
        "MONITORD_MAX_CHECKS_PER_HOST": "500",
        "MONITORD_RPC_RATE": "0",
        **(settings or {}),
    }
    command = [sys.executable, "-m", module, "run", "--console", "none"]
    with (folder / "monitord.log").open("wb") as log:
        process = subprocess.Popen(on_core(MEASURED, command), env=environment, stdout=log, stderr=log)
    try:
        await _ready(metrics_port, process)
        key = (folder / "monitord" / "admin.key").read_text().strip()
        address = f"127.0.0.1:{port}"
        database = await asyncpg.connect(dsn)
        try:
            async with Client(address, api_key=key) as client:
                yield Daemon(process.pid, postgres.pid, address, key, metrics_port, database, client)
        finally:
            await database.close()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        await postgres.stop()
