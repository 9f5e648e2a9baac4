"""The store of who is told what of which monitor. Every method takes the organisation first (T9)."""

from typing import Any

import msgspec

from monitord.domain.alert import AlertKind
from monitord.domain.contact import AlertConfig, AlertSettings, QuietHours
from monitord.domain.errors import NotFoundError
from monitord.storage.database import Database, Row, Transaction

_COLUMNS = """
monitor_id, contact_id, kinds, is_active, delay_s, escalate_after_s, reminder_s, quiet, slow_threshold_ms
"""
HAS_MONITOR = "SELECT true FROM monitors WHERE org_id = $1 AND id = $2 FOR KEY SHARE"
HAS_CONTACT = "SELECT true FROM alert_contacts WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL FOR SHARE"
# A new threshold is another question: whether it is slow by it has yet to be told.
SET = f"""
INSERT INTO monitor_alert_configs AS g (org_id, {_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (org_id, monitor_id, contact_id) DO UPDATE SET
    kinds = EXCLUDED.kinds, is_active = EXCLUDED.is_active, delay_s = EXCLUDED.delay_s,
    escalate_after_s = EXCLUDED.escalate_after_s, reminder_s = EXCLUDED.reminder_s, quiet = EXCLUDED.quiet,
    slow_threshold_ms = EXCLUDED.slow_threshold_ms,
    slow_since = CASE WHEN g.slow_threshold_ms = EXCLUDED.slow_threshold_ms THEN g.slow_since END
RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants
LIST = f"""
SELECT {_COLUMNS} FROM monitor_alert_configs
WHERE org_id = $1 AND ($2::bigint IS NULL OR monitor_id = $2) AND ($3::bigint IS NULL OR contact_id = $3)
  AND (monitor_id, contact_id) > ($4, $5)
ORDER BY monitor_id, contact_id LIMIT $6
"""  # noqa: S608 - made of constants
DELETE = """
DELETE FROM monitor_alert_configs WHERE org_id = $1 AND monitor_id = $2 AND contact_id = $3 RETURNING true
"""
ADD_DEFAULTS = """
INSERT INTO monitor_alert_configs (org_id, monitor_id, contact_id, kinds, is_active, delay_s, escalate_after_s,
                                   reminder_s, quiet, slow_threshold_ms)
SELECT c.org_id, $2, c.id, s.kinds, s.is_active, s.delay_s, s.escalate_after_s, s.reminder_s, s.quiet,
       s.slow_threshold_ms
FROM alert_contacts AS c
CROSS JOIN LATERAL jsonb_to_record(c.default_settings) AS s (
    kinds text[], is_active boolean, delay_s integer, escalate_after_s integer, reminder_s integer, quiet jsonb,
    slow_threshold_ms integer)
WHERE c.org_id = $1 AND c.deleted_at IS NULL AND c.default_settings IS NOT NULL
FOR KEY SHARE OF c
"""


class AlertConfigStore:
    """Says, and knows, who is told what."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, org_id: int, config: AlertConfig) -> AlertConfig:
        """Store what a contact is told of a monitor, in place of what was stored.

        Raises:
            NotFoundError: either isn't there, or is another's.

        """
        settings = config.settings
        async with self._database.transaction(None) as held:
            await _require(held, org_id, config.monitor_id, config.contact_id)
            row = await held.fetchrow(
                SET,
                org_id,
                config.monitor_id,
                config.contact_id,
                list(settings.kinds),
                settings.is_active,
                settings.delay_s,
                settings.escalate_after_s,
                settings.reminder_s,
                settings.quiet,
                settings.slow_threshold_ms,
            )
            assert row is not None
            return _config(row)

    async def require(self, org_id: int, monitor_id: int | None, contact_id: int | None) -> None:
        """Raise NotFoundError unless what is given is there, and not another's."""
        async with self._database.transaction(None) as held:
            await _require(held, org_id, monitor_id, contact_id)

    async def list(
        self, org_id: int, monitor_id: int | None, contact_id: int | None, after: tuple[int, int], limit: int
    ) -> list[AlertConfig]:
        """Return at most ``limit`` pairs above ``after``, by monitor and contact; of one of either, if it is given."""
        async with self._database.connection() as held:
            rows = await held.fetch(LIST, org_id, monitor_id, contact_id, *after, limit)
        return [_config(row) for row in rows]

    async def delete(self, org_id: int, monitor_id: int, contact_id: int) -> None:
        """Forget a pair; raise NotFoundError if it isn't there, or is another's."""
        async with self._database.transaction(None) as held:
            if await held.fetchval(DELETE, org_id, monitor_id, contact_id) is None:
                raise NotFoundError(f"Contact {contact_id} is told nothing of monitor {monitor_id}.")


async def _require(held: Transaction, org_id: int, monitor_id: int | None, contact_id: int | None) -> None:
    if monitor_id is not None and await held.fetchval(HAS_MONITOR, org_id, monitor_id) is None:
        raise NotFoundError(f"There is no monitor {monitor_id}.", id=str(monitor_id))
    if contact_id is not None and await held.fetchval(HAS_CONTACT, org_id, contact_id) is None:
        raise NotFoundError(f"There is no contact {contact_id}.", id=str(contact_id))


async def add_defaults(tx: Transaction, org_id: int, monitor_id: int) -> None:
    """Let each contact be told of a new monitor what it wants to know of every new one."""
    await tx.execute(ADD_DEFAULTS, org_id, monitor_id)


def _config(row: Row) -> AlertConfig:
    quiet: Any = row["quiet"]
    return AlertConfig(
        monitor_id=row["monitor_id"],
        contact_id=row["contact_id"],
        settings=AlertSettings(
            kinds=tuple(AlertKind(kind) for kind in row["kinds"]),
            is_active=row["is_active"],
            delay_s=row["delay_s"],
            escalate_after_s=row["escalate_after_s"],
            reminder_s=row["reminder_s"],
            quiet=None if quiet is None else msgspec.convert(quiet, QuietHours),
            slow_threshold_ms=row["slow_threshold_ms"],
        ),
    )
