"""What is remembered of each running monitor between two scrapes: one small object, whatever its target sends (I16)."""

import msgspec

from monitord.domain.check import CheckResult, Phases, Verdict
from monitord.domain.health import Status
from monitord.domain.instant import Instant
from monitord.domain.monitor import Monitor
from monitord.metrics.histogram import Histogram

CHECK_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)
"""Up to the longest timeout that a check may have."""

_NO_PHASES = Phases()


_CONCLUSIVE = frozenset({Verdict.UP, Verdict.DEGRADED, Verdict.DOWN, Verdict.UNREACHABLE})


class KindTotals:
    """What all checks of one kind have in common."""

    __slots__ = ("seconds", "verdicts")

    def __init__(self) -> None:
        self.verdicts = [0] * (max(Verdict) + 1)
        """How many checks had each verdict, by its number."""
        self.seconds = Histogram(CHECK_SECONDS)


class Watched(msgspec.Struct, gc=False):
    """A monitor and its newest result, without evidence."""

    monitor: Monitor
    status: Status
    totals: KindTotals
    verdict: Verdict | None = None
    duration_ms: float = 0.0
    phases: Phases = _NO_PHASES
    status_code: int | None = None
    certificate_expires_at: Instant | None = None

    def remember(self, result: CheckResult) -> None:
        """Replace what is known by a new result."""
        seen = result.observation
        self.verdict = seen.verdict
        self.duration_ms = result.duration_ms
        self.phases = seen.phases
        self.status_code = seen.status_code
        self.certificate_expires_at = seen.certificate_expires_at

    @property
    def is_conclusive(self) -> bool:
        """Whether the newest result says something of the target (I9)."""
        return self.verdict in _CONCLUSIVE
