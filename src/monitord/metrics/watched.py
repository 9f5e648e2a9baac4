"""What is remembered of each running monitor between two scrapes: one small object, whatever its target sends (I16)."""

from collections.abc import Mapping
from itertools import islice

import msgspec

from monitord.domain.check import Category, CheckResult, Phases, Verdict
from monitord.domain.health import Status
from monitord.domain.instant import Instant
from monitord.domain.monitor import Monitor
from monitord.metrics.histogram import Histogram

CHECK_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)
"""Up to the longest timeout that a check may have."""

MAX_MEASUREMENTS = 32
"""More figures of one check than any kind has."""

_NO_PHASES = Phases()
_NO_FIGURES: Mapping[str, float] = {}


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
    category: Category | None = None
    ssl_ok: bool | None = None
    redirects: int = 0
    ip_version: int = 0
    """Of the address dialled last: 4 or 6; 0 without one."""
    measurements: Mapping[str, float] = _NO_FIGURES
    is_conclusive: bool = False
    """Whether the newest result says something of the target (I9)."""
    label: str = ""
    """How each of its series begins its labels: ``{monitor_id="7"``."""

    def __post_init__(self) -> None:
        """Write the label once: it stands in every line."""
        self.label = f'{{monitor_id="{self.monitor.id}"'

    def remember(self, result: CheckResult) -> None:
        """Replace what is known by a new result."""
        seen = result.observation
        self.verdict = verdict = seen.verdict
        self.is_conclusive = verdict in _CONCLUSIVE
        self.duration_ms = result.duration_ms
        self.phases = seen.phases
        self.status_code = seen.status_code
        self.certificate_expires_at = seen.certificate_expires_at
        self.category = seen.category
        self.ssl_ok = seen.ssl_ok
        self.redirects = seen.redirects
        address = seen.address
        self.ip_version = 0 if address is None else 4 if address.count(":") < 2 else 6
        figures = seen.measurements
        if figures is None:
            self.measurements = _NO_FIGURES
        else:
            bounded = len(figures) <= MAX_MEASUREMENTS
            self.measurements = figures if bounded else dict(islice(figures.items(), MAX_MEASUREMENTS))
