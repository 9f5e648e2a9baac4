"""One Postgres for the tests of this process, and one monitord for those that can share it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from monitord_client import Client
from tests.e2e.target import Target, target
from tests.integration.conftest import cluster as cluster
from tests.integration.conftest import database as database
from tests.integration.conftest import database_url as database_url
from tests.support.postgres import Cluster
from tests.support.process import Monitorctl, Monitord, monitord
from tests.support.scratch import scratch

FAST = {"MONITORD_MIN_INTERVAL_S": "1", "MONITORD_MAX_CHECKS_PER_HOST": "200", "MONITORD_RPC_RATE": "0"}
"""Checks every second, so that tests need not wait for them, of targets that are all on this machine. And tests look
again and again, as often as they like."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that Postgres can enter too when the tests run as root, which pytest's own is not."""
    with scratch() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
async def up() -> AsyncIterator[Target]:
    """A target that works, until the test switches it."""
    async with target() as running:
        yield running


@pytest.fixture(scope="session")
def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitord]:
    """A running monitord for tests that leave it as it was but for monitors, which go after each test."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            dsn = runner.run(stack.enter_async_context(cluster.database()))
            process = monitord(tmp_path_factory.mktemp("shared"), settings={**FAST, "MONITORD_DATABASE_URL": dsn})
            yield runner.run(stack.enter_async_context(process))
        finally:
            runner.run(stack.aclose())


@pytest.fixture
async def client(shared: Monitord) -> AsyncIterator[Client]:
    """A client of the shared monitord, as its administrator; what a test made with it goes afterwards."""
    async with shared.client() as opened:
        yield opened
        await opened.apply_monitors([], prune=True)


@pytest.fixture
def ctl(shared: Monitord, client: Client, tmp_path: Path) -> Monitorctl:
    """The command of the shared monitord's administrator; what a test made with it goes afterwards."""
    return Monitorctl(tmp_path, shared.address, shared.key)
