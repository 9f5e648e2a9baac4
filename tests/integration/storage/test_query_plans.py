"""What the second wall makes of the statements that are asked most: they still find their rows by an index."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from monitord.domain.instant import to_datetime
from monitord.domain.queries import MonitorOrder, MonitorQuery
from monitord.storage import incidents, logs, partitions
from monitord.storage.database import Database
from monitord.storage.monitor_rows import SELECT_VIEW, page_statement
from monitord.storage.tenancy import TenantDatabase
from tests.integration.storage.test_tenants import calling
from tests.support.stored import NOON
from tests.support.two_tenants import Things

FILL = """
SET session_replication_role = replica;
INSERT INTO organisations (name) SELECT 'another' FROM generate_series(1, 30);
INSERT INTO monitors (org_id, name, type, config, interval_s, timeout_ms, failure_threshold, success_threshold,
                      recheck_interval_s, is_active)
SELECT o.id, lpad(n::text, 5, '0'), 'http', '{{}}', 60, 10000, 2, 1, 10, true
FROM organisations AS o CROSS JOIN LATERAL generate_series(1, CASE WHEN o.id = {org} THEN 2000 ELSE 100 END) AS n;
INSERT INTO monitor_states (org_id, monitor_id, status, since)
SELECT org_id, id, 3, now() FROM monitors WHERE name ~ '^[0-9]';
INSERT INTO incidents (org_id, monitor_id, opened_at, resolved_at, opened_by)
SELECT org_id, id, now(), now(), id FROM monitors WHERE name ~ '^[0-9]';
SET session_replication_role = origin;
ANALYZE monitors, monitor_states, incidents;
"""
LARGE = {"monitors", "monitor_states", "incidents"}
ORDERED = {"ListMonitors by name", "ListMonitors by id", "ListIncidents"}
"""A page of all that an organisation has: not to be sorted to be found."""


def statements(org: int) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield each with its name and arguments."""
    yield "GetMonitor", SELECT_VIEW, [org, 1000, to_datetime(NOON)]
    yield "ListMonitors by name", *page_statement(org, MonitorQuery(order=MonitorOrder.NAME, after="01000"), NOON)
    yield "ListMonitors by id", *page_statement(org, MonitorQuery(order=MonitorOrder.ID_DESC), NOON)
    yield "ListIncidents", incidents.LIST, [org, None, None, None, None, None, 51]
    yield "ListIncidents of a monitor", incidents.LIST, [org, 1000, None, None, None, None, 51]
    yield "ListCheckLogs", logs.PAGE, [org, 1000, 2**62, logs._BEGINNING, logs._END, None, 51]
    yield "TailCheckLogs", logs.FEED, [org, 0, 5, None, 500]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


@pytest.fixture
async def filled(database: Database, ours: Things, theirs: Things) -> None:
    async with database.connection() as held:
        await held.execute(FILL.format(org=ours.org))
        for month in (5, 6, 7, 8):
            await partitions.create_ahead(held, datetime(2031, month, 6, tzinfo=UTC))


@pytest.mark.usefixtures("filled")
async def test_rows_are_found_by_an_index(tenants: TenantDatabase, ours: Things) -> None:
    with calling(ours.tenant):
        async with tenants.connection() as held:
            for name, statement, arguments in statements(ours.org):
                prepared = await held.prepare(f"EXPLAIN (FORMAT JSON) {statement}")
                text = await prepared.fetchval(*arguments)
                found = list(nodes(json.loads(text)[0]["Plan"]))
                read_whole = {node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"}
                assert not read_whole & LARGE, name
                assert name not in ORDERED or "Sort" not in {node["Node Type"] for node in found}, name
                assert len([node for node in found if "One-Time Filter" in node]) <= 1, name
