"""Raises the second wall between tenants (T9): a role that owns nothing, and what it may do to which table.

The policies are part of the schema (migration 0013). Roles belong to the cluster, and the role may be made later than
the schema, by whoever may make roles: so it and its rights are looked at with each start, and corrected to what stands
here.
"""

import contextlib
from collections.abc import Iterator, Mapping

import asyncpg
import msgspec

from monitord.domain.errors import FailedPreconditionError
from monitord.storage.database import Connection, connect, disconnect, unavailable_when_away

SUFFIX = "_tenant"
"""After the name of monitord's own user: two monitords of two users in one cluster must not share a role, by which each
could read the other's tables."""

Right = tuple[str, str]
"""A privilege, and the column that it is for; an empty one: all of the table."""


def _may(*privileges: str, **of_columns: str) -> frozenset[Right]:
    rights = {(privilege, "") for privilege in privileges}
    return frozenset(rights | {(name, column) for name, columns in of_columns.items() for column in columns.split()})


RIGHTS: Mapping[str, frozenset[Right]] = {
    "alert_attempts": _may("SELECT"),
    "alert_contacts": _may("SELECT", "INSERT", "UPDATE"),
    "alerts": _may("SELECT", "UPDATE"),
    # The secret's hash is written, and read by whoever looks a key up before anybody is known.
    "api_keys": _may(
        SELECT="id org_id user_id display_name scope created_at expires_at last_used_at revoked_at labels "
        "allowed_networks",
        INSERT="id org_id user_id display_name scope secret_hash created_at expires_at labels allowed_networks",
        UPDATE="revoked_at",
    ),
    "audit_events": _may("SELECT"),
    "check_evidence": _may("SELECT"),
    "contact_confirmations": _may("SELECT", "INSERT", "UPDATE"),
    "heartbeat_pings": _may("SELECT", "INSERT", "DELETE"),
    "heartbeats": _may("SELECT", "INSERT", "UPDATE"),
    "incident_events": _may("SELECT"),
    "incidents": _may("SELECT", "UPDATE"),
    "log_floors": _may("SELECT"),
    "maintenance_windows": _may("SELECT", "INSERT", "UPDATE", "DELETE"),
    # As of organisations: the row is locked while a key is made.
    "memberships": _may("SELECT", UPDATE="created_at"),
    "monitor_alert_configs": _may("SELECT", "INSERT", "UPDATE", "DELETE"),
    "monitor_logs": _may("SELECT"),
    "monitor_purges": _may("INSERT"),
    "monitor_schedules": _may("SELECT", "INSERT", "UPDATE"),
    "monitor_states": _may("SELECT", "INSERT", "UPDATE"),
    "monitor_transitions": _may("SELECT", "INSERT"),
    "monitors": _may("SELECT", "INSERT", "UPDATE", "DELETE"),
    # Locking a row asks for the right to change a column; nobody can give an id that the database makes.
    "organisations": _may(SELECT="id plan deletion_at", UPDATE="id"),
    "plans": _may("SELECT"),
    "request_ids": _may("SELECT", "INSERT", "DELETE"),
    "sessions": _may(SELECT="id user_id created_at expires_at address ended_at", UPDATE="ended_at"),
    # How far the log goes, whoever owns its rows: what a tail is measured by.
    "shards": _may(SELECT="id position kept_from"),
    "user_profile": _may(SELECT="user_id bio", INSERT="user_id bio", UPDATE="bio"),
    "users": _may(
        SELECT="id org_id email claimed_email fullname provider profile_status created_at phone deletion_at",
        UPDATE="fullname phone profile_status updated_at",
    ),
}
"""What callers' requests need, and no more; a table that isn't named is out of their reach, as partitions are."""

UNWALLED = frozenset({"plans", "shards"})
"""Of these: without a policy, for they hold nobody's rows."""

WHO = "SELECT session_user::text AS login, current_schema()::text AS schema"
_IN_SCHEMA = "c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)"
HIDDEN = f"""
SELECT pg_get_userbyid(c.relowner)::text FROM pg_class AS c
WHERE {_IN_SCHEMA} AND c.relrowsecurity AND row_security_active(c.oid) LIMIT 1
"""  # noqa: S608 - made of constants
OPEN = f"""
SELECT c.relname::text FROM pg_class AS c
WHERE {_IN_SCHEMA} AND c.relname = ANY($2::text[]) AND NOT row_security_active(c.oid) ORDER BY 1
"""  # noqa: S608 - made of constants
USES_SCHEMA = "SELECT has_schema_privilege($2, $1, 'USAGE')"
RIGHTS_NOW = f"""
SELECT c.relname::text, a.privilege_type, '' AS for_column
FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
WHERE {_IN_SCHEMA} AND r.rolname = $2
UNION ALL
SELECT c.relname::text, a.privilege_type, t.attname::text
FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid
CROSS JOIN LATERAL aclexplode(t.attacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
WHERE {_IN_SCHEMA} AND r.rolname = $2
"""  # noqa: S608 - made of constants
LOCK = "SELECT pg_advisory_xact_lock($1)"

_LOCK = 0x6D6F_6E69_0003
"""Of pg_advisory_xact_lock: one process at a time gives rights."""
_LONGEST_NAME = 63
"""Bytes of a name in Postgres."""


class Wall(msgspec.Struct, frozen=True):
    """What stands between tenants, beside the organisation in every WHERE."""

    role: str | None
    """Under which callers' statements run; None: there is no second wall."""
    schema: str = "public"
    """Where the tables are: the role's own path would not lead there."""
    missing: str = ""
    """Without a role: why, and what would be right."""


async def raise_wall(dsn: str, *, role: str | None = None) -> Wall:
    """See to it that the role is there and has its rights, no more and no less; of a migrated database.

    ``role``: another than that of our own user. Where our user may not make it, or it would stop nobody, there is no
    wall, and the answer says what an administrator of the database has to do.

    Raises:
        FailedPreconditionError: our own user is behind the wall: the engine would see nothing.
        UnavailableError: the server is away.

    """
    connection = await connect(dsn)
    try:
        with unavailable_when_away(connection):
            login, schema = await connection.fetchrow(WHO) or ("", "")
            await _require_owner(connection, login, schema)
            role = role or role_of(login)
            missing = await _raise(connection, login, schema, role)
    finally:
        await disconnect(connection)
    return Wall(None if missing else role, schema, missing)


def role_of(login: str) -> str:
    """Return the role that belongs to a user of the database."""
    return login.encode()[: _LONGEST_NAME - len(SUFFIX)].decode(errors="ignore") + SUFFIX


async def _require_owner(connection: Connection, login: str, schema: str) -> None:
    owner = await connection.fetchval(HIDDEN, schema)
    if owner is not None:
        raise FailedPreconditionError(
            f"The tables belong to {owner}, and row-level security hides their rows from {login}: monitord would check "
            f"nothing. Let it connect as {owner}, or GRANT {quoted(owner)} TO {quoted(login)}."
        )


async def _raise(connection: Connection, login: str, schema: str, role: str) -> str:
    """Return what is missing; nothing, once the wall stands."""
    if not await _become(connection, login, role):
        return (
            f"Postgres lets {login} neither make nor take the role {role}. Have an administrator of the database run "
            f"CREATE ROLE {quoted(role)} NOLOGIN; GRANT {quoted(role)} TO {quoted(login)}; and start monitord again."
        )
    try:
        await _give_rights(connection, schema, role)
    except asyncpg.InsufficientPrivilegeError as error:
        return f"{login} can't give the role {role} its rights ({error}): the schema and its tables must be {login}'s."
    async with connection.transaction():
        await connection.execute(f"SET LOCAL ROLE {quoted(role)}")
        opened = await connection.fetch(OPEN, schema, sorted(RIGHTS.keys() - UNWALLED))
    if opened:
        return (
            f"Row-level security does not hold the role {role}: it must be no superuser, have no BYPASSRLS, and be no "
            f"member of {login}. Have an administrator of the database run ALTER ROLE {quoted(role)} NOSUPERUSER "
            f"NOBYPASSRLS; REVOKE {quoted(login)} FROM {quoted(role)}; and start monitord again."
        )
    return ""


async def _become(connection: Connection, login: str, role: str) -> bool:
    """Return whether our sessions may take the role, after trying to make it so."""
    how = " WITH INHERIT FALSE, SET TRUE" if connection.get_server_version().major >= 16 else ""
    for statement in (
        f"CREATE ROLE {quoted(role)} NOLOGIN",
        f"GRANT {quoted(role)} TO {quoted(login)}{how}",
    ):
        if await _can_become(connection, role):
            return True
        # Other databases of the cluster have the same role: whoever comes second finds it made.
        with contextlib.suppress(
            asyncpg.InsufficientPrivilegeError,
            asyncpg.UndefinedObjectError,  # it could not be made
            asyncpg.DuplicateObjectError,
            asyncpg.UniqueViolationError,
            asyncpg.InternalServerError,  # "tuple concurrently updated"
        ):
            await connection.execute(statement)
    return await _can_become(connection, role)


async def _can_become(connection: Connection, role: str) -> bool:
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL ROLE {quoted(role)}")
    except (asyncpg.InvalidParameterValueError, asyncpg.InsufficientPrivilegeError):
        return False
    return True


async def _give_rights(connection: Connection, schema: str, role: str) -> None:
    if await _is_right(connection, schema, role):
        return
    async with connection.transaction():
        await connection.execute(LOCK, _LOCK)
        if not await connection.fetchval(USES_SCHEMA, schema, role):
            await connection.execute(f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(role)}")
        now = await _rights_now(connection, schema, role)
        for table in sorted(now.keys() | RIGHTS.keys()):
            if now.get(table) != RIGHTS.get(table):
                for statement in _corrections(f"{quoted(schema)}.{quoted(table)}", RIGHTS.get(table), quoted(role)):
                    await connection.execute(statement)


async def _is_right(connection: Connection, schema: str, role: str) -> bool:
    uses_schema: bool = await connection.fetchval(USES_SCHEMA, schema, role)
    return uses_schema and await _rights_now(connection, schema, role) == RIGHTS


async def _rights_now(connection: Connection, schema: str, role: str) -> Mapping[str, frozenset[Right]]:
    found: dict[str, set[Right]] = {}
    for table, privilege, column in await connection.fetch(RIGHTS_NOW, schema, role):
        found.setdefault(table, set()).add((privilege, column))
    return {table: frozenset(rights) for table, rights in found.items()}


def _corrections(table: str, rights: frozenset[Right] | None, role: str) -> Iterator[str]:
    yield f"REVOKE ALL ON TABLE {table} FROM {role}"
    for privilege, column in sorted(rights or ()):
        yield f"GRANT {privilege}{f' ({quoted(column)})' if column else ''} ON TABLE {table} TO {role}"


def quoted(name: str) -> str:
    """Return a name as a statement spells it."""
    return '"' + name.replace('"', '""') + '"'
