from collections.abc import AsyncIterator

import pytest

from tests.integration.rpc.conftest import api as api
from tests.support.connect import Web, bridged
from tests.support.rpc_server import Api


@pytest.fixture
async def web(api: Api) -> AsyncIterator[Web]:
    async with bridged(api) as running:
        yield running
