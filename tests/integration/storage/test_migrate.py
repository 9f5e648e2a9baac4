"""Migrations: once, by one process, and never backwards."""

import asyncio
import subprocess
import sys

import pytest

from monitord.domain.errors import FailedPreconditionError, UnavailableError
from monitord.storage.database import Database, connect, disconnect
from monitord.storage.migrate import migrate, revisions
from tests.support.postgres import Cluster


async def test_an_empty_database_is_migrated_once_by_whoever_comes_first(cluster: Cluster) -> None:
    async with cluster.database(template="template1") as dsn:
        assert sorted(await asyncio.gather(migrate(dsn), migrate(dsn), migrate(dsn))) == [False, False, True]
        assert await migrate(dsn) is False
        database = Database(dsn)
        await database.open()
        async with database.connection() as held:
            assert await held.fetchval("SELECT version_num FROM alembic_version") == revisions()[-1]
            assert await held.fetchval("SELECT count(*) FROM shards") == 1
        await database.close()


async def test_a_newer_database_is_refused_with_a_sentence(database_url: str) -> None:
    connection = await connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await disconnect(connection)
    with pytest.raises(FailedPreconditionError, match="schema 9999, which this monitord does not know"):
        await migrate(database_url)


async def test_a_failed_migration_leaves_nothing_behind(cluster: Cluster) -> None:
    async with cluster.database(template="template1") as dsn:
        connection = await connect(dsn)
        await connection.execute("CREATE TABLE alerts (id int)")
        with pytest.raises(Exception, match="alerts"):
            await migrate(dsn)
        assert await connection.fetchval("SELECT to_regclass('organisations')") is None
        await connection.execute("DROP TABLE alerts")
        await disconnect(connection)
        assert await migrate(dsn) is True


async def test_a_server_that_is_away_is_unavailable(unused_tcp_port: int) -> None:
    with pytest.raises(UnavailableError):
        await migrate(f"postgresql://x@127.0.0.1:{unused_tcp_port}/x", within_s=0.3)


async def test_a_current_database_costs_no_import_of_alembic(database_url: str) -> None:
    program = (
        "import asyncio, sys; from monitord.storage.migrate import migrate; "
        "assert asyncio.run(migrate(sys.argv[1])) is False; "
        "print(sorted({'alembic', 'sqlalchemy'} & set(sys.modules)))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, database_url, stdout=subprocess.PIPE)
    assert (await asyncio.wait_for(process.communicate(), 60))[0] == b"[]\n"


def test_every_revision_has_a_script_and_follows_the_one_before() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from monitord.storage import migrate as module

    config = Config()
    config.set_main_option("script_location", str(module._FOLDER))
    config.set_main_option("path_separator", "os")
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert known[::-1] == revisions()
