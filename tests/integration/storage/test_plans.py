"""Plans: who gets which, what becomes of those who were there before, and what an operator is told."""

import asyncio

import asyncpg
import pytest

from monitord.domain.errors import FailedPreconditionError, NotFoundError
from monitord.environment import load
from monitord.identity.firebase import FirebaseIdentity
from monitord.plan_commands import assign_plan, show_plans
from monitord.startup import default_plan
from monitord.storage.accounts import AccountStore
from monitord.storage.database import Database
from monitord.storage.firebase_accounts import FirebaseAccounts
from monitord.storage.migrate import migrate
from monitord.storage.organisations import OrganisationStore
from monitord.storage.plans import PlanStore
from tests.support.postgres import Cluster
from tests.support.stored import NOON, organisation

BEFORE = "0012"


@pytest.fixture
def plans(database: Database) -> PlanStore:
    return PlanStore(database)


async def plan_of(database: Database, org_id: int) -> str | None:
    async with database.connection() as held:
        found: str | None = await held.fetchval("SELECT plan FROM organisations WHERE id = $1", org_id)
    return found


async def test_every_way_to_an_organisation_gives_the_plan_and_the_first_administrator_has_none(
    database: Database, plans: PlanStore
) -> None:
    await plans.set_default("PRO")
    accounts = AccountStore(database)
    async with database.transaction() as tx:
        admin = await accounts.create_first_user("admin@localhost", None, at=NOON, tx=tx)
    registered = await accounts.create_user("bob@example.org", "Bob", None, at=NOON)
    known = FirebaseIdentity(
        uid="u1", email="carl@example.org", email_verified=True, full_name="C", provider="google", expires_at=NOON
    )
    welcomed = await FirebaseAccounts(database).firebase_account(known, at=NOON)
    assert admin is not None
    assert registered is not None
    assert welcomed is not None
    team = await OrganisationStore(database).create(registered.id, "team", at=NOON)
    made = (admin.org_id, registered.org_id, welcomed.account.user.org_id, team.id)
    assert [await plan_of(database, org_id) for org_id in made] == [None, "PRO", "PRO", "PRO"]
    await plans.set_default(None)
    assert await plan_of(database, await organisation(database, "later")) is None
    assert await plan_of(database, team.id) == "PRO"


async def test_starts_at_the_same_time_leave_one_default(database: Database, plans: PlanStore) -> None:
    await asyncio.gather(*(plans.set_default(name) for name in ("FREE", "TEAM", "PRO", "TEAM")))
    assert [each.is_default for each in (await plans.all())[0]].count(True) == 1


async def test_a_plan_that_there_is_not_stops_the_start_with_a_sentence(database: Database, plans: PlanStore) -> None:
    """(T20)"""
    await plans.set_default("PRO")
    with pytest.raises(FailedPreconditionError) as refused:
        await default_plan(load({"MONITORD_DEFAULT_PLAN": "gold"}), database)
    assert refused.value.message == (
        "There is no plan GOLD: there are FREE, PRO, TEAM. MONITORD_DEFAULT_PLAN=GOLD gives GOLD to new organisations: "
        "set it to one of those, or to none."
    )
    assert [each.plan.name for each in (await plans.all())[0] if each.is_default] == ["PRO"]
    async with database.connection() as held:
        await held.execute("INSERT INTO plans (name) VALUES ('GOLD')")
        await default_plan(load({"MONITORD_DEFAULT_PLAN": "gold"}), database)
        assert await plan_of(database, await organisation(database)) == "GOLD"
        # None that somebody has goes away.
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await held.execute("DELETE FROM plans WHERE name = 'GOLD'")
        for name in ("auto", "none", "Free", ""):
            with pytest.raises(asyncpg.CheckViolationError):
                await held.execute("INSERT INTO plans (name) VALUES ($1)", name)


async def test_an_operator_sees_the_plans_and_says_who_has_which(database: Database, plans: PlanStore) -> None:
    user = await AccountStore(database).create_user("bob@example.org", "Bob", None, at=NOON)
    assert user is not None
    org_id = await organisation(database, "Shop & Co")
    assert await assign_plan(plans, whose=str(org_id), name="team") == (
        f"The organisation {org_id} (Shop & Co) has the plan TEAM now."
    )
    assert "has the plan PRO" in await assign_plan(plans, whose="BOB@example.org", name="PRO")
    assert await plan_of(database, user.org_id) == "PRO"
    await plans.set_default("FREE")
    async with database.connection() as held:
        await held.execute("UPDATE plans SET max_seats = NULL, rpc_rate = 0.5 WHERE name = 'PRO'")
        changed = await held.fetchval("SELECT max(version) FROM organisations WHERE id = $1", org_id)
        told = await held.fetchval(
            "SELECT after ->> 'plan' FROM audit_events WHERE org_id = $1 ORDER BY id DESC LIMIT 1", org_id
        )
    assert (changed, told) == (2, "TEAM")
    assert (await show_plans(plans)).splitlines() == [
        "plan  monitors  interval  log    contacts  seats  calls/s  organisations",
        "FREE  10        60 s      7 d    3         1      10       0",
        "PRO   50        30 s      90 d   20        -      0.5      1",
        "TEAM  250       10 s      365 d  100       20     200      1",
        "none  -         -         -      -         -      -        0",
        "New organisations get FREE.",
    ]
    assert "has no plan now" in await assign_plan(plans, whose="bob@example.org", name="None")
    assert await plan_of(database, user.org_id) is None


@pytest.mark.parametrize("whose", ["999", "nobody@example.org", "0", "9" * 5000])
async def test_a_plan_for_nobody_is_refused(plans: PlanStore, whose: str) -> None:
    with pytest.raises(NotFoundError, match="give the id of one, or the e-mail address of a user"):
        await assign_plan(plans, whose=whose, name="FREE")


async def test_organisations_that_were_there_before_keep_having_no_plan(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command

    upgrade = command.upgrade
    async with cluster.database(template="template1") as dsn:
        with monkeypatch.context() as older:
            older.setattr(command, "upgrade", lambda config, _: upgrade(config, BEFORE))
            assert await migrate(dsn)
        database = Database(dsn)
        await database.open()
        try:
            async with database.connection() as held:
                assert await held.fetchval("SELECT version_num FROM alembic_version") == BEFORE
                org_id = await held.fetchval("INSERT INTO organisations (name) VALUES ('old') RETURNING id")
            assert await migrate(dsn)
            await PlanStore(database).set_default("FREE")
            assert await plan_of(database, org_id) is None
            assert await plan_of(database, await organisation(database, "new")) == "FREE"
        finally:
            await database.close()
