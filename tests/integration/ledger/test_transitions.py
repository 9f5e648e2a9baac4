"""A transition, its row, its incident and its alerts are one (I1), and nobody is left untold without a reason (I2)."""

import pytest

from monitord.domain.alert import Silence
from monitord.domain.check import Verdict
from monitord.domain.health import Status
from tests.integration.ledger.conftest import World, adopt, record_all, running, until

UP, DEGRADED, DOWN = Verdict.UP, Verdict.DEGRADED, Verdict.DOWN
TRANSITIONS = "SELECT before, after, seq, silence FROM monitor_transitions WHERE monitor_id = $1 ORDER BY id"
INCIDENTS = """
SELECT t.after, r.after FROM incidents AS i
JOIN monitor_transitions AS t ON t.org_id = i.org_id AND t.id = i.opened_by
LEFT JOIN monitor_transitions AS r ON r.org_id = i.org_id AND r.id = i.resolved_by
WHERE i.monitor_id = $1 ORDER BY i.id
"""
ALERTS = "SELECT contact_id, kind FROM alerts WHERE monitor_id = $1 ORDER BY transition_id, contact_id"


async def test_a_day_of_a_monitor(world: World) -> None:
    ledger = world.ledger()
    monitor = await world.monitor(ledger)
    contact = await world.contact(monitor)
    async with running(ledger) as commits:
        record_all(ledger, [world.result(monitor, v) for v in (UP, DOWN, UP, DOWN, DOWN, DEGRADED, UP)])
        await ledger.flush()
    assert await world.rows(TRANSITIONS, monitor.id) == [
        (Status.PENDING, Status.UP, 1, Silence.UNREMARKABLE),
        (Status.UP, Status.DOWN, 5, None),
        (Status.DOWN, Status.DEGRADED, 6, None),
        (Status.DEGRADED, Status.UP, 7, None),
    ]
    assert await world.rows(INCIDENTS, monitor.id) == [(Status.DOWN, Status.DEGRADED)]
    assert await world.rows(ALERTS, monitor.id) == [(contact, "down"), (contact, "degraded"), (contact, "up")]
    assert (await world.health(monitor)).status is Status.UP
    told = [t.after for commit in commits for change in commit.changes for t in change.transitions]
    assert told == [Status.UP, Status.DOWN, Status.DEGRADED, Status.UP]


async def test_only_contacts_that_can_and_want_to_be_told_are(world: World) -> None:
    ledger = world.ledger()
    monitor, lonely = await world.monitor(ledger), await world.monitor(ledger)
    told = await world.contact(monitor)
    await world.contact(monitor, verified=False)
    await world.contact(monitor, disabled=True)
    await world.contact(monitor, is_active=False)
    await world.contact(monitor, kinds=["up"])
    await world.contact(lonely, kinds=["degraded"])
    async with running(ledger):
        record_all(ledger, [world.result(m, DOWN) for m in (monitor, lonely) for _ in range(2)])
        await ledger.flush()
    assert await world.rows(ALERTS, monitor.id) == [(told, "down")]
    assert await world.rows(TRANSITIONS, lonely.id) == [(Status.PENDING, Status.DOWN, 2, Silence.NO_CONTACTS)]


async def test_every_transition_has_alerts_or_a_reason(world: World) -> None:
    ledger = world.ledger()
    monitors = [await world.monitor(ledger) for _ in range(6)]
    await world.contact(*monitors[:3])
    async with running(ledger):
        for verdict in (DOWN, DOWN, UP, DEGRADED, DEGRADED, UP):
            record_all(ledger, [world.result(m, verdict) for m in monitors])
        await ledger.flush()
    unexplained = """
        SELECT count(*) FROM monitor_transitions AS t
        WHERE (silence IS NULL) <> EXISTS (SELECT FROM alerts AS a WHERE a.org_id = t.org_id AND a.transition_id = t.id)
    """
    assert await world.value("SELECT count(*) FROM monitor_transitions") == 24
    assert await world.value(unexplained) == 0


@pytest.mark.parametrize("table", ["monitor_logs", "monitor_states", "monitor_transitions", "incidents", "alerts"])
async def test_a_transaction_that_breaks_midway_leaves_nothing(world: World, table: str) -> None:
    ledger = world.ledger()
    monitor = await world.monitor(ledger)
    await world.contact(monitor)
    async with running(ledger) as commits:
        await ledger.record_and_wait(world.result(monitor))
        before = await world.counts()
        health = await world.health(monitor)
        await world.rows(
            "CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN RAISE EXCEPTION ''sabotage'' USING ERRCODE = ''XX000''; END'"
        )
        await world.rows(
            f"CREATE TRIGGER s BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION sabotage()"
        )
        record_all(ledger, [world.result(monitor, DOWN), world.result(monitor, DOWN)])
        await until(lambda: ledger._failures > 0)
        assert await world.counts() == before
        assert await world.health(monitor) == health
        assert len(commits) == 1
        assert ledger.spooled == 2
        await world.rows(f"DROP TRIGGER s ON {table}")
        await ledger.flush()
    grown = {table: count - before[table] for table, count in (await world.counts()).items()}
    expected = {"monitor_logs": 2, "check_evidence": 2, "monitor_transitions": 1, "incidents": 1, "alerts": 1}
    assert grown == expected


async def test_two_thousand_monitors_down_at_once_take_a_few_transactions(world: World) -> None:
    ledger = world.ledger()
    count = 2_000
    await world.rows(
        "WITH m AS (INSERT INTO monitors (org_id, name, type, config, interval_s, timeout_ms, failure_threshold, "
        "success_threshold, recheck_interval_s, is_active) SELECT $1, 'x' || g, 'http', '{}', 60, 1000, 2, 1, 10, true "
        "FROM generate_series(1, $2::int) AS g RETURNING org_id, id) "
        "INSERT INTO monitor_states (org_id, monitor_id, status, since) SELECT org_id, id, 3, now() FROM m",
        world.org_id,
        count,
    )
    one = await world.monitor()
    monitors = [
        type(one)(id=i, org_id=one.org_id, spec=one.spec, version=1, created_at=0, updated_at=0)
        for (i,) in await world.rows("SELECT id FROM monitors WHERE name LIKE 'x%'")
    ]
    await world.contact(*monitors)
    health = await world.health(one)
    for monitor in monitors:
        adopt(ledger, monitor, health)
    async with running(ledger) as commits:
        for _ in range(2):
            record_all(ledger, [world.result(m, DOWN) for m in monitors])
        await ledger.flush()
    assert (await world.counts())["alerts"] == count
    assert len(commits) <= 2 * count // 500 + 1


async def test_parking_is_a_transition_with_an_incident_and_alerts(world: World) -> None:
    ledger = world.ledger()
    monitor = await world.monitor(ledger)
    contact = await world.contact(monitor)
    async with running(ledger):
        ledger.record(world.result(monitor))
        await ledger.park(monitor, "it crashed five times")
        await ledger.park(monitor, "it crashed five times")
        entry = await ledger.record_and_wait(world.result(monitor, DOWN))
    assert not entry.counted
    assert (await world.rows(TRANSITIONS, monitor.id))[1:] == [(Status.UP, Status.FAULTED, None, None)]
    assert await world.rows(INCIDENTS, monitor.id) == [(Status.FAULTED, None)]
    assert await world.rows(ALERTS, monitor.id) == [(contact, "faulted")]
    assert (await world.health(monitor)).status is Status.FAULTED
