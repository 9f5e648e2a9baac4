"""A server per test process, a database per test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from monitord.storage.database import Database
from tests.support.postgres import Cluster, running_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running Postgres, shared by the tests of this process."""
    with running_cluster() as running:
        yield running


@pytest.fixture
async def database_url(cluster: Cluster) -> AsyncIterator[str]:
    """The connection string of a migrated, empty database of the test's own."""
    async with cluster.database() as dsn:
        yield dsn


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The test's own database, opened."""
    opened = Database(database_url, pool_size=4)
    await opened.open()
    yield opened
    await opened.close()
