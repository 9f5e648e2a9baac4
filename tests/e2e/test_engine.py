"""What the API acknowledges, the engine does (I13), as the target itself sees it."""

import asyncio
import time

from monitord_client import Client, MonitorStatus, http_monitor
from tests.e2e.target import Target
from tests.e2e.watching import assert_accounted_for, becomes, log_of

ACTS_WITHIN_S = 2.0
"""I13, for a monitor that is checked every second."""
SLACK_S = 1.0
"""For two cores that run other tests too."""


async def test_a_new_monitor_is_checked_at_once_and_becomes_up(client: Client, up: Target) -> None:
    monitor = await client.create_monitor(http_monitor("created", up.url(), interval=1))
    await up.asked(within_s=ACTS_WITHIN_S + SLACK_S)

    await becomes(client, monitor.id, MonitorStatus.MONITOR_STATUS_UP)


async def test_after_delete_returns_the_target_is_asked_no_more(client: Client, up: Target) -> None:
    monitors = [
        await client.create_monitor(http_monitor(f"deleted {n}", up.url(f"/{n}"), interval=1)) for n in range(5)
    ]
    await asyncio.gather(*(up.asked(f"/{n}") for n in range(5)))
    up.hold()  # whatever begins while it is deleted is under way then
    await asyncio.gather(*(up.asked(f"/{n}", more_than=up.count(f"/{n}")) for n in range(5)))
    await asyncio.gather(*(client.delete_monitor(monitor.id) for monitor in monitors))
    after = up.begun.copy()
    up.release()
    await client.create_monitor(http_monitor("deleted witness", up.url("/witness"), interval=1))
    await up.asked("/witness", more_than=2)  # so at least two slots of each of the others have passed
    del up.begun["/witness"]
    assert up.begun == after


async def test_a_paused_monitor_rests_until_it_is_resumed(client: Client, up: Target) -> None:
    await client.create_monitor(http_monitor("pause witness", up.url("/witness"), interval=1))
    monitor = await client.create_monitor(http_monitor("paused", up.url("/paused"), interval=1))
    await up.asked("/paused")
    paused = await client.pause_monitor(monitor.id)
    assert (paused.active, paused.status) == (False, MonitorStatus.MONITOR_STATUS_PAUSED)
    before = up.count("/paused")
    await up.asked("/witness", more_than=up.count("/witness") + 2)
    assert up.count("/paused") == before

    begun = time.monotonic()
    await client.resume_monitor(monitor.id)
    await up.asked("/paused", more_than=before)
    assert time.monotonic() - begun < ACTS_WITHIN_S + SLACK_S


async def test_an_update_is_acted_on_and_the_old_target_left_alone(client: Client, up: Target) -> None:
    monitor = await client.create_monitor(http_monitor("updated", up.url("/old"), interval=1))
    await up.asked("/old")
    monitor.http.url = up.url("/new")
    begun = time.monotonic()
    await client.update_monitor(monitor, fields=["http.url"])
    before = up.count("/old")
    await up.asked("/new")
    assert time.monotonic() - begun < ACTS_WITHIN_S + SLACK_S
    await up.asked("/new", more_than=2)
    assert up.count("/old") - before <= 1, "at most the check that was under way"


async def test_an_outage_is_noticed_and_ends(client: Client, up: Target) -> None:
    monitor = await client.create_monitor(http_monitor("outage", up.url(), interval=1))

    await becomes(client, monitor.id, MonitorStatus.MONITOR_STATUS_UP)
    up.fail()
    await becomes(client, monitor.id, MonitorStatus.MONITOR_STATUS_DOWN)
    up.recover()
    await becomes(client, monitor.id, MonitorStatus.MONITOR_STATUS_UP)
    rows = await log_of(client, monitor)
    assert "http.status" in {row.category for row in rows}
    assert_accounted_for(rows, monitor)
