"""What a heartbeat may be."""

from collections.abc import Iterator
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from monitord.domain.errors import Violation
from monitord.domain.kinds.heartbeat import CronSchedule, HeartbeatCheck
from monitord.domain.rules.connection import Context
from monitord.domain.rules.wording import quoted
from monitord.domain.rules.zone import of_zone, zone_of

MIN_PERIOD_S = 10
MAX_PERIOD_S = 366 * 86_400
MIN_GRACE_S = 5
MAX_GRACE_S = 31 * 86_400
MAX_CRON_CHARS = 100
MAX_VERSION = 1_000_000


def violations(check: HeartbeatCheck, _: Context) -> Iterator[Violation]:
    """Yield what is wrong with a heartbeat."""
    if check.cron is not None:
        yield from of_cron(check.cron, "cron")
    elif not MIN_PERIOD_S <= check.period_s <= MAX_PERIOD_S:
        yield Violation("period", f"must be 10 s to 366 days, not {check.period_s} s; or give cron")
    if not MIN_GRACE_S <= check.grace_s <= MAX_GRACE_S:
        yield Violation("grace", f"must be 5 s to 31 days, not {check.grace_s} s")
    if not 0 <= check.ping_url_version <= MAX_VERSION:
        yield Violation("ping_url_version", f"must be 0 to {MAX_VERSION}, not {check.ping_url_version}")


def of_cron(cron: CronSchedule, field: str) -> Iterator[Violation]:
    """Yield what is wrong with a schedule by the wall clock."""
    yield from of_zone(cron.time_zone, f"{field}.time_zone")
    zone = zone_of(cron.time_zone) or UTC
    if len(cron.expression) > MAX_CRON_CHARS:
        yield Violation(
            f"{field}.expression", f"must have at most {MAX_CRON_CHARS} characters, not {len(cron.expression)}"
        )
        return
    try:
        # Some expressions are well-formed and never come true, such as 30 February.
        next(CronSim(cron.expression, datetime(2024, 1, 1, tzinfo=zone)))
    except (CronSimError, StopIteration) as error:
        yield Violation(
            f"{field}.expression",
            f"must be five fields as in crontab(5), such as 30 4 * * 1-5, not {quoted(cron.expression)}"
            + (f": {error}" if str(error) else ""),
        )
