"""The pool for what callers ask for, behind the second wall between tenants (T9).

Its sessions run under a role that owns nothing (``storage.wall``), and the policies of the tables (migration 0013) let
that see and write the rows of one organisation. Which one comes from who is calling (``identity.tenant``), and not from
the argument of a storage function: where the two differ, there is nothing to read, and a write fails. This is against
paths that forget whose rows they touch; not against somebody who gets statements of their own executed, as those could
set what the policies go by.

A pool apart from the engine's: a session that changed sides would show the engine one organisation as if it were all.

Not behind the second wall, but on the engine's pool, for want of somebody who is known, or as it concerns everybody:

* looking credentials up, signing in and out, refreshing, registering, invitations, changes of passwords: they find
  accounts by address, token or uid (``storage.accounts``, ``firebase_accounts``, ``address_proofs``);
* organisations, their members and invitations (``storage.organisations``, ``memberships``): they are about several
  organisations, or about people who are in none of them yet; what the actor may do is judged under a lock;
* taking everything along and leaving (``storage.account_export``, ``account_deletion``), which is about all of
  somebody's organisations, and doing away with what they leave (``account_purge``);
* the pages behind links in mails, and jobs that tell of themselves by a signed URL: the link says whose it is;
* the first start: the operator's own file;
* the engine: checks, the ledger, alerts, maintenance windows as checks see them, retention, and what tells that a
  stream has to end as its credential did.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import asyncpg

from monitord.identity.tenant import Tenant, current_tenant
from monitord.storage.database import SESSION, Connection, Database
from monitord.storage.wall import Wall, quoted

if TYPE_CHECKING:
    _Base = asyncpg.Connection[asyncpg.Record]
else:
    _Base = asyncpg.Connection

# Of the session, not of a transaction, whose rollback would take it back and not tell. As one text without arguments it
# costs two thirds of what a prepared statement does.
ACT_FOR = "SET monitord.org_id = '%d'; SET monitord.user_id = '%d'"


class NoTenantError(RuntimeError):
    """A statement for a caller, and nobody said for whom: a bug, on a path that the edge does not lead to."""


class _Session(_Base):
    """A connection that knows for whom it acts."""

    acts_for: Tenant | None = None

    async def act_for(self, tenant: Tenant, take_role: str) -> None:
        """Let the session see and write what is a tenant's, and nothing else."""
        if self.acts_for == tenant:
            return
        self.acts_for = None  # should this be cancelled, nobody knows what holds
        await self.execute(take_role + ACT_FOR % (tenant.org_id, tenant.user_id))
        self.acts_for = tenant


class TenantDatabase(Database):
    """A pool whose sessions act for whoever is calling; who has nobody to act for gets none."""

    def __init__(self, dsn: str, wall: Wall, *, pool_size: int = 4, command_timeout_s: float = 30.0) -> None:
        """Take what ``raise_wall`` said of this database. Without a role its sessions are as the engine's."""
        super().__init__(dsn, pool_size=pool_size, command_timeout_s=command_timeout_s)
        self._wall = wall
        # It is there from the beginning, and no reset undoes it; whoever comes next takes it again all the same.
        self._take_role = "" if wall.role is None else f"SET ROLE {quoted(wall.role)}; "

    async def open(self, *, within_s: float = 0.0) -> None:
        """Open the pool of a server that is known to be usable (``raise_wall`` has asked it).

        Raises:
            UnavailableError: it can't be reached; there is no waiting.

        """
        await self._make_pool()
        async with super().connection():
            pass  # a role that is not to be had is told now

    def _sessions(self) -> dict[str, Any]:
        # In the startup packet: what resets a session leads back to it.
        role = {} if self._wall.role is None else {"role": self._wall.role}
        path = f"{quoted(self._wall.schema)}, pg_temp"
        settings = SESSION | {"row_security": "on", "search_path": path} | role
        return {"server_settings": settings, "connection_class": _Session}

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection that acts for whoever is calling; statements on it commit one by one.

        Raises:
            NoTenantError: nobody is.
            UnavailableError: Postgres is away, too slow, or no connection came free in time.

        """
        tenant = current_tenant.get()
        if tenant is None:
            raise NoTenantError("a statement on behalf of a caller, and nobody is calling")
        async with super().connection() as held:
            await cast("_Session", held).act_for(tenant, self._take_role)
            yield held


class Pools(NamedTuple):
    """The connections of one process."""

    engine: Database
    tenants: TenantDatabase
