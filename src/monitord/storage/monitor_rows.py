"""Reads of monitors: the statements, and their rows as views."""

from typing import Any

from monitord.domain.instant import DAY, Instant, to_datetime
from monitord.domain.queries import MonitorOrder, MonitorQuery, MonitorView
from monitord.storage import rows
from monitord.storage.database import Row
from monitord.storage.sealing import Sealer

RECENT = 2 * DAY
"""The newest row of a monitor is first looked for in the partitions of these days."""

# One after the other: the second branch is only executed where the first finds nothing.
_NEWEST = """
LEFT JOIN LATERAL (
    SELECT * FROM (
        (SELECT * FROM monitor_logs WHERE org_id = m.org_id AND monitor_id = m.id AND checked_at >= {recent}
         ORDER BY seq DESC LIMIT 1)
        UNION ALL
        (SELECT * FROM monitor_logs WHERE org_id = m.org_id AND monitor_id = m.id AND checked_at < {recent}
         ORDER BY seq DESC LIMIT 1)
    ) AS newest LIMIT 1
) AS l ON true
"""
_STATE = "JOIN monitor_states AS s ON s.org_id = m.org_id AND s.monitor_id = m.id"

SELECT_VIEW = f"""
SELECT {rows.MONITOR}, {rows.HEALTH}, {rows.LOG}
FROM monitors AS m {_STATE} {_NEWEST.format(recent="$3")}
WHERE m.org_id = $1 AND m.id = $2
"""  # noqa: S608 - made of constants

_MONITOR_END = len(rows.MONITOR_COLUMNS)
_HEALTH_END = _MONITOR_END + len(rows.HEALTH_COLUMNS)
_SEQ = _HEALTH_END + rows.LOG_COLUMNS.index("seq")

_BY_ORDER = {
    MonitorOrder.ID: ("id", ">", "ASC"),
    MonitorOrder.ID_DESC: ("id", "<", "DESC"),
    MonitorOrder.NAME: ("name", ">", "ASC"),
    MonitorOrder.NAME_DESC: ("name", "<", "DESC"),
}


_PAGE_SIZES = (10, 51, 101, 251, 1001)


def view(row: Row, sealer: Sealer) -> MonitorView:
    """Return the monitor that ``SELECT_VIEW`` or ``page_statement`` selected."""
    last = row[_HEALTH_END:] if row[_SEQ] is not None else None
    return MonitorView(
        monitor=rows.monitor(row[:_MONITOR_END], sealer),
        health=rows.health(row[_MONITOR_END:_HEALTH_END]),
        last=None if last is None else rows.log_entry(last),
    )


def page_statement(org_id: int, query: MonitorQuery, now: Instant) -> tuple[str, list[Any]]:
    """Return the statement for one page of a list, and its arguments.

    The page is chosen first, and only its rows are joined with the rest. A constant stands near the limit, since the
    planner, who does not see arguments, would take a tenth of all monitors for one page and read every table whole.
    """
    column, beyond, direction = _BY_ORDER[query.order]
    arguments: list[Any] = [org_id, to_datetime(now - RECENT), query.limit]
    conditions = ["m.org_id = $1"]

    def where(condition: str, argument: Any) -> None:
        arguments.append(argument)
        conditions.append(condition.format(f"${len(arguments)}"))

    if query.after is not None:
        where(f"m.{column} {beyond} {{}}", query.after)
    if query.statuses:
        where("s.status = ANY({}::smallint[])", [int(status) for status in query.statuses])
    if query.types:
        where("m.type = ANY({}::text[])", list(query.types))
    if query.active is not None:
        where("m.is_active = {}", query.active)
    if query.labels:
        where("m.labels @> {}::jsonb", query.labels)
    if query.names:
        where("m.name = ANY({}::text[])", list(query.names))
    statement = f"""
SELECT {rows.MONITOR}, {rows.HEALTH}, {rows.LOG}
FROM (
    SELECT * FROM (
        SELECT m.* FROM monitors AS m {_STATE if query.statuses else ""}
        WHERE {" AND ".join(conditions)}
        ORDER BY m.{column} {direction} LIMIT {_at_most(query.limit)}
    ) AS m ORDER BY m.{column} {direction} LIMIT $3
) AS m {_STATE} {_NEWEST.format(recent="$2")}
ORDER BY m.{column} {direction}
"""  # noqa: S608 - column, operators and placeholders are from the constants above
    return statement, arguments


def _at_most(limit: int) -> int:
    """Return a constant not below ``limit``: one of few, so that few statements are to be planned."""
    return next((size for size in _PAGE_SIZES if size >= limit), limit)
