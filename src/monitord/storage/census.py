"""Numbers for the metrics that only the database knows, asked for now and then rather than at each scrape."""

import asyncio

from monitord.domain.errors import UnavailableError
from monitord.domain.health import Status
from monitord.storage.database import Database

CENSUS = """
    SELECT (SELECT count(*) FROM alerts WHERE state = 'pending') AS pending,
           (SELECT extract(epoch FROM now() - min(due_at)) FROM alerts WHERE state = 'pending') AS oldest_s,
           (SELECT count(*) FROM monitor_states WHERE status = $1) AS paused
"""

_PERIOD_S = 15.0


class Census:
    """Counts all tenants' rows, for the operator. None while the database has not answered lately."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.outbox_pending: int | None = None
        self.outbox_oldest_s: float | None = None
        self.paused_monitors: int | None = None

    async def run(self) -> None:
        """Count every 15 s until cancelled."""
        while True:
            try:
                await self._count()
            except UnavailableError:
                self.outbox_pending = self.outbox_oldest_s = self.paused_monitors = None
            await asyncio.sleep(_PERIOD_S)

    async def _count(self) -> None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(CENSUS, Status.PAUSED)
        assert row is not None
        self.outbox_pending = row["pending"]
        self.outbox_oldest_s = max(float(row["oldest_s"] or 0), 0.0)
        self.paused_monitors = row["paused"]
