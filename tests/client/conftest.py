from collections.abc import AsyncIterator

import pytest_asyncio

from monitord_client import Client
from monitord_client.backoff import Backoff
from tests.client.fake_monitord import KEY, FakeMonitord


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeMonitord]:
    fake = FakeMonitord()
    await fake.start()
    yield fake
    await fake.stop()


@pytest_asyncio.fixture
async def client(server: FakeMonitord) -> AsyncIterator[Client]:
    async with Client(server.address, api_key=KEY) as opened:
        opened._calls.backoff = Backoff(first_s=0.001, limit_s=0.002)
        yield opened
