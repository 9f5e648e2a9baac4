"""Raising the second wall: the role, its rights, and that no table is forgotten (T9)."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest
from structlog.testing import capture_logs

from monitord.domain.errors import FailedPreconditionError
from monitord.identity.tenant import Tenant
from monitord.startup import pools
from monitord.storage import partitions
from monitord.storage.database import Database, connect, disconnect
from monitord.storage.migrate import migrate
from monitord.storage.wall import RIGHTS, UNWALLED, Wall, raise_wall, role_of
from tests.integration.storage.test_tenants import calling
from tests.support.postgres import WALL, Cluster

WITHOUT_POLICY = {
    "shards": "how far the log goes, whoever owns its rows",
    "plans": "what organisations may have, whichever have them",
    "alembic_version": "which schema this is; tenants have no right to it",
    "address_proofs": "of people who are not known yet; tenants have no right to it",
}
OUT_OF_REACH = {"account_pauses", "certificate_notices", "invitations", "subscriptions"}
"""With a policy, though tenants have no right to them so far."""

TABLES = """
SELECT c.relname::text AS name, c.relispartition AS is_partition, c.relrowsecurity AS is_walled, (
    SELECT COALESCE(array_agg(pg_get_expr(p.polqual, p.polrelid)), '{}') FROM pg_policy AS p WHERE p.polrelid = c.oid
) AS policies
FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
NOBODY = Tenant(1, 1)
HAS_RIGHTS = """
SELECT has_table_privilege('monitord_tenant', $1, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
    OR has_any_column_privilege('monitord_tenant', $1, 'SELECT, INSERT, UPDATE, REFERENCES')
"""


async def forgotten(database: Database) -> list[str]:
    """Return what is neither behind the wall nor known to need none."""
    found = []
    async with database.connection() as held:
        for name, is_partition, is_walled, policies in await held.fetch(TABLES):
            if (is_partition or name not in RIGHTS) and await held.fetchval(HAS_RIGHTS, name):
                found.append(f"{name}: callers have rights to it")
            if is_partition or name in WITHOUT_POLICY:
                continue
            if not is_walled or not policies or not all("tenant_" in policy for policy in policies):
                found.append(f"{name}: no policy (CONTRIBUTING.md, How to add a table)")
            elif name not in RIGHTS.keys() | OUT_OF_REACH:
                found.append(f"{name}: say in storage/wall.py what callers may do to it, or here why nothing")
    return found


async def test_no_table_is_forgotten(database: Database) -> None:
    async with database.connection() as held:
        await partitions.create_ahead(held, datetime(2031, 5, 6, tzinfo=UTC))
    assert await forgotten(database) == []
    assert WITHOUT_POLICY.keys() >= UNWALLED


async def test_one_that_is_forgotten_is_noticed(database: Database) -> None:
    """Or the test above would prove nothing."""
    async with database.connection() as held:
        await held.execute(
            "CREATE TABLE notes (org_id bigint); CREATE VIEW everything AS SELECT * FROM monitors;"
            "GRANT SELECT ON monitor_logs_default TO PUBLIC; CREATE TABLE pens (org_id bigint);"
            "ALTER TABLE pens ENABLE ROW LEVEL SECURITY; CREATE POLICY tenant ON pens USING (true)"
        )
    assert {line.partition(":")[0] for line in await forgotten(database)} == {
        "notes", "everything", "monitor_logs_default", "pens",
    }  # fmt: skip


async def test_what_runs_as_the_owner_is_known_and_finds_its_tables_by_itself(database: Database) -> None:
    async with database.connection() as held:
        found = await held.fetch("""
            SELECT proname::text, proconfig, has_function_privilege('monitord_tenant', oid, 'EXECUTE') FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace AND prosecdef ORDER BY 1
        """)
    path = ["search_path=pg_catalog, public, pg_temp"]
    names = ("record_audit_event", "record_incident_event", "record_sign_in")
    assert [tuple(row) for row in found] == [(name, path, False) for name in names]


@pytest.mark.parametrize(
    "drift",
    [
        "GRANT DELETE ON audit_events TO monitord_tenant",
        "GRANT SELECT (password_hash) ON users TO monitord_tenant",
        "GRANT SELECT ON monitor_logs_default TO monitord_tenant",
        "REVOKE SELECT ON monitors FROM monitord_tenant",
    ],
)
async def test_rights_are_corrected_at_the_next_start(database: Database, drift: str) -> None:
    granted = "SELECT relname::text, relacl::text FROM pg_class WHERE relacl IS NOT NULL ORDER BY 1"
    async with database.connection() as held:
        before = {row[0]: row[1] for row in await held.fetch(granted)}
        await held.execute(drift)
        assert await raise_wall(database.dsn) == WALL
        after = {row[0]: row[1] for row in await held.fetch(granted)}
        assert "password_hash" not in str(await held.fetch("SELECT attname FROM pg_attribute WHERE attacl IS NOT NULL"))
    assert {name: after[name] for name in before} == before
    assert "monitord_tenant" not in after.get("monitor_logs_default", "")


async def test_a_wall_that_stands_is_left_alone(database: Database) -> None:
    async with database.connection() as held:
        newest = await held.fetchval("SELECT max(xmin::text::bigint) FROM pg_class")
        assert await raise_wall(database.dsn) == WALL
        assert await held.fetchval("SELECT max(xmin::text::bigint) FROM pg_class") == newest


async def test_several_databases_raise_it_at_the_same_time(cluster: Cluster) -> None:
    """They share one role, as they share the cluster."""
    async with contextlib.AsyncExitStack() as stack:
        dsns = [await stack.enter_async_context(cluster.database()) for _ in range(4)]
        try:
            walls = await asyncio.gather(*(raise_wall(dsn, role="raced") for dsn in dsns * 2))
            assert walls == [Wall("raced")] * 8
        finally:
            for dsn in dsns:
                await _execute(dsn, "DROP OWNED BY raced")
            await cluster.execute("DROP ROLE raced")


# With a Postgres of the operator's own, where our user may do less


async def _execute(dsn: str, statements: str) -> None:
    connection = await connect(dsn)
    try:
        await connection.execute(statements)
    finally:
        await disconnect(connection)


@contextlib.asynccontextmanager
async def lent(cluster: Cluster, login: str, *, may: str = "") -> AsyncIterator[tuple[str, str]]:
    """Lend an empty database, for a plain user and for an administrator, with a schema that is named like the user."""
    async with cluster.database(template="template1") as dsn:
        role = role_of(login)
        await _execute(dsn, f"CREATE ROLE {login} LOGIN PASSWORD 'x' {may}; CREATE SCHEMA AUTHORIZATION {login}")
        parts = urlsplit(dsn)
        place = parts.netloc.rpartition("@")[2]
        try:
            yield urlunsplit(parts._replace(netloc=f"{quote(login)}:x@{place}")), dsn
        finally:
            for name in (role, login):
                with contextlib.suppress(asyncpg.UndefinedObjectError):
                    await _execute(dsn, f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


async def test_a_user_who_may_not_make_roles_starts_without_and_says_what_would_be_right(cluster: Cluster) -> None:
    async with lent(cluster, "plain") as (dsn, admin):
        assert await migrate(dsn)
        with capture_logs() as logs:
            async with pools(dsn, 2) as connected:
                with calling(NOBODY):
                    async with connected.tenants.connection() as held:
                        assert await held.fetchval("SELECT current_user || ' ' || count(*) FROM monitors") == "plain 0"
        (told,) = (entry for entry in logs if entry["event"] == "second_wall_missing")
        assert told["log_level"] == "warning"
        statements = re.findall(r"(?:CREATE|GRANT)[^;]*;", told["reason"])
        assert len(statements) == 2
        await _execute(admin, " ".join(statements))
        with capture_logs() as logs:
            async with pools(dsn, 2) as connected:
                with calling(NOBODY):
                    async with connected.tenants.connection() as held:
                        assert (
                            await held.fetchval("SELECT current_user::text || count(*) FROM monitors")
                            == "plain_tenant0"
                        )
        assert logs == []


async def test_a_user_who_may_make_roles_makes_it(cluster: Cluster) -> None:
    async with lent(cluster, "maker", may="CREATEROLE") as (dsn, _):
        assert await migrate(dsn)
        assert await raise_wall(dsn) == Wall("maker_tenant", "maker")
        assert await raise_wall(dsn) == Wall("maker_tenant", "maker")


@pytest.mark.parametrize("flaw", ["ALTER ROLE flawed_tenant BYPASSRLS", "GRANT flawed TO flawed_tenant"])
async def test_a_role_that_nothing_holds_is_no_wall(cluster: Cluster, flaw: str) -> None:
    async with lent(cluster, "flawed") as (dsn, admin):
        assert await migrate(dsn)
        await _execute(admin, "CREATE ROLE flawed_tenant NOLOGIN")
        await _execute(admin, "GRANT flawed_tenant TO flawed" if "BYPASSRLS" in flaw else flaw)
        await _execute(admin, flaw)
        wall = await raise_wall(dsn)
        assert wall.role is None
        assert wall.missing
        if "BYPASSRLS" in flaw:
            await _execute(admin, " ".join(re.findall(r"(?:ALTER|REVOKE)[^;]*;", wall.missing)))
            assert await raise_wall(dsn) == Wall("flawed_tenant", "flawed")


async def test_an_engine_that_the_wall_would_blind_does_not_start(cluster: Cluster, database: Database) -> None:
    """Empty tables would stop every check, and nobody would be told."""
    async with lent(cluster, "stranger"):
        async with database.connection() as held:
            await held.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO stranger")
        parts = urlsplit(database.dsn)
        dsn = urlunsplit(parts._replace(netloc="stranger:x@" + parts.netloc.rpartition("@")[2]))
        try:
            with pytest.raises(FailedPreconditionError, match=r"Let it connect as monitord, or GRANT \"monitord\" TO"):
                await raise_wall(dsn)
            blind = await connect(dsn)
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                await blind.fetch("SELECT FROM monitors")
            await disconnect(blind)
        finally:
            async with database.connection() as held:
                await held.execute("DROP OWNED BY stranger")


def test_the_role_is_named_after_the_user_and_fits() -> None:
    assert role_of("monitord") == "monitord_tenant"
    assert len(role_of("ü" * 31).encode()) <= 63
