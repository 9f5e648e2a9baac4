"""Rows of the check log, as every reader sees them."""

import msgspec

from monitord.domain.check import Category, CheckResult, Evidence, Gap, Phases, Trigger, Verdict
from monitord.domain.instant import Instant

_NO_PHASES = Phases()


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A stored row: a check, or a gap in which none ran."""

    org_id: int
    monitor_id: int
    seq: int
    """Counts the monitor's rows from 1, without holes (I7)."""
    shard: int
    position: int
    """Counts the shard's rows in the order of their commits, without holes: what a tail's cursor points at (I15)."""
    trigger: Trigger
    verdict: Verdict | None
    counted: bool
    """Whether the row was folded into the monitor's status: the replay of the log needs to know (I8, I10)."""
    monitor_version: int
    scheduled_at: Instant
    checked_at: Instant
    """When the check began; for a gap, when it was recorded."""
    gap_until: Instant | None = None
    category: Category | None = None
    message: str = ""
    status_code: int | None = None
    response_time_ms: float | None = None
    phases: Phases = _NO_PHASES
    dns_ok: bool | None = None
    ssl_ok: bool | None = None
    content_ok: bool | None = None
    address: str | None = None
    certificate_expires_at: Instant | None = None
    bytes_received: int = 0
    redirects: int = 0
    screenshot_url: str = ""
    measurements: dict[str, float] | None = None
    maintenance: bool = False
    """Whether the check began within a maintenance window."""
    evidence: Evidence | None = None
    """Only where it was asked for."""


def entry_of_result(result: CheckResult, *, seq: int, shard: int, position: int, counted: bool) -> LogEntry:
    """Return the row that a result becomes."""
    seen = result.observation
    return LogEntry(
        org_id=result.org_id,
        monitor_id=result.monitor_id,
        seq=seq,
        shard=shard,
        position=position,
        trigger=result.trigger,
        verdict=seen.verdict,
        counted=counted,
        monitor_version=result.monitor_version,
        scheduled_at=result.scheduled_at,
        checked_at=result.started_at,
        category=seen.category,
        message=seen.message,
        status_code=seen.status_code,
        response_time_ms=result.response_ms,
        phases=seen.phases,
        dns_ok=seen.dns_ok,
        ssl_ok=seen.ssl_ok,
        content_ok=seen.content_ok,
        address=seen.address,
        certificate_expires_at=seen.certificate_expires_at,
        bytes_received=seen.bytes_received,
        redirects=seen.redirects,
        measurements=seen.measurements,
        maintenance=result.maintenance,
        evidence=seen.evidence,
    )


def entry_of_gap(gap: Gap, *, recorded_at: Instant, seq: int, shard: int, position: int) -> LogEntry:
    """Return the row that a gap becomes."""
    return LogEntry(
        org_id=gap.org_id,
        monitor_id=gap.monitor_id,
        seq=seq,
        shard=shard,
        position=position,
        trigger=Trigger.GAP,
        verdict=None,
        counted=False,
        monitor_version=gap.monitor_version,
        scheduled_at=gap.first_slot,
        checked_at=recorded_at,
        gap_until=gap.until,
        category=Category.ENGINE_GAP,
        message=f"{gap.slots} {'check' if gap.slots == 1 else 'checks'} not made: {gap.reason}",
    )
