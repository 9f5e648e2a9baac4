from collections.abc import AsyncIterator

import pytest

from monitord.storage.database import Database
from tests.integration.conftest import cluster as cluster
from tests.integration.conftest import database as database
from tests.integration.conftest import database_url as database_url
from tests.support.rpc_server import Api, running_api


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Api]:
    async with running_api(database, real_feed=True) as running:
        yield running
