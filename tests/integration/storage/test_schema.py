"""The schema and every statement that is written against it."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest

import monitord.storage
from monitord.domain.health import Status
from monitord.domain.queries import MonitorOrder, MonitorQuery
from monitord.storage.database import Database
from monitord.storage.monitor_rows import page_statement

_STATEMENT = re.compile(r"\s*\(?\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s", re.IGNORECASE)


def _statements() -> Iterator[tuple[str, str]]:
    for module in pkgutil.iter_modules(monitord.storage.__path__, "monitord.storage."):
        if module.ispkg or module.name.endswith(".launch"):
            continue
        for name, value in inspect.getmembers(importlib.import_module(module.name)):
            # A brace marks a template of which other constants are made.
            if isinstance(value, str) and name.lstrip("_").isupper() and _STATEMENT.match(value) and "{" not in value:
                yield f"{module.name.removeprefix('monitord.storage.')}.{name}", value


_ALL = dict(_statements())


def test_statements_are_found() -> None:
    modules = {name.partition(".")[0] for name in _ALL}
    assert modules >= {"assignments", "janitor", "logs", "monitor_rows", "monitor_sets", "monitor_writes", "requests"}


async def test_every_statement_fits_the_schema(database: Database) -> None:
    async with database.connection() as held:
        for name, statement in _ALL.items():
            try:
                await held.prepare(statement)
            except Exception as error:
                pytest.fail(f"{name}: {error}")


@pytest.mark.parametrize("order", MonitorOrder)
async def test_a_list_with_every_condition_fits_the_schema(database: Database, order: MonitorOrder) -> None:
    after = "m" if order in (MonitorOrder.NAME, MonitorOrder.NAME_DESC) else 3
    everything = MonitorQuery(
        order=order,
        after=after,
        statuses=(Status.UP,),
        types=("http",),
        active=True,
        labels={"a": "b"},
        names=("x",),
    )
    async with database.connection() as held:
        for query in (everything, MonitorQuery(order=order)):
            statement, arguments = page_statement(1, query, 0)
            assert await held.fetch(statement, *arguments) == []


async def test_every_foreign_key_has_an_index(database: Database) -> None:
    """Without one, deleting what it points to reads the whole table."""
    async with database.connection() as held:
        missing = await held.fetch("""
            SELECT c.conrelid::regclass AS table, c.conname AS key FROM pg_constraint AS c
            WHERE c.contype = 'f' AND c.conparentid = 0 AND NOT EXISTS (
                SELECT FROM pg_index AS i WHERE i.indrelid = c.conrelid AND i.indpred IS NULL
                  AND (i.indkey::smallint[])[0:cardinality(c.conkey) - 1] @> c.conkey)
        """)
    assert [(row["table"], row["key"]) for row in missing] == []


async def test_every_owned_row_names_its_organisation(database: Database) -> None:
    """Directly, or through a user (T9)."""
    async with database.connection() as held:
        tables = {
            row[0]: set(row[1])
            for row in await held.fetch("""
                SELECT c.relname, array_agg(a.attname::text) FROM pg_class AS c
                JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
                WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace GROUP BY 1
            """)
        }
    unowned = {name for name, columns in tables.items() if not columns & {"org_id", "user_id"}}
    # A proof of an address belongs to nobody yet: its address is the key.
    assert unowned == {"organisations", "plans", "shards", "alembic_version", "address_proofs"}
