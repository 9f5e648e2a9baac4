"""The state is a pure fold of the log: who reads the rows gets the same statuses and transitions (I8)."""

import asyncio

import msgspec
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitord.domain.alert import Silence, alert_kind, opens_incident, silence_of
from monitord.domain.check import Verdict
from monitord.domain.health import Health, Policy, Status, Transition, observe
from monitord.domain.instant import from_datetime
from monitord.domain.monitor import Monitor
from monitord.storage.database import Database
from tests.integration.ledger.conftest import World, adopt, running
from tests.support.postgres import Cluster
from tests.support.stored import organisation

LOG = "SELECT verdict, counted, checked_at, maintenance FROM monitor_logs WHERE monitor_id = $1 ORDER BY seq"
SILENCES = "SELECT silence FROM monitor_transitions WHERE monitor_id = $1 ORDER BY id"
INCIDENTS = "SELECT resolved_at FROM incidents WHERE monitor_id = $1 ORDER BY id"
TRANSITIONS = "SELECT before, after, at FROM monitor_transitions WHERE monitor_id = $1 ORDER BY id"

histories = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(Verdict),
        st.sampled_from([False, False, False, True]),
        st.sampled_from(["", "", "flush", "restart"]),
    ),
    max_size=80,
)
Seen = tuple[int, Verdict, bool]
"""Which monitor, what its check said, and whether that was in a maintenance window."""

thresholds = st.tuples(st.integers(1, 4), st.integers(1, 4))


@pytest.mark.parametrize("before", [[], [Verdict.UP], [Verdict.DOWN] * 3, [Verdict.DEGRADED] * 4])
async def test_a_streak_survives_a_restart(world: World, before: list[Verdict]) -> None:
    monitor = await world.monitor(failure_threshold=3, success_threshold=3)
    health = await world.health(monitor)
    for verdict in [Verdict.DOWN, Verdict.UP, Verdict.UP]:
        before = [*before, verdict]
        await _live(world, [monitor], [(0, v, False) for v in before])
        before = []
    for verdict in [Verdict.UP, Verdict.DOWN, Verdict.DOWN, Verdict.DOWN]:
        await _live(world, [monitor], [(0, verdict, False)])
    await _compare(world, monitor, health)


def test_replaying_the_log_gives_the_states_and_the_transitions(cluster: Cluster) -> None:
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(histories, st.lists(thresholds, min_size=3, max_size=3))
    def replays(history: list[tuple[int, Verdict, bool, str]], policies: list[tuple[int, int]]) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_replay(cluster, history, policies))

    replays()


async def _replay(
    cluster: Cluster, history: list[tuple[int, Verdict, bool, str]], policies: list[tuple[int, int]]
) -> None:
    async with cluster.database() as dsn:
        database = Database(dsn, pool_size=2)
        await database.open()
        world = World(database, await organisation(database))
        monitors = [
            await world.monitor(failure_threshold=failures, success_threshold=successes)
            for failures, successes in policies
        ]
        started = {monitor.id: await world.health(monitor) for monitor in monitors}
        segment: list[Seen] = []
        for index, verdict, maintenance, then in [*history, (0, Verdict.UP, False, "restart")]:
            segment.append((index, verdict, maintenance))
            if then == "restart":
                await _live(world, monitors, segment)
                segment = []
        for monitor in monitors:
            await _compare(world, monitor, started[monitor.id])
        await database.close()


async def _live(world: World, monitors: list[Monitor], segment: list[Seen]) -> None:
    """Run one ledger, which starts from what the last one stored."""
    ledger = world.ledger()
    for monitor in monitors:
        view = await world.store.get(world.org_id, monitor.id)
        adopt(ledger, monitor, view.health, view.last.seq if view.last else 0)
    async with running(ledger):
        for index, verdict, maintenance in segment:
            result = world.result(monitors[index], verdict)
            ledger.record(msgspec.structs.replace(result, maintenance=maintenance))
        await ledger.flush()


async def _compare(world: World, monitor: Monitor, health: Health) -> None:
    policy = Policy(monitor.spec.failure_threshold, monitor.spec.success_threshold)
    transitions: list[Transition] = []
    for verdict, counted, checked_at, maintenance in await world.rows(LOG, monitor.id):
        assert counted, "nothing was changed or paused meanwhile (I10)"
        health, transition = observe(health, Verdict(verdict), from_datetime(checked_at), policy, bool(maintenance))
        transitions += [transition] if transition else []
    stored = [(Status(b), Status(a), from_datetime(at)) for b, a, at in await world.rows(TRANSITIONS, monitor.id)]
    assert stored == [(each.before, each.after, each.at) for each in transitions]
    state = await world.health(monitor)
    assert (state.status, state.since, state.judged) == (health.status, health.since, health.judged)
    await _alerts_follow(world, monitor, transitions)


async def _alerts_follow(world: World, monitor: Monitor, transitions: list[Transition]) -> None:
    """Each transition has told somebody, or has a reason why not (I2); each outage is one incident."""
    silences = [row[0] for row in await world.rows(SILENCES, monitor.id)]
    assert silences == [
        Silence.NO_CONTACTS if alert_kind(each) is not None else silence_of(each) for each in transitions
    ]
    incidents = await world.rows(INCIDENTS, monitor.id)
    assert len(incidents) == sum(map(opens_incident, transitions))
    assert [resolved is None for (resolved,) in incidents].count(True) <= 1
