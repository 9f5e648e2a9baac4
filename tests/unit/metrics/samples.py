"""Monitors and results that the tests of the metrics share."""

from typing import Any

from monitord.domain.check import CheckResult, Observation, Phases, Trigger, Verdict
from monitord.domain.health import Health, Status
from monitord.domain.instant import SECOND
from monitord.domain.kinds import Check, HttpCheck
from monitord.domain.monitor import Assignment, Monitor, MonitorSpec

EXPIRY = 1_893_456_000 * SECOND
PHASES = Phases(1, 2, 3, 4, 5)


def assignment(
    monitor_id: int = 1,
    *,
    name: str = "site",
    url: str = "https://example.org/",
    check: Check | None = None,
    version: int = 1,
    status: Status = Status.UP,
) -> Assignment:
    return Assignment(
        monitor=Monitor(
            id=monitor_id,
            org_id=1,
            spec=MonitorSpec(name=name, check=check or HttpCheck(url=url)),
            version=version,
            created_at=0,
            updated_at=0,
        ),
        health=Health(status=status),
        last_seq=0,
        covered_until=0,
    )


def result(
    monitor_id: int = 1,
    verdict: Verdict = Verdict.UP,
    *,
    version: int = 1,
    duration_ms: float = 123.456,
    phases: Phases = PHASES,
    status_code: int | None = 200,
    expires_at: int | None = EXPIRY,
    address: str | None = "192.0.2.1:443",
    **seen: Any,
) -> CheckResult:
    return CheckResult(
        monitor_id=monitor_id,
        org_id=1,
        monitor_version=version,
        trigger=Trigger.SCHEDULED,
        scheduled_at=0,
        started_at=0,
        duration_ms=duration_ms,
        observation=Observation(
            verdict=verdict,
            phases=phases,
            status_code=status_code,
            certificate_expires_at=expires_at,
            address=address,
            **seen,
        ),
    )
