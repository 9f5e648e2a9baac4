"""Pauses what is checked in an organisation that goes with its member's account, and resumes just that."""

from collections.abc import AsyncIterator

import msgspec

from monitord.domain.health import Health
from monitord.domain.instant import Instant
from monitord.domain.monitor import Monitor
from monitord.storage import monitor_writes
from monitord.storage.database import Transaction
from monitord.storage.sealing import Sealer

_PART = 500

# All of them, active or not: one that is being resumed at this moment is waited for, and then seen as it is.
LOCK_PART = "SELECT id FROM monitors WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3 FOR NO KEY UPDATE"
LOCK_PAUSED = """
SELECT m.id FROM account_pauses AS p JOIN monitors AS m ON m.org_id = p.org_id AND m.id = p.monitor_id
WHERE p.org_id = $1 AND p.monitor_id > $2 ORDER BY m.id LIMIT $3 FOR NO KEY UPDATE OF m
"""
REMEMBER = "INSERT INTO account_pauses (org_id, monitor_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
FORGET = "DELETE FROM account_pauses WHERE org_id = $1"


async def pause_all(tx: Transaction, sealer: Sealer, org_id: int, now: Instant) -> list[tuple[int, int]]:
    """Pause all monitors of a locked organisation; remember, and return with their versions, those that were active."""
    paused = []
    async for monitor, health in _locked(tx, sealer, org_id, LOCK_PART):
        if monitor.spec.active:
            await _set_active(tx, sealer, monitor, health, False, now)
            await tx.execute(REMEMBER, org_id, monitor.id)
            paused.append((monitor.id, monitor.version + 1))
    return paused


async def resume_paused(tx: Transaction, sealer: Sealer, org_id: int, now: Instant) -> list[tuple[int, int]]:
    """Resume what ``pause_all`` paused, as far as it is there and paused; return it as that does."""
    resumed = []
    async for monitor, health in _locked(tx, sealer, org_id, LOCK_PAUSED):
        if not monitor.spec.active:
            await _set_active(tx, sealer, monitor, health, True, now)
            resumed.append((monitor.id, monitor.version + 1))
    await tx.execute(FORGET, org_id)
    return resumed


async def _locked(
    tx: Transaction, sealer: Sealer, org_id: int, statement: str
) -> AsyncIterator[tuple[Monitor, Health]]:
    last = 0
    while ids := [row["id"] for row in await tx.fetch(statement, org_id, last, _PART)]:
        for found in await monitor_writes.read_locked(tx, sealer, org_id, ids):
            yield found
        last = ids[-1]


async def _set_active(
    tx: Transaction, sealer: Sealer, monitor: Monitor, health: Health, active: bool, now: Instant
) -> None:
    spec = msgspec.structs.replace(monitor.spec, active=active)
    await monitor_writes.replace(tx, sealer, monitor, health, spec, now)
