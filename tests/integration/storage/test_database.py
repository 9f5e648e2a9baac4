"""The pool: what it turns into UnavailableError, and how it heals."""

import asyncio

import asyncpg
import pytest

from monitord.domain.errors import UnavailableError
from monitord.storage.database import Database
from tests.integration.ledger.cut import proxy
from tests.support.postgres_wire import NOTICE, error


async def test_answers(database: Database) -> None:
    await database.ping()


async def test_a_rolled_back_transaction_leaves_nothing(database: Database) -> None:
    async def failing() -> None:
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO organisations (name) VALUES ('x')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    async with database.connection() as held:
        assert await held.fetchval("SELECT count(*) FROM organisations") == 0


async def test_jsonb_goes_in_and_comes_out_as_values(database: Database) -> None:
    async with database.connection() as held:
        assert await held.fetchval("SELECT $1::jsonb", {"a": [1, "é"]}) == {"a": [1, "é"]}


async def test_heals_after_its_backends_were_terminated(database: Database) -> None:
    with pytest.raises(UnavailableError):
        async with database.connection() as held:
            await held.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")
    await database.ping()


async def test_what_a_server_says_before_it_closes_is_that_it_is_away(database_url: str) -> None:
    """(I17): the last word comes to a connection that had asked nothing, and the end of it a moment later."""
    told = asyncio.Event()
    async with proxy(database_url) as between:
        database = Database(between.dsn, pool_size=1)
        await database.open()

        async def asking() -> None:
            async with database.connection() as held:
                await held.fetchval("SELECT 1")
                held.add_log_listener(lambda *_: told.set())
                between.say(error("57P01", "terminating connection due to administrator command") + NOTICE)
                async with asyncio.timeout(5):
                    await told.wait()
                await held.fetchval("SELECT 1")

        with pytest.raises(UnavailableError, match="closing the connection"):
            await asking()
        await database.ping()
        await database.close()


async def test_a_wrong_statement_is_our_bug_and_stays_visible(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with database.connection() as held:
            await held.execute("SELECT * FROM nowhere")
    with pytest.raises(asyncpg.InterfaceError):
        async with database.connection() as held:
            await held.fetchval("SELECT $1::int", 1, 2)


async def test_a_closed_database_is_unavailable() -> None:
    with pytest.raises(UnavailableError):
        async with Database("postgresql://x@127.0.0.1:1/x").connection():
            pass


async def test_nobody_listening_is_unavailable(unused_tcp_port: int) -> None:
    with pytest.raises(UnavailableError):
        await Database(f"postgresql://x@127.0.0.1:{unused_tcp_port}/x").open()
