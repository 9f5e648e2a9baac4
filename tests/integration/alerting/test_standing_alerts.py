"""Slowness by a contact's own threshold, and certificates near their end: each told once."""

import asyncio

import msgspec
import pytest

from monitord.domain.check import Verdict
from monitord.domain.instant import DAY, HOUR, MINUTE
from monitord.domain.monitor import Monitor
from monitord.domain.notice import NoticeKind
from monitord.storage.monitors import wall_clock
from monitord.storage.standing_alerts import StandingAlerts
from tests.integration.alerting.conftest import Desk
from tests.integration.ledger.conftest import record_all

SLOW = {"kinds": ["down", "up", "slow"], "slow_threshold_ms": 800}


@pytest.fixture
def alerts(desk: Desk) -> StandingAlerts:
    return StandingAlerts(desk.world.database)


async def took(desk: Desk, monitor: Monitor, *times_ms: float, verdict: Verdict = Verdict.UP, **seen: object) -> None:
    """Let checks take so long, now."""
    results = [
        msgspec.structs.replace(
            desk.world.result(monitor, verdict, **seen),
            started_at=wall_clock(),
            scheduled_at=wall_clock(),
            duration_ms=ms,
        )
        for ms in times_ms
    ]
    record_all(desk.ledger, results)
    await desk.ledger.flush()
    desk.now = max(desk.now, wall_clock() + MINUTE)


async def test_slowness_and_its_end_are_told_once(desk: Desk, alerts: StandingAlerts) -> None:
    monitor = await desk.monitor()
    await desk.world.contact(monitor, **SLOW)
    await took(desk, monitor, 900, 100, 2000)
    assert [await alerts.slowness(wall_clock()) for _ in range(2)] == [1, 0]
    (slow,) = await desk.deliver()
    assert (slow.kind, slow.message) == (
        NoticeKind.SLOW, "The median response time of the last 3 checks is 900 ms, above 800 ms.",
    )  # fmt: skip
    await took(desk, monitor, 100)
    assert [await alerts.slowness(wall_clock()) for _ in range(2)] == [1, 0]
    (fast,) = await desk.deliver()
    assert (fast.kind, "is 100 ms again" in fast.message) == (NoticeKind.SLOW_OVER, True)


async def test_what_was_over_before_it_was_told_is_not_told(desk: Desk, alerts: StandingAlerts) -> None:
    """(I20)"""
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor, **SLOW)
    for times in ((900, 900, 900), (100, 100)):
        await took(desk, monitor, *times)
        await alerts.slowness(wall_clock())
    await desk.deliver()
    assert [row[:2] for row in await desk.states(contact)] == [("slow", "cancelled"), ("slow_over", "cancelled")]


async def test_news_of_slowness_neither_overtakes_nor_ends_an_outage(desk: Desk, alerts: StandingAlerts) -> None:
    """Each topic has its own order, and its own recovery (I20)."""
    monitor = await desk.monitor()
    await desk.world.contact(monitor, **SLOW)
    await took(desk, monitor, 900, 900, 900)
    await alerts.slowness(wall_clock())
    await desk.see(monitor, Verdict.DOWN, Verdict.DOWN)
    assert {notice.kind for notice in await desk.deliver()} == {NoticeKind.SLOW, NoticeKind.DOWN}
    await desk.see(monitor, Verdict.UP)
    assert [notice.kind for notice in await desk.deliver()] == [NoticeKind.UP]


@pytest.mark.parametrize("times", [(900, 900), (), (800, 800, 800)])
async def test_too_few_checks_and_just_the_threshold_are_no_slowness(
    desk: Desk, alerts: StandingAlerts, times: tuple[float, ...]
) -> None:
    monitor = await desk.monitor()
    await desk.world.contact(monitor, **SLOW)
    await desk.world.rows("DELETE FROM monitor_logs RETURNING 1")
    await took(desk, monitor, *times)
    assert await alerts.slowness(wall_clock()) == 0


async def test_a_certificate_is_told_of_at_each_warning_once_and_a_new_one_anew(
    desk: Desk, alerts: StandingAlerts
) -> None:
    monitor = await desk.monitor()
    await desk.world.contact(monitor)

    async def a_day_passes(days: float) -> list[str]:
        """Bring the end nearer, rather than the present: rows of the log have to be recent."""
        for column in (
            "monitor_logs SET cert_expires_at = cert_expires_at",
            "certificate_notices SET expires_at = expires_at",
        ):
            await desk.world.rows(f"UPDATE {column} - $1 * interval '1 day' RETURNING 1", days)
        await alerts.certificates(wall_clock())
        desk.later(60)  # so that they don't become a digest
        return [notice.message for notice in await desk.deliver()]

    await took(desk, monitor, 10, certificate_expires_at=wall_clock() + 22 * DAY + HOUR)
    told = [await a_day_passes(days) for days in (0, 1.5, 1, 6, 7, 4, 1, 1.6, 1)]
    assert told == [
        [],
        ["The certificate expires in 20 days."],
        [],
        ["The certificate expires in 13 days."],
        ["The certificate expires in 6 days."],
        ["The certificate expires in 2 days."],
        [],
        ["The certificate has expired."],
        [],
    ]
    await took(desk, monitor, 10, certificate_expires_at=wall_clock() + 90 * DAY)
    assert await a_day_passes(0) == []
    assert len(await a_day_passes(80)) == 1


async def test_nobody_is_told_twice_by_two_who_look_at_once(desk: Desk, alerts: StandingAlerts) -> None:
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor, **SLOW | {"kinds": ["slow", "certificate"]})
    await took(desk, monitor, 900, 900, 900, certificate_expires_at=wall_clock() + DAY)
    now = wall_clock()
    made = await asyncio.gather(*(look(now) for look in (alerts.slowness, alerts.certificates) for _ in range(4)))
    assert sum(made) == len(await desk.states(contact)) == 2
