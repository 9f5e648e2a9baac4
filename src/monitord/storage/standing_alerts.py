"""Alerts that follow from no change of status: slowness by a contact's own threshold, and certificates near their end.

Both are found by looking at what is stored, again and again, and remembered with what is told: whoever looks twice, at
the same time or after a restart, makes one alert.
"""

from collections.abc import Sequence

from monitord.domain.check import Verdict
from monitord.domain.health import Status
from monitord.domain.instant import HOUR, Instant, from_datetime, to_datetime
from monitord.domain.wording import milliseconds
from monitord.storage.database import Database, Row

WARNING_DAYS = (1, 3, 7, 14, 21)

_WANTED = f"""
    SELECT g.org_id, g.monitor_id, g.contact_id, m.interval_s
    FROM monitor_alert_configs AS g
    JOIN monitors AS m ON m.org_id = g.org_id AND m.id = g.monitor_id AND m.is_active
    JOIN monitor_states AS s ON s.org_id = m.org_id AND s.monitor_id = m.id
      AND s.status NOT IN ({Status.MAINTENANCE:d}, {Status.PAUSED:d}, {Status.UNREACHABLE:d})
    JOIN alert_contacts AS c ON c.org_id = g.org_id AND c.id = g.contact_id AND c.verified_at IS NOT NULL
      AND c.disabled_at IS NULL AND c.deleted_at IS NULL
    WHERE g.is_active
"""  # noqa: S608 - made of constants
# The median of three is the second of them. Times are always given, so that partitions can be pruned.
SLOW = f"""
WITH wanted AS ({_WANTED} AND g.slow_threshold_ms > 0 AND 'slow' = ANY(g.kinds)), seen AS (
    SELECT w.org_id, w.monitor_id, r.median
    FROM (SELECT DISTINCT org_id, monitor_id, interval_s FROM wanted) AS w
    CROSS JOIN LATERAL (
        SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY l.response_time) AS median FROM (
            SELECT response_time FROM monitor_logs
            WHERE org_id = w.org_id AND monitor_id = w.monitor_id
              AND verdict IN ({Verdict.UP:d}, {Verdict.DEGRADED:d}) AND response_time IS NOT NULL
              AND checked_at > $1::timestamptz - GREATEST(interval '10 minutes', w.interval_s * interval '5 seconds')
            ORDER BY seq DESC LIMIT 3
        ) AS l HAVING count(*) = 3
    ) AS r
)
UPDATE monitor_alert_configs AS g SET slow_since = CASE WHEN g.slow_since IS NULL THEN $1 END
FROM wanted AS w JOIN seen AS s ON s.org_id = w.org_id AND s.monitor_id = w.monitor_id
WHERE g.org_id = w.org_id AND g.monitor_id = w.monitor_id AND g.contact_id = w.contact_id
  AND (g.slow_since IS NULL) = (s.median > g.slow_threshold_ms)
RETURNING g.org_id, g.monitor_id, g.contact_id, g.slow_since IS NOT NULL AS is_slow, g.slow_threshold_ms, s.median
"""  # noqa: S608 - made of constants
EXPIRING = f"""
WITH wanted AS ({_WANTED} AND 'certificate' = ANY(g.kinds)), seen AS (
    SELECT w.org_id, w.monitor_id, l.cert_expires_at,
           COALESCE((SELECT min(d) FROM unnest($2::integer[]) AS d
                     WHERE l.cert_expires_at > $1 AND l.cert_expires_at <= $1::timestamptz + d * interval '1 day'),
                    CASE WHEN l.cert_expires_at <= $1 THEN 0 END) AS days
    FROM (SELECT DISTINCT org_id, monitor_id, interval_s FROM wanted) AS w
    CROSS JOIN LATERAL (
        SELECT cert_expires_at FROM monitor_logs
        WHERE org_id = w.org_id AND monitor_id = w.monitor_id AND cert_expires_at IS NOT NULL
          AND checked_at > $1::timestamptz - GREATEST(interval '10 minutes', w.interval_s * interval '5 seconds')
        ORDER BY seq DESC LIMIT 1
    ) AS l
)
INSERT INTO certificate_notices AS n (org_id, monitor_id, contact_id, expires_at, days)
SELECT w.org_id, w.monitor_id, w.contact_id, s.cert_expires_at, s.days
FROM wanted AS w JOIN seen AS s ON s.org_id = w.org_id AND s.monitor_id = w.monitor_id AND s.days IS NOT NULL
ON CONFLICT (org_id, monitor_id, contact_id) DO UPDATE SET expires_at = EXCLUDED.expires_at, days = EXCLUDED.days
WHERE n.expires_at <> EXCLUDED.expires_at OR n.days > EXCLUDED.days
RETURNING org_id, monitor_id, contact_id, expires_at, days
"""  # noqa: S608 - made of constants
INSERT = """
INSERT INTO alerts (org_id, monitor_id, contact_id, kind, at, message, expires_at, created_at, due_at)
SELECT b.*, $1, $1
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::timestamptz[], $7::text[], $8::timestamptz[]) AS b
"""


class StandingAlerts:
    """Looks for them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def slowness(self, now: Instant) -> int:
        """Make an alert for each contact whose threshold the median of the last 3 checks passed, or passes no more."""
        at = to_datetime(now)
        async with self._database.transaction(None) as held:
            found = await held.fetch(SLOW, at)
            alerts = [(*row[:3], "slow" if row["is_slow"] else "slow_over", at, _slow(row), None) for row in found]
            if alerts:
                await held.execute(INSERT, at, *_columns(alerts))
        return len(alerts)

    async def certificates(self, now: Instant) -> int:
        """Make an alert for each contact and certificate with 21, 14, 7, 3 or 1 days left, or none; once for each."""
        at = to_datetime(now)
        async with self._database.transaction(None) as held:
            found = await held.fetch(EXPIRING, at, list(WARNING_DAYS))
            alerts = [(*row[:3], "certificate", at, _expiring(row, now), row["expires_at"]) for row in found]
            if alerts:
                await held.execute(INSERT, at, *_columns(alerts))
        return len(alerts)


def _slow(row: Row) -> str:
    median, threshold = milliseconds(row["median"]), milliseconds(row["slow_threshold_ms"])
    if row["is_slow"]:
        return f"The median response time of the last 3 checks is {median}, above {threshold}."
    return f"The median response time of the last 3 checks is {median} again, not above {threshold}."


def _expiring(row: Row, now: Instant) -> str:
    left = from_datetime(row["expires_at"]) - now
    if left <= 0:
        return "The certificate has expired."
    hours = left // HOUR
    return (
        f"The certificate expires in {hours // 24} days." if hours >= 48 else f"The certificate expires in {hours} h."
    )


def _columns(values: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*values, strict=True)]
