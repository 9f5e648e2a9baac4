"""Two tenants, and what one of them can reach."""

from collections.abc import AsyncIterator

import pytest

from monitord.storage.database import Database
from monitord.storage.tenancy import TenantDatabase
from tests.support.postgres import tenants_of
from tests.support.two_tenants import Things, things


@pytest.fixture
async def ours(database: Database) -> Things:
    return await things(database, "ann")


@pytest.fixture
async def theirs(database: Database) -> Things:
    return await things(database, "bob")


@pytest.fixture
async def tenants(database: Database) -> AsyncIterator[TenantDatabase]:
    """The pool for callers, with one connection: whoever comes next gets what the last one left."""
    async with tenants_of(database.dsn, pool_size=1) as opened:
        yield opened
