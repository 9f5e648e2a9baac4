"""Keeps the database tidy: partitions ahead of time, retention, and what deleted monitors leave behind."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import asyncpg
import structlog

from monitord.domain.errors import UnavailableError
from monitord.domain.instant import Instant, to_datetime
from monitord.storage import partitions, plan_retention
from monitord.storage.audit_log import AuditLog
from monitord.storage.database import Database
from monitord.storage.monitors import wall_clock

EXPIRE_REQUEST_IDS = "DELETE FROM request_ids WHERE created_at < $1"
EXPIRE_SESSIONS = "DELETE FROM sessions WHERE expires_at < $1"
PURGES = "SELECT org_id, monitor_id, deleted_at FROM monitor_purges"
PURGE_RANGE = "SELECT min(seq), max(seq) FROM monitor_logs WHERE org_id = $1 AND monitor_id = $2"
PURGE_EVIDENCE = """
DELETE FROM check_evidence WHERE org_id = $1 AND monitor_id = $2 AND seq >= $3 AND seq < $4
"""
PURGE_LOGS = "DELETE FROM monitor_logs WHERE org_id = $1 AND monitor_id = $2 AND seq >= $3 AND seq < $4"
PURGED = "DELETE FROM monitor_purges WHERE org_id = $1 AND monitor_id = $2"

_CHUNK = 5_000
_EVERY_S = 3600.0
_RETRY_S = 60.0
_REQUEST_ID_AGE = timedelta(hours=24)
_SESSION_AGE = timedelta(days=1)
"""After a session's end: the reuse of its token is still told from one that never was."""
_STRAGGLERS = timedelta(hours=1)
"""A check under way, or rows held back by an outage, may be stored after its monitor was deleted."""

_log = structlog.get_logger(__name__)


class Janitor:
    """Does its rounds at the start, then hourly."""

    def __init__(
        self,
        database: Database,
        *,
        retention_days: int,
        audit_days: int = 365,
        clock: Callable[[], Instant] = wall_clock,
    ) -> None:
        """Take how many days of the check log, and of the audit log, to keep; at least 1."""
        self._database = database
        self._audit = AuditLog(database)
        self._audit_days = audit_days
        self._retention = timedelta(days=retention_days)
        self._clock = clock

    async def prepare(self) -> None:
        """Make the partitions that the next rows belong to; to be awaited before anything is written.

        Raises:
            UnavailableError: the database is away.

        """
        await self._create_partitions()

    async def run(self) -> None:
        """Do rounds for ever. A database that is away only delays them."""
        while True:
            complete = await self.tidy()
            await asyncio.sleep(_EVERY_S if complete else _RETRY_S)

    async def tidy(self) -> bool:
        """Do one round, each step whatever becomes of the others, and return whether all were done."""
        steps: tuple[Callable[[], Awaitable[None]], ...] = (
            self._create_partitions,
            self._drop_partitions,
            self._retire_by_plans,
            self._expire,
            self._retire_audit_events,
            self._purge,
        )
        return all([await self._guarded(step) for step in steps])

    async def _guarded(self, step: Callable[[], Awaitable[None]]) -> bool:
        try:
            await step()
        except (UnavailableError, asyncpg.PostgresError) as error:
            # Tidying can wait; it must not end the process that checks.
            _log.warning("the database was not tidied; trying again in a minute", step=step.__name__, error=str(error))
            return False
        return True

    async def _create_partitions(self) -> None:
        async with self._database.connection() as held:
            await partitions.create_ahead(held, to_datetime(self._clock()))

    async def _drop_partitions(self) -> None:
        oldest = (to_datetime(self._clock()) - self._retention).date()
        async with self._database.connection() as held:
            for name in await partitions.drop_old(held, oldest):
                _log.info("dropped a day of the log that is older than the retention", partition=name)

    async def _retire_by_plans(self) -> None:
        async with self._database.connection() as held:
            if rows := await plan_retention.retire(held, to_datetime(self._clock())):
                _log.info("deleted rows of the log that are older than plans keep them", rows=rows)

    async def _expire(self) -> None:
        now = to_datetime(self._clock())
        async with self._database.connection() as held:
            await held.execute(EXPIRE_REQUEST_IDS, now - _REQUEST_ID_AGE)
            await held.execute(EXPIRE_SESSIONS, now - _SESSION_AGE)

    async def _retire_audit_events(self) -> None:
        while await self._audit.purge(self._clock(), self._audit_days):
            pass

    async def _purge(self) -> None:
        """Delete the rows of deleted monitors, in short transactions."""
        settled = to_datetime(self._clock()) - _STRAGGLERS
        async with self._database.connection() as held:
            for org_id, monitor_id, deleted_at in await held.fetch(PURGES):
                first, last = await held.fetchrow(PURGE_RANGE, org_id, monitor_id) or (None, None)
                for start in range(first or 0, (last or -1) + 1, _CHUNK):
                    for statement in (PURGE_EVIDENCE, PURGE_LOGS):
                        await held.execute(statement, org_id, monitor_id, start, start + _CHUNK)
                if deleted_at < settled:
                    await held.execute(PURGED, org_id, monitor_id)
