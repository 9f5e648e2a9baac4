"""Rows of the tables as values of the domain."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from monitord.domain.check import Category, Evidence, Phases, Trigger, Verdict
from monitord.domain.health import Health, Status
from monitord.domain.instant import Instant, from_datetime
from monitord.domain.kinds import Check
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Monitor, MonitorSpec
from monitord.storage.sealing import Sealer, unsealed

LOG_COLUMNS = [
    "org_id",
    "monitor_id",
    "seq",
    "position",
    "shard",
    "trigger",
    "verdict",
    "counted",
    "monitor_version",
    "scheduled_at",
    "checked_at",
    "gap_until",
    "category",
    "message",
    "status_code",
    "response_time",
    "dns_ms",
    "connect_ms",
    "tls_ms",
    "ttfb_ms",
    "transfer_ms",
    "dns_ok",
    "ssl_ok",
    "content_ok",
    "address",
    "cert_expires_at",
    "bytes_received",
    "redirects",
    "screenshot_url",
    "measurements",
    "maintenance",
]
LOG = ", ".join(f"l.{column}" for column in LOG_COLUMNS)
"""The columns that ``log_entry`` reads, of a table called ``l``."""

MONITOR_COLUMNS = [
    "org_id",
    "id",
    "name",
    "labels",
    "config",
    "secrets",
    "interval_s",
    "timeout_ms",
    "failure_threshold",
    "success_threshold",
    "recheck_interval_s",
    "is_active",
    "parent_ids",
    "version",
    "created_at",
    "updated_at",
]
# The configuration as text: it goes straight into its struct, without a dict between.
MONITOR = ", ".join("m.config::text" if column == "config" else f"m.{column}" for column in MONITOR_COLUMNS)
"""The columns that ``monitor`` reads, of a table called ``m``."""

HEALTH_COLUMNS = [
    "status",
    "since",
    "down_streak",
    "degraded_streak",
    "alive_streak",
    "up_streak",
    "judged",
    "failed_streak",
    "blind_streak",
]
HEALTH = ", ".join(f"s.{column}" for column in HEALTH_COLUMNS)
"""The columns that ``health`` reads, of a table called ``s``."""

_NO_PHASES = Phases()
_CHECK = msgspec.json.Decoder(Check)
_EVIDENCE = msgspec.msgpack.Decoder(Evidence)


def log_entry(columns: Sequence[Any], evidence: bytes | None = None) -> LogEntry:
    """Return the row of the log that ``LOG`` selected."""
    (
        org_id, monitor_id, seq, position, shard, trigger, verdict, counted, version, scheduled_at, checked_at,
        gap_until, category, message, status_code, response_time, dns, connect, tls, ttfb, transfer, dns_ok, ssl_ok,
        content_ok, address, cert_expires_at, bytes_received, redirects, screenshot_url, measurements, maintenance,
    ) = columns  # fmt: skip
    return LogEntry(
        org_id=org_id,
        monitor_id=monitor_id,
        seq=seq,
        shard=shard,
        position=position,
        trigger=Trigger(trigger),
        verdict=None if verdict is None else Verdict(verdict),
        counted=counted,
        monitor_version=version,
        scheduled_at=from_datetime(scheduled_at),
        checked_at=from_datetime(checked_at),
        gap_until=_instant(gap_until),
        category=None if category is None else Category(category),
        message=message or "",
        status_code=status_code,
        response_time_ms=response_time,
        phases=Phases(dns, connect, tls, ttfb, transfer) if trigger != Trigger.GAP else _NO_PHASES,
        dns_ok=dns_ok,
        ssl_ok=ssl_ok,
        content_ok=content_ok,
        address=address,
        certificate_expires_at=_instant(cert_expires_at),
        bytes_received=bytes_received or 0,
        redirects=redirects or 0,
        screenshot_url=screenshot_url or "",
        measurements=measurements,
        maintenance=bool(maintenance),
        evidence=None if evidence is None else _EVIDENCE.decode(evidence),
    )


def monitor(columns: Sequence[Any], sealer: Sealer) -> Monitor:
    """Return the monitor that ``MONITOR`` selected, with its secrets unsealed."""
    (
        org_id, monitor_id, name, labels, config, secrets, interval_s, timeout_ms, failure_threshold,
        success_threshold, recheck_interval_s, active, parent_ids, version, created_at, updated_at,
    ) = columns  # fmt: skip
    spec = MonitorSpec(
        name=name,
        check=unsealed(_CHECK.decode(config), secrets, sealer, org_id, monitor_id),
        labels=labels,
        interval_s=interval_s,
        timeout_ms=timeout_ms,
        failure_threshold=failure_threshold,
        success_threshold=success_threshold,
        recheck_interval_s=recheck_interval_s,
        active=active,
        parent_ids=tuple(parent_ids),
    )
    return Monitor(
        id=monitor_id,
        org_id=org_id,
        spec=spec,
        version=version,
        created_at=from_datetime(created_at),
        updated_at=from_datetime(updated_at),
    )


def health(columns: Sequence[Any]) -> Health:
    """Return the state that ``HEALTH`` selected."""
    status, since, down, degraded, alive, up, judged, failed, blind = columns
    return Health(Status(status), from_datetime(since), down, degraded, alive, up, Status(judged), failed, blind)


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else from_datetime(moment)
