"""The pool for callers: for whom its sessions act, and that they never act for anybody else (T9)."""

import asyncio
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import monitord.storage
from monitord.identity.tenant import Tenant, current_tenant
from monitord.storage.database import Database
from monitord.storage.tenancy import ACT_FOR, NoTenantError, TenantDatabase
from monitord.storage.wall import Wall
from tests.integration.storage.test_tenants import calling
from tests.support.two_tenants import Things

OWNERS = "SELECT array_agg(DISTINCT org_id) FROM monitors"


async def owners(tenants: TenantDatabase) -> list[int]:
    async with tenants.connection() as held:
        found: list[int] = await held.fetchval(OWNERS)
    return found


async def test_without_a_caller_there_is_no_session(tenants: TenantDatabase) -> None:
    with pytest.raises(NoTenantError, match="nobody is calling"):
        async with tenants.connection():
            pass
    with pytest.raises(NoTenantError):
        async with tenants.transaction():
            pass


async def test_a_session_acts_for_whoever_is_calling_and_not_for_who_called_before(
    tenants: TenantDatabase, ours: Things, theirs: Things
) -> None:
    for tenant in (ours.tenant, theirs.tenant, ours.tenant, ours.tenant):
        with calling(tenant):
            assert await owners(tenants) == [tenant.org_id]


async def test_calls_at_the_same_time_keep_apart(tenants: TenantDatabase, ours: Things, theirs: Things) -> None:
    async def call(tenant: Tenant) -> None:
        with calling(tenant):
            for _ in range(20):
                assert await owners(tenants) == [tenant.org_id]

    await asyncio.gather(*(call(each.tenant) for each in (ours, theirs) * 4))


async def test_a_rollback_takes_nothing_back(tenants: TenantDatabase, ours: Things, theirs: Things) -> None:
    with calling(theirs.tenant):
        assert await owners(tenants) == [theirs.org]
    with calling(ours.tenant):
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with tenants.transaction() as tx:
                await tx.execute("DELETE FROM monitors; SELECT 1 / 0")
        assert await owners(tenants) == [ours.org]


async def test_whoever_comes_after_one_that_was_cancelled_gets_their_own(
    tenants: TenantDatabase, ours: Things, theirs: Things
) -> None:
    """In the middle of a transaction, and at each step of changing sides."""
    begun = asyncio.Event()

    async def hang() -> None:
        with calling(theirs.tenant):
            async with tenants.transaction() as tx:
                begun.set()
                await tx.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(hang())
    await begun.wait()
    task.cancel()
    with calling(ours.tenant):
        assert await owners(tenants) == [ours.org]
    for steps in range(12):
        with calling(theirs.tenant):
            task = asyncio.create_task(owners(tenants))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with calling(ours.tenant):
            assert await owners(tenants) == [ours.org]


async def test_the_same_caller_costs_no_further_round_trip(
    tenants: TenantDatabase, ours: Things, theirs: Things
) -> None:
    queries: list[str] = []

    def note(record: Any) -> None:
        queries.append(record.query)

    with calling(ours.tenant):
        await owners(tenants)  # the first time, asyncpg asks for types too
        async with tenants.connection() as held:
            held.add_query_logger(note)
        await owners(tenants)
        await owners(tenants)
    assert queries == [OWNERS, OWNERS]
    with calling(theirs.tenant):
        await owners(tenants)
    acting = ACT_FOR % (theirs.org, theirs.user)
    assert queries[2:] == [f'SET ROLE "monitord_tenant"; {acting}', OWNERS]


@pytest.mark.parametrize(
    "reset", ["RESET ROLE", "RESET ALL", "RESET SESSION AUTHORIZATION", "DISCARD ALL", "asyncpg's own"]
)
async def test_no_reset_leads_back_to_the_owner(tenants: TenantDatabase, ours: Things, reset: str) -> None:
    """At worst the session forgets for whom it acts: then it sees nothing, and says so."""
    with calling(ours.tenant):
        async with tenants.connection() as held:
            if reset == "asyncpg's own":
                await held.reset()
            else:
                await held.execute(reset)
            # By the simple protocol: what was prepared is gone.
            await held.execute("DO $$ BEGIN ASSERT current_user = 'monitord_tenant'; END $$")
            if "ALL" in reset or "own" in reset:
                with pytest.raises((asyncpg.InvalidTextRepresentationError, asyncpg.UndefinedObjectError)):
                    await held.execute("SELECT FROM monitors")


async def test_a_session_that_lost_its_role_has_it_again_for_whoever_comes_next(
    tenants: TenantDatabase, ours: Things, theirs: Things
) -> None:
    with calling(ours.tenant):
        async with tenants.connection() as held:
            await held.execute("SET ROLE NONE")
    with calling(theirs.tenant):
        assert await owners(tenants) == [theirs.org]


def test_nothing_of_ours_changes_the_role_of_a_session() -> None:
    """Nobody notices between two callers that are the same."""
    forbidden = re.compile(r"\b(SET\s+(SESSION\s+|LOCAL\s+)?(ROLE|SESSION)|RESET\s+\w|DISCARD)\b")
    sources = Path(monitord.storage.__path__[0])
    found = {path.name for path in sources.rglob("*.py") if forbidden.search(path.read_text("utf-8"))}
    # One asks on connections of its own whether the role can be had, and the other takes it.
    assert found == {"wall.py", "tenancy.py"}


async def test_opening_fails_where_the_role_is_not_to_be_had(database: Database) -> None:
    tenants = TenantDatabase(database.dsn, Wall("nobody_here"))
    with pytest.raises(asyncpg.InvalidParameterValueError, match="nobody_here"):
        await tenants.open()
    await tenants.close()


async def test_without_a_role_it_works_all_the_same_and_still_asks_for_whom(
    database: Database, ours: Things, theirs: Things
) -> None:
    tenants = TenantDatabase(database.dsn, Wall(None))
    await tenants.open()
    try:
        with pytest.raises(NoTenantError):
            await owners(tenants)
        with calling(ours.tenant):
            assert await owners(tenants) == [ours.org, theirs.org]
    finally:
        await tenants.close()


async def test_a_task_that_a_call_began_acts_for_the_same_caller_and_the_engine_for_nobody(
    database: Database, tenants: TenantDatabase, ours: Things, theirs: Things
) -> None:
    async def engine() -> list[int]:
        async with database.connection() as held:
            found: list[int] = await held.fetchval(OWNERS)
        return found

    with calling(ours.tenant):
        own, all_of_them = asyncio.create_task(owners(tenants)), asyncio.create_task(engine())
    assert current_tenant.get() is None
    assert await own == [ours.org]
    assert await all_of_them == [ours.org, theirs.org]


async def test_what_a_caller_changes_is_told_with_their_name_in_a_log_that_they_cannot_write(
    tenants: TenantDatabase, database: Database, ours: Things
) -> None:
    with calling(ours.tenant):
        async with tenants.transaction() as tx:
            await tx.execute("SELECT set_config('monitord.actor', $1, true)", f'{{"user_id": {ours.user}}}')
            await tx.execute("UPDATE users SET fullname = 'Ann'")
            await tx.execute("UPDATE incidents SET acknowledged_at = now()")
            await tx.execute("UPDATE sessions SET ended_at = now()")
            await tx.execute("DELETE FROM monitors")
    async with database.connection() as held:
        told = await held.fetch("SELECT DISTINCT org_id, action, kind FROM audit_events WHERE user_id = $1", ours.user)
        events = await held.fetchval("SELECT count(*) FROM incident_events WHERE kind = 'acknowledged'")
    assert {tuple(row) for row in told} == {
        (ours.org, "changed", "user"), (ours.org, "changed", "incident"), (ours.org, "signed_out", "session"),
        (ours.org, "deleted", "monitor"), (ours.org, "deleted", "alert_config"),
    }  # fmt: skip
    assert events == 0  # the incident went with its monitor


async def test_heals_after_its_backends_were_terminated(tenants: TenantDatabase, ours: Things) -> None:
    with calling(ours.tenant):
        async with tenants.connection() as held:
            held.terminate()
        assert await owners(tenants) == [ours.org]
