"""The state is a pure fold of the log: who reads the rows gets the same statuses and transitions (I8)."""

import asyncio

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitord.domain.check import Verdict
from monitord.domain.health import Health, Policy, Status, Transition, observe
from monitord.domain.instant import from_datetime
from monitord.domain.monitor import Monitor
from monitord.storage.database import Database
from tests.integration.ledger.conftest import World, adopt, running
from tests.support.postgres import Cluster
from tests.support.stored import organisation

LOG = "SELECT verdict, counted, checked_at FROM monitor_logs WHERE monitor_id = $1 ORDER BY seq"
TRANSITIONS = "SELECT before, after, at FROM monitor_transitions WHERE monitor_id = $1 ORDER BY id"

histories = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(Verdict), st.sampled_from(["", "", "flush", "restart"])), max_size=80
)
thresholds = st.tuples(st.integers(1, 4), st.integers(1, 4))


@pytest.mark.parametrize("before", [[], [Verdict.UP], [Verdict.DOWN] * 3, [Verdict.DEGRADED] * 4])
async def test_a_streak_survives_a_restart(world: World, before: list[Verdict]) -> None:
    monitor = await world.monitor(failure_threshold=3, success_threshold=3)
    health = await world.health(monitor)
    for verdict in [Verdict.DOWN, Verdict.UP, Verdict.UP]:
        before = [*before, verdict]
        await _live(world, [monitor], [(0, v) for v in before])
        before = []
    for verdict in [Verdict.UP, Verdict.DOWN, Verdict.DOWN, Verdict.DOWN]:
        await _live(world, [monitor], [(0, verdict)])
    await _compare(world, monitor, health)


def test_replaying_the_log_gives_the_states_and_the_transitions(cluster: Cluster) -> None:
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(histories, st.lists(thresholds, min_size=3, max_size=3))
    def replays(history: list[tuple[int, Verdict, str]], policies: list[tuple[int, int]]) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_replay(cluster, history, policies))

    replays()


async def _replay(cluster: Cluster, history: list[tuple[int, Verdict, str]], policies: list[tuple[int, int]]) -> None:
    async with cluster.database() as dsn:
        database = Database(dsn, pool_size=2)
        await database.open()
        world = World(database, await organisation(database))
        monitors = [
            await world.monitor(failure_threshold=failures, success_threshold=successes)
            for failures, successes in policies
        ]
        started = {monitor.id: await world.health(monitor) for monitor in monitors}
        segment: list[tuple[int, Verdict]] = []
        for index, verdict, then in [*history, (0, Verdict.UP, "restart")]:
            segment.append((index, verdict))
            if then == "restart":
                await _live(world, monitors, segment)
                segment = []
        for monitor in monitors:
            await _compare(world, monitor, started[monitor.id])
        await database.close()


async def _live(world: World, monitors: list[Monitor], segment: list[tuple[int, Verdict]]) -> None:
    """Run one ledger, which starts from what the last one stored."""
    ledger = world.ledger()
    for monitor in monitors:
        view = await world.store.get(world.org_id, monitor.id)
        adopt(ledger, monitor, view.health, view.last.seq if view.last else 0)
    async with running(ledger):
        for index, verdict in segment:
            ledger.record(world.result(monitors[index], verdict))
        await ledger.flush()


async def _compare(world: World, monitor: Monitor, health: Health) -> None:
    policy = Policy(monitor.spec.failure_threshold, monitor.spec.success_threshold)
    transitions: list[Transition] = []
    for verdict, counted, checked_at in await world.rows(LOG, monitor.id):
        assert counted == (Verdict(verdict) not in (Verdict.INCONCLUSIVE, Verdict.BLOCKED))
        if counted:
            health, transition = observe(health, Verdict(verdict), from_datetime(checked_at), policy)
            transitions += [transition] if transition else []
    stored = [
        Transition(Status(b), Status(a), from_datetime(at)) for b, a, at in await world.rows(TRANSITIONS, monitor.id)
    ]
    assert stored == transitions
    state = await world.health(monitor)
    assert (state.status, state.since) == (health.status, health.since)
