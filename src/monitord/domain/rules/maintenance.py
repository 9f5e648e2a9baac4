"""What a maintenance window may be."""

from collections.abc import Iterator

from monitord.domain.errors import Violation
from monitord.domain.instant import DAY
from monitord.domain.maintenance import MAX_DURATION_S, MaintenanceSpec, Once
from monitord.domain.rules.heartbeat import of_cron
from monitord.domain.rules.labels import of_labels
from monitord.domain.rules.monitor import MAX_NAME_CHARS
from monitord.domain.rules.wording import VISIBLE, has_controls

MAX_MONITORS = 1000
MAX_ONCE_DAYS = 366
MIN_DURATION_S = 60


def violations(spec: MaintenanceSpec, prefix: str) -> list[Violation]:
    """Return everything that is wrong with a window; empty when nothing is."""
    found = [*_of_identity(spec), *_of_schedule(spec)]
    return [Violation(prefix + one.field, one.description) for one in found]


def _of_identity(spec: MaintenanceSpec) -> Iterator[Violation]:
    if not 1 <= len(spec.name) <= MAX_NAME_CHARS:
        yield Violation("name", f"must have 1 to {MAX_NAME_CHARS} characters, not {len(spec.name)}")
    if has_controls(spec.name):
        yield Violation("name", VISIBLE)
    if len(spec.monitor_ids) > MAX_MONITORS:
        yield Violation("monitor_ids", f"must be at most {MAX_MONITORS}, not {len(spec.monitor_ids)}")
    yield from of_labels(spec.labels)


def _of_schedule(spec: MaintenanceSpec) -> Iterator[Violation]:
    schedule = spec.schedule
    if isinstance(schedule, Once):
        if not schedule.start < schedule.end <= schedule.start + MAX_ONCE_DAYS * DAY:
            yield Violation("once.end_time", f"must be later than start_time, by at most {MAX_ONCE_DAYS} days")
        return
    yield from of_cron(schedule.cron, "recurring.cron")
    if not MIN_DURATION_S <= schedule.duration_s <= MAX_DURATION_S:
        yield Violation("recurring.duration", f"must be 60 s to 31 days, not {schedule.duration_s} s")
