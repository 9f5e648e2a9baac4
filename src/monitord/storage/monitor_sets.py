"""Makes an organisation's monitors equal to a given set, by name."""

from collections.abc import Sequence

import msgspec

from monitord.domain.health import Health
from monitord.domain.instant import Instant
from monitord.domain.kinds import kind_of
from monitord.domain.monitor import Monitor, MonitorSpec
from monitord.domain.queries import Applied, ApplyAction
from monitord.domain.secrets import keep_secrets
from monitord.storage import monitor_writes, quotas
from monitord.storage.database import Transaction
from monitord.storage.sealing import Sealer

# One at a time per organisation: two sets at once would each see half of the other.
LOCK_ORGANISATION = "SELECT id FROM organisations WHERE id = $1 FOR NO KEY UPDATE"
LOCK_SET = """
SELECT id, name FROM monitors WHERE org_id = $1 AND ($2 OR name = ANY($3::text[])) ORDER BY id FOR UPDATE
"""
_Stored = tuple[Monitor, Health]


async def apply_set(
    tx: Transaction,
    sealer: Sealer,
    org_id: int,
    specs: Sequence[MonitorSpec],
    *,
    prune: bool,
    dry_run: bool,
    now: Instant,
) -> list[Applied]:
    """Do what ``MonitorStore.apply`` says, within ``tx``."""
    await tx.execute(LOCK_ORGANISATION, org_id)
    names = [spec.name for spec in specs]
    ids = {row["name"]: row["id"] for row in await tx.fetch(LOCK_SET, org_id, prune, names)}
    kept = [ids[name] for name in names if name in ids]
    stored = {
        monitor.spec.name: (monitor, health)
        for monitor, health in await monitor_writes.read_locked(tx, sealer, org_id, kept)
    }
    removed = {name: monitor_id for name, monitor_id in ids.items() if name not in stored}
    changed = [(spec, stored[spec.name][0].spec) for spec in specs if spec.name in stored]
    new = [spec for spec in specs if spec.name not in stored]
    await quotas.admit_set(tx, org_id, new, changed, removed=len(removed))
    if not dry_run:
        # First, so that their names are free.
        for monitor_id in removed.values():
            await monitor_writes.delete(tx, org_id, monitor_id, now)
    done = [await _apply_one(tx, sealer, org_id, spec, stored.get(spec.name), dry_run, now) for spec in specs]
    done += [Applied(name=name, action=ApplyAction.REMOVED, id=monitor_id) for name, monitor_id in removed.items()]
    if not dry_run and any(applied.action is not ApplyAction.UNCHANGED for applied in done):
        await monitor_writes.notify(tx)
    return done


async def _apply_one(
    tx: Transaction,
    sealer: Sealer,
    org_id: int,
    spec: MonitorSpec,
    stored: _Stored | None,
    dry_run: bool,
    now: Instant,
) -> Applied:
    if stored is None:
        made = 0 if dry_run else await monitor_writes.insert(tx, sealer, org_id, spec, now)
        return Applied(name=spec.name, action=ApplyAction.CREATED, id=made, version=1 if made else 0)
    current, health = stored
    spec = msgspec.structs.replace(spec, check=keep_secrets(spec.check, current.spec.check))
    if spec == current.spec:
        return Applied(name=spec.name, action=ApplyAction.UNCHANGED, id=current.id, version=current.version)
    if not dry_run:
        await monitor_writes.replace(tx, sealer, current, health, spec, now)
    return Applied(
        name=spec.name,
        action=ApplyAction.CHANGED,
        changed_fields=changed_fields(current.spec, spec),
        id=current.id,
        version=current.version if dry_run else current.version + 1,
    )


def changed_fields(before: MonitorSpec, after: MonitorSpec) -> tuple[str, ...]:
    """Return which fields differ; those of the check as ``http.url``."""
    ours = [name for name in MonitorSpec.__struct_fields__ if name != "check"]
    fields = [name for name in ours if getattr(before, name) != getattr(after, name)]
    if type(before.check) is not type(after.check):
        return (*fields, kind_of(after.check))
    of_check = type(after.check).__struct_fields__
    fields += [
        f"{kind_of(after.check)}.{name}"
        for name in of_check
        if getattr(before.check, name) != getattr(after.check, name)
    ]
    return tuple(fields)
