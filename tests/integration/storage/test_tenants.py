"""The second wall, from inside: what a caller's statements reach when the first wall is forgotten (T9)."""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest

from monitord.domain.alert_record import AlertQuery
from monitord.domain.audit import AuditQuery
from monitord.domain.contact import AlertConfig, AlertSettings, ContactSpec
from monitord.domain.contacts import EmailContact
from monitord.domain.errors import NotFoundError
from monitord.domain.heartbeat import Ping, PingKind
from monitord.domain.incident import EventPosition, IncidentQuery
from monitord.domain.instant import SECOND
from monitord.domain.maintenance import MaintenanceSpec, Once
from monitord.domain.queries import LogQuery, MonitorQuery
from monitord.identity.api_keys import ApiKey
from monitord.identity.principal import Scope
from monitord.identity.tenant import Tenant, current_tenant
from monitord.identity.user import Profile
from monitord.storage.database import Database, Transaction
from monitord.storage.tenancy import TenantDatabase
from monitord.storage.wall import RIGHTS, UNWALLED
from tests.support.stored import NOON, spec
from tests.support.two_tenants import SECRETS, Stores, Things

WALLED = sorted(RIGHTS.keys() - UNWALLED)
OF_ONES_OWN = {
    "organisations": "id = $1",
    "api_keys": "org_id = $1 AND user_id = $2",
    "sessions": "user_id = $2",
    "user_profile": "user_id = $2",
}
"""Which rows are a tenant's; of the others: those with its org_id."""

PING = Ping(at=NOON, kind=PingKind.SUCCESS)
WINDOW = MaintenanceSpec(name="new", schedule=Once(start=NOON, end=NOON + SECOND))
CONTACT = ContactSpec(name="new", channel=EmailContact(address="new@example.org"))
SAID = Profile(full_name="mine", bio="x")
KEY = ApiKey(id="k" * 12, display_name="new", scope=Scope.READ, created_at=NOON)


@contextmanager
def calling(tenant: Tenant) -> Iterator[None]:
    """Be within a call of somebody, as the edge has it."""
    token = current_tenant.set(tenant)
    try:
        yield
    finally:
        current_tenant.reset(token)


class _UndoError(Exception):
    pass


async def tried(tenants: TenantDatabase, statement: str, *arguments: object) -> int:
    """Return how many rows a statement touched, and undo it."""
    touched = -1
    try:
        async with tenants.transaction() as tx:
            touched = int((await tx.execute(statement, *arguments)).rpartition(" ")[2])
            raise _UndoError
    except _UndoError:
        return touched


def columns_for(table: str, privilege: str) -> list[str]:
    """Return the columns that callers may use so; an empty name: all."""
    return sorted(column for name, column in RIGHTS[table] if name == privilege)


async def leaks(database: Database, tenants: TenantDatabase, ours: Things, theirs: Things) -> list[str]:
    """Return what our statements without any WHERE reach of theirs, or don't reach of ours."""
    found = []
    for table in WALLED:
        own = OF_ONES_OWN.get(table, "org_id = $1 AND ($2::bigint IS NOT NULL)")
        async with database.connection() as held:
            expected, in_all = await held.fetchrow(
                f"SELECT count(*) FILTER (WHERE {own}), count(*) FROM {table} WHERE $1 > 0 AND $2 > 0",
                ours.org, ours.user,
            ) or (0, 0)  # fmt: skip
        if not 0 < expected < in_all:
            found.append(f"{table}: the test has {expected} rows of {in_all}")
        if columns_for(table, "SELECT"):
            seen = await tried(tenants, f"SELECT FROM {table}")
            if seen != expected:
                found.append(f"{table}: {seen} rows are read, not {expected}")
        may_change = expected if table != "users" else 1
        for column in columns_for(table, "UPDATE")[:1]:
            assigned = (column or "org_id") if table != "organisations" else ""
            statement = (
                f"UPDATE {table} SET {assigned} = {assigned}" if assigned else f"SELECT id FROM {table} FOR UPDATE"
            )
            if (changed := await tried(tenants, statement)) != may_change:
                found.append(f"{table}: {changed} rows are changed, not {may_change}")
        if columns_for(table, "DELETE") and (gone := await tried(tenants, f"DELETE FROM {table}")) != expected:
            found.append(f"{table}: {gone} rows are deleted, not {expected}")
    return found


async def test_without_any_where_only_ones_own_is_read_and_written(
    database: Database, tenants: TenantDatabase, ours: Things, theirs: Things
) -> None:
    with calling(ours.tenant):
        assert await leaks(database, tenants, ours, theirs) == []


@pytest.mark.parametrize(
    ("damage", "table"),
    [
        ("ALTER TABLE monitor_logs DISABLE ROW LEVEL SECURITY", "monitor_logs"),
        ("DROP POLICY tenant ON monitors", "monitors"),
        ("ALTER POLICY tenant ON alerts USING (true)", "alerts"),
    ],
)
async def test_a_hole_in_the_wall_is_seen(
    database: Database, tenants: TenantDatabase, ours: Things, theirs: Things, damage: str, table: str
) -> None:
    """Or the test above would prove nothing."""
    async with database.connection() as held:
        await held.execute(damage)
    with calling(ours.tenant):
        assert {leak.partition(":")[0] for leak in await leaks(database, tenants, ours, theirs)} == {table}


async def test_nothing_is_written_for_another_and_nothing_moves_there(
    database: Database, tenants: TenantDatabase, ours: Things, theirs: Things
) -> None:
    wrong: dict[str, object] = {"org_id": theirs.org, "user_id": theirs.user}
    for table in WALLED:
        columns = columns_for(table, "INSERT")
        if columns:
            owner, own = ("user_id", ours.user) if table == "user_profile" else ("org_id", ours.org)
            async with database.connection() as held:
                row = await held.fetchval(f"SELECT to_jsonb(t) FROM {table} AS t WHERE {owner} = $1 LIMIT 1", own)
            names = ", ".join(sorted(row) if columns == [""] else columns)
            copied = (
                f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE "
                f"SELECT {names} FROM jsonb_populate_record(NULL::{table}, $1)"
            )
            for name in wrong.keys() & row.keys():
                with calling(ours.tenant), pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level"):
                    await tried(tenants, copied, row | {name: wrong[name]})
        if columns_for(table, "UPDATE") == [""]:
            with calling(ours.tenant), pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level"):
                await tried(tenants, f"UPDATE {table} SET org_id = $1", theirs.org)


async def test_what_nobody_needs_nobody_may(tenants: TenantDatabase, ours: Things) -> None:
    """Hashes of passwords and tokens, roles, the log's rows, the audit log, days of the log by their own names."""
    for statement in (
        "SELECT password_hash FROM users",
        "UPDATE users SET role = 'ADMIN'",
        "SELECT refresh_hash FROM sessions",
        "SELECT secret_hash FROM api_keys",
        "UPDATE api_keys SET scope = 'admin'",
        "DELETE FROM api_keys",
        "SELECT FROM address_proofs",
        "SELECT stripe_id FROM user_profile",
        "UPDATE user_profile SET is_premium = true",
        "UPDATE monitor_logs SET verdict = 1",
        "UPDATE organisations SET name = 'mine'",
        "UPDATE shards SET position = 0",
        "UPDATE audit_events SET action = 'nothing'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "INSERT INTO audit_events (org_id, action, kind, thing_id) SELECT tenant_org_id(), 'created', 'monitor', '1'",
        "SELECT add_audit_event(tenant_org_id(), 'created', 'monitor', '1', NULL, NULL)",
        "CREATE TEMP TABLE x (id int); CREATE TRIGGER x AFTER INSERT ON x EXECUTE FUNCTION record_audit_event('user')",
        "SELECT FROM monitor_logs_default",
        "SELECT FROM check_evidence_default",
    ):
        with calling(ours.tenant), pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            async with tenants.connection() as held:
                await held.execute(statement)


Call: TypeAlias = Callable[[Stores, Things], Awaitable[Any]]


async def _act(tx: Transaction) -> bytes:
    return b"done"


async def _reached(stores: Stores, things: Things) -> list[int]:
    hidden = await stores.monitors.without_labels(things.org, [things.monitor], {})
    return [] if hidden else [things.monitor]


CALLS: dict[str, Call] = {
    "monitors.create": lambda s, t: s.monitors.create(t.org, spec("new")),
    "monitors.get": lambda s, t: s.monitors.get(t.org, t.monitor),
    "monitors.update": lambda s, t: s.monitors.update(
        t.org, t.monitor, lambda old: msgspec.structs.replace(old, name="x")
    ),
    "monitors.set_active": lambda s, t: s.monitors.set_active(t.org, t.monitor, active=False),
    "monitors.delete": lambda s, t: s.monitors.delete(t.org, t.monitor),
    "monitors.apply": lambda s, t: s.monitors.apply(t.org, [spec("new")], prune=True, dry_run=False),
    "monitors.list": lambda s, t: s.monitors.list(t.org, MonitorQuery()),
    "logs.page": lambda s, t: s.logs.page(t.org, LogQuery(monitor_id=t.monitor)),
    "logs.get": lambda s, t: s.logs.get(t.org, t.monitor, 1),
    "logs.metrics": lambda s, t: s.logs.metrics(t.org, t.monitor, NOON - SECOND, NOON + SECOND),
    "logs.feed": lambda s, t: s.logs.feed(t.org, None, 0, 0, 10),
    "contacts.create": lambda s, t: s.contacts.create(t.org, CONTACT),
    "contacts.get": lambda s, t: s.contacts.get(t.org, t.contact),
    "contacts.list": lambda s, t: s.contacts.list(t.org, 0, 10),
    "contacts.update": lambda s, t: s.contacts.update(
        t.org, t.contact, lambda old: msgspec.structs.replace(old, name="newer")
    ),
    "contacts.delete": lambda s, t: s.contacts.delete(t.org, t.contact),
    "contacts.disable": lambda s, t: s.contacts.disable(t.org, t.contact, "mine"),
    "contacts.enable": lambda s, t: s.contacts.enable(t.org, t.contact),
    "configs.set": lambda s, t: s.configs.set(
        t.org, AlertConfig(monitor_id=t.monitor, contact_id=t.contact, settings=AlertSettings(is_active=False))
    ),
    "configs.require": lambda s, t: s.configs.require(t.org, t.monitor, t.contact),
    "configs.list": lambda s, t: s.configs.list(t.org, None, None, (0, 0), 10),
    "configs.delete": lambda s, t: s.configs.delete(t.org, t.monitor, t.contact),
    "confirmations.begin": lambda s, t: s.confirmations.begin(t.org, t.contact, b"token", b"code"),
    "confirmations.by_code": lambda s, t: s.confirmations.by_code(t.org, t.contact, lambda _: True),
    "incidents.timeline": lambda s, t: s.incidents.timeline(t.org, t.incident),
    "incidents.require": lambda s, t: s.incidents.require(t.org, t.incident),
    "incidents.page": lambda s, t: s.incidents.page(t.org, IncidentQuery()),
    "incidents.acknowledge": lambda s, t: s.incidents.acknowledge(t.org, t.incident, t.user),
    "incidents.events": lambda s, t: s.incidents.events(t.org, EventPosition(0, 0), 10),
    "alerts.get": lambda s, t: s.alerts.get(t.org, t.alert),
    "alerts.page": lambda s, t: s.alerts.page(t.org, AlertQuery()),
    "alerts.retry": lambda s, t: s.alerts.retry(t.org, t.alert),
    "explanations.case": lambda s, t: s.explanations.case(t.org, t.monitor, t.contact, None),
    "windows.create": lambda s, t: s.windows.create(t.org, WINDOW),
    "windows.get": lambda s, t: s.windows.get(t.org, t.window),
    "windows.list": lambda s, t: s.windows.list(t.org, 0, 10),
    "windows.update": lambda s, t: s.windows.update(t.org, t.window, lambda old: WINDOW),
    "windows.delete": lambda s, t: s.windows.delete(t.org, t.window),
    "words.record": lambda s, t: s.words.record(t.job, None, PING),
    "words.require": lambda s, t: s.words.require(t.org, t.job),
    "words.list": lambda s, t: s.words.list(t.org, t.job, 2**62, 10),
    "monitors.without_labels": _reached,
    "requests.once": lambda s, t: s.requests.once(t.org, "Create", t.request, b"asked", _act),
    "accounts.user": lambda s, t: s.accounts.user(t.user),
    "accounts.update_user": lambda s, t: s.accounts.update_user(
        t.user, Profile(full_name="mine", bio="x"), complete=True, at=NOON
    ),
    "keys.create_api_key": lambda s, t: s.keys.create_api_key(t.org, t.user, KEY, b"digest"),
    "keys.list_api_keys": lambda s, t: s.keys.list_api_keys(t.org, t.user, limit=10, after=None),
    "keys.revoke_api_key": lambda s, t: s.keys.revoke_api_key(t.org, t.user, t.key, at=NOON),
    "accounts.list_sessions": lambda s, t: s.accounts.list_sessions(t.user, at=NOON),
    "accounts.end_own_session": lambda s, t: s.accounts.end_own_session(t.user, t.session, at=NOON),
    "audit.page": lambda s, t: s.audit.page(t.org, AuditQuery()),
}
"""Each function that handlers call, on somebody's things."""

OTHERS = {
    # How far the log goes, whoever owns it; where there are no rows of one's own, that.
    "logs.head", "logs.oldest_position", "logs.position_at", "logs.position_of_last",
    # Answers with a position beside its list: tested with "incidents.events".
    "incidents.standing",
    # By the pages behind links, and by the engine.
    "confirmations.find", "confirmations.by_token", "windows.all", "audit.sign_in_failed", "audit.purge",
    # Of identity before anybody is known, of the operator, and of upkeep: see storage.tenancy.
    "accounts.transaction", "accounts.account", "accounts.account_of", "accounts.create_session",
    "accounts.rotate_session", "accounts.end_session", "accounts.create_first_user",
    "accounts.set_password", "accounts.create_user", "accounts.role",
}  # fmt: skip


def test_every_function_of_the_stores_is_looked_at(database_url: str) -> None:
    functions = {
        f"{name}.{method}"
        for name, store in vars(Stores(Database(database_url))).items()
        for method, _ in inspect.getmembers(store, inspect.ismethod)
        if not method.startswith("_")
    }
    assert functions == CALLS.keys() | OTHERS


async def _everything_of(database: Database, org: int, user: int) -> dict[str, list[str]]:
    async with database.connection() as held:
        return {
            table: [
                row[0]
                for row in await held.fetch(
                    f"SELECT t::text FROM {table} AS t "
                    f"WHERE {OF_ONES_OWN.get(table, 'org_id = $1')} AND $1 > 0 AND $2::bigint > 0 ORDER BY 1",
                    org, user,
                )
            ]
            for table in WALLED
        }  # fmt: skip


async def test_a_function_that_is_given_anothers_organisation_finds_nothing_and_changes_nothing(
    database: Database, tenants: TenantDatabase, ours: Things, theirs: Things
) -> None:
    """The bug against which the wall stands: the caller is one, and the argument another."""
    stores, before = Stores(tenants), await _everything_of(database, theirs.org, theirs.user)
    for name, call in CALLS.items():
        answer: object = None
        try:
            with calling(ours.tenant):
                answer = await call(stores, theirs)
        except (NotFoundError, asyncpg.InsufficientPrivilegeError):
            continue
        assert not answer, name
    assert await _everything_of(database, theirs.org, theirs.user) == before


async def test_the_same_functions_work_for_ones_own(
    database: Database, tenants: TenantDatabase, ours: Things, theirs: Things
) -> None:
    """Or the wall would prove nothing: each is let do what it is for."""
    stores = Stores(tenants)
    later = ("configs.delete", "contacts.delete", "windows.delete", "monitors.delete", "monitors.apply")
    with calling(ours.tenant):
        for name in sorted(CALLS, key=lambda name: later.index(name) + 1 if name in later else 0):
            if name == "confirmations.begin":
                continue  # it was asked a moment ago
            answer = await CALLS[name](stores, ours)
            returns_nothing = name in ("configs.require", "incidents.require", "words.require") or name.endswith(
                ".delete"
            )
            assert answer or returns_nothing, name
            if name == "requests.once":
                assert answer == SECRETS


async def test_where_there_is_nothing_a_tail_begins_at_the_end(
    tenants: TenantDatabase, ours: Things, theirs: Things
) -> None:
    logs = Stores(tenants).logs
    with calling(ours.tenant):
        head = await logs.head(0)
        assert await logs.position_at(theirs.org, None, 0) == head
        assert await logs.position_of_last(theirs.org, [theirs.monitor], 5) == head
        assert (await Stores(tenants).incidents.standing(theirs.org))[1] == []
        assert len((await Stores(tenants).incidents.standing(ours.org))[1]) == 1
