"""Records screenshots where people look for them: in the log row, the incident and the alerts of a transition."""

from collections.abc import Callable
from typing import Protocol

from monitord.domain.instant import Instant, to_datetime
from monitord.storage.database import Database

TRANSITION = """
SELECT id, seq FROM monitor_transitions WHERE org_id = $1 AND monitor_id = $2 AND at = $3 ORDER BY id DESC LIMIT 1
"""
# The partition that holds the row is found by its time, which is the transition's or, with a clock set back, near it.
LOG_ROW = """
UPDATE monitor_logs SET screenshot_url = $4
WHERE org_id = $1 AND monitor_id = $2 AND seq = $3
  AND checked_at BETWEEN $5::timestamptz - interval '1 day' AND $5::timestamptz + interval '1 day'
"""
INCIDENT = "UPDATE incidents SET screenshot_url = $3 WHERE org_id = $1 AND opened_by = $2"
# Whoever sleeps is held again by the next look.
ALERTS = """
UPDATE alerts SET
    screenshot_url = COALESCE($3, screenshot_url), held_until = NULL
WHERE org_id = $1 AND transition_id = $2 AND state = 'pending'
"""


class Moment(Protocol):
    """Which transition a picture belongs to; ``evidence.photographer.Moment``."""

    @property
    def org_id(self) -> int:
        """Whose."""

    @property
    def monitor_id(self) -> int:
        """Of which monitor."""

    @property
    def at(self) -> Instant:
        """When."""


class ScreenshotAlbum:
    """Implements ``evidence.photographer.Album``."""

    def __init__(self, database: Database, recorded: Callable[[], None]) -> None:
        """``recorded`` is told when alerts may go that waited."""
        self._database = database
        self._recorded = recorded

    async def record(self, moment: Moment, result: object) -> None:
        """Record a picture, or that there is none, and let alerts go that waited for it.

        Raises UnavailableError when the database is away: the alerts go on their own in a moment.
        """
        url: str | None = getattr(result, "url", None)
        at = to_datetime(moment.at)
        async with self._database.transaction() as tx:
            change = await tx.fetchrow(TRANSITION, moment.org_id, moment.monitor_id, at)
            if change is None:
                return  # the monitor was deleted, and with it all of this
            if url is not None:
                await tx.execute(LOG_ROW, moment.org_id, moment.monitor_id, change["seq"], url, at)
                await tx.execute(INCIDENT, moment.org_id, change["id"], url)
            await tx.execute(ALERTS, moment.org_id, change["id"], url)
        self._recorded()
