from collections.abc import AsyncIterator

import pytest

from monitord.storage.database import Database
from tests.support.rpc_server import Api, running_api


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Api]:
    async with running_api(database) as running:
        yield running
