"""Alerts out of the outbox, against a real Postgres: in order, counted before they are sent, each with an end."""

import asyncio

from monitord.domain.check import Category, Verdict
from monitord.domain.contact import QuietHours
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.health import Health, Status
from monitord.domain.instant import HOUR, MINUTE, SECOND, from_datetime, to_datetime
from monitord.domain.kinds import Check
from monitord.domain.monitor import Assignment
from monitord.domain.notice import NoticeKind, Picture
from monitord.evidence.photographer import Moment, Photographer
from monitord.evidence.shot import Image, Shot
from monitord.storage.outbox import LEASE_S
from monitord.storage.screenshots import ScreenshotAlbum
from tests.integration.alerting.conftest import ACCEPTED, NEVER, REFUSED, Desk
from tests.integration.ledger.conftest import record_all

UP, DOWN, DEGRADED = Verdict.UP, Verdict.DOWN, Verdict.DEGRADED


async def test_an_outage_and_its_end(desk: Desk) -> None:
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    (down,) = await desk.deliver()
    assert (down.kind, down.status, down.category, down.message) == (
        NoticeKind.DOWN, Status.DOWN, "connect.refused", "it is DOWN",
    )  # fmt: skip
    assert down.subject is not None
    assert (down.subject.name, down.subject.kind, down.since) == (monitor.spec.name, "http", down.at)
    assert down.evidence == ("0 ms  connect: refused",)
    await desk.see(monitor, UP)
    (up,) = await desk.deliver()
    assert (up.kind, up.thread, up.message) == (NoticeKind.UP, down.thread, "it is DOWN")
    assert up.key != down.key
    assert up.duration_s == (up.at - down.at) / SECOND
    assert await desk.deliver() == []
    assert await desk.states(contact) == [("down", "sent", None, 1), ("up", "sent", None, 1)]


async def test_a_dead_mail_server_for_an_hour_then_one_mail(desk: Desk) -> None:
    """(I20): both as one, and the attempts show why."""
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    for _ in range(10):
        await desk.deliver(REFUSED)
        desk.later(600)
    await desk.see(monitor, UP)
    (both,) = await desk.deliver()
    assert both.kind is NoticeKind.OUTAGE_OVER
    assert [(kind, state, reason) for kind, state, reason, _ in await desk.states(contact)] == [
        ("down", "cancelled", "superseded"), ("up", "sent", None),
    ]  # fmt: skip
    assert (await desk.attempts(contact))[-1][2:] == ("accepted", "smtp.250")


async def test_retries_wait_longer_and_longer_and_say_the_same(desk: Desk) -> None:
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    keys = set()
    for wait_s in (10, 20, 40, 80, 160, 320, 600, 600):
        (notice,) = await desk.deliver(REFUSED)
        keys.add(notice.key)
        desk.later(wait_s - 1)
        assert await desk.deliver() == []
        desk.later(1)
    assert len(keys) == 1
    assert [number for _, number, _, _ in await desk.attempts(contact)] == list(range(1, 9))


async def test_the_other_sides_wish_to_wait_is_granted(desk: Desk) -> None:
    monitor = await desk.monitor()
    await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    await desk.deliver(Attempt(outcome=Outcome.RETRY, code="http.429", retry_after_s=300.0))
    desk.later(299)
    assert await desk.deliver() == []
    desk.later(1)
    assert len(await desk.deliver()) == 1


async def test_after_a_day_it_is_given_up_and_the_reason_is_kept(desk: Desk) -> None:
    """(I3)"""
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    await desk.deliver(REFUSED)
    desk.now += 25 * HOUR
    await desk.deliver(REFUSED)
    assert await desk.states(contact) == [("down", "dead", "gave up after a day; the last was smtp.451", 2)]
    await desk.see(monitor, UP)
    assert await desk.deliver() == []
    assert (await desk.states(contact))[1][:3] == ("up", "cancelled", "outage_not_sent"), "(I20)"


async def test_a_hard_bounce_disables_the_contact_and_ends_all_that_waits(desk: Desk) -> None:
    one, two = await desk.monitor(), await desk.monitor()
    contact = await desk.world.contact(one, two)
    await desk.see(one, DOWN, DOWN)
    await desk.deliver(NEVER)
    assert await desk.world.rows("SELECT disabled_reason, version FROM alert_contacts WHERE id = $1", contact) == [
        ("no such user", 2)
    ]
    await desk.see(two, DOWN, DOWN)
    assert await desk.deliver() == []
    assert await desk.states(contact) == [("down", "dead", "smtp.550", 1)], "it is not even queued any more"


async def test_an_attempt_is_counted_before_it_is_made(desk: Desk) -> None:
    """A message that kills us is not sent for ever; whoever died in between leaves an attempt without an end (I4)."""
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    assert len(await desk.claim()) == 1
    assert await desk.claim() == [], "somebody is at it"
    desk.later(LEASE_S + 1)
    (again,) = await desk.claim()
    assert again.attempt == 2
    assert await desk.attempts(contact) == [(0, 1, None, ""), (0, 2, None, "")]
    await desk.deliver(ACCEPTED, [again])
    assert await desk.states(contact) == [("down", "sent", None, 2)]


async def test_two_at_once_never_claim_the_same(desk: Desk) -> None:
    monitors = [await desk.monitor() for _ in range(4)]
    for monitor in monitors:
        for _ in range(3):
            await desk.world.contact(monitor)
    for monitor in monitors:
        await desk.see(monitor, DOWN, DOWN)
    found = await asyncio.gather(*(desk.claim() for _ in range(6)))
    ids = [claim.alert_id for claims in found for claim in claims]
    ids += [claim.alert_id for claim in await desk.claim()]
    assert len(ids) == len(set(ids)) == 12


async def test_a_later_alert_waits_for_the_one_under_way(desk: Desk) -> None:
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    (down,) = await desk.claim()
    await desk.see(monitor, UP)
    assert await desk.claim() == []
    await desk.deliver(ACCEPTED, [down])
    await desk.deliver()
    assert desk.said == [(contact, NoticeKind.DOWN), (contact, NoticeKind.UP)]


async def test_a_delay_spares_what_is_brief(desk: Desk) -> None:
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor, delay_s=300)
    await desk.see(monitor, DOWN, DOWN, UP)
    desk.later(600)
    assert await desk.deliver() == []
    assert [row[:3] for row in await desk.states(contact)] == [
        ("down", "cancelled", "brief"), ("up", "cancelled", "brief"),
    ]  # fmt: skip


async def test_an_escalation_is_told_unless_somebody_acknowledges(desk: Desk) -> None:
    one, two = await desk.monitor(), await desk.monitor()
    second = await desk.world.contact(one, two, escalate_after_s=600)
    await desk.see(one, DOWN, DOWN)
    await desk.see(two, DOWN, DOWN)
    assert await desk.deliver() == []
    await desk.world.rows("UPDATE incidents SET acknowledged_at = now() WHERE monitor_id = $1 RETURNING id", two.id)
    desk.later(601)
    (told,) = await desk.deliver()
    assert (told.kind, told.subject.name if told.subject else "") == (NoticeKind.ESCALATION, one.spec.name)
    assert told.duration_s is not None
    assert told.duration_s >= 600
    assert [row[:3] for row in await desk.states(second)] == [
        ("escalation", "sent", None), ("escalation", "cancelled", "acknowledged"),
    ]  # fmt: skip


async def test_reminders_come_until_it_is_over(desk: Desk) -> None:
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor, reminder_s=1800)
    await desk.see(monitor, DOWN, DOWN)
    for _ in range(3):
        await desk.deliver()
        desk.later(1799)
        assert await desk.deliver() == []
        desk.later(1)
    await desk.see(monitor, UP)
    await desk.deliver()
    desk.later(7200)
    assert await desk.deliver() == []
    assert [kind for _, kind in desk.said] == [
        NoticeKind.DOWN, NoticeKind.REMINDER, NoticeKind.REMINDER, NoticeKind.UP,
    ]  # fmt: skip
    assert (await desk.states(contact))[-2][:3] == ("reminder", "cancelled", "superseded")


async def test_quiet_hours_are_waited_for(desk: Desk) -> None:
    monitor = await desk.monitor()
    moment = to_datetime(desk.now)
    minute = moment.hour * 60 + moment.minute
    quiet = QuietHours(start_min=minute, end_min=(minute + 120) % 1440)
    await desk.world.contact(monitor, quiet=quiet)
    await desk.see(monitor, DOWN, DOWN)
    assert await desk.deliver() == []
    desk.now += 90 * MINUTE
    assert await desk.deliver() == []
    desk.now += 31 * MINUTE
    assert [notice.kind for notice in await desk.deliver()] == [NoticeKind.DOWN]


async def test_an_outage_that_was_over_before_the_contact_woke_is_told_all_the_same(desk: Desk) -> None:
    """Nobody asked for it to be kept from them: they slept."""
    monitor = await desk.monitor()
    moment = to_datetime(desk.now)
    minute = moment.hour * 60 + moment.minute
    await desk.world.contact(monitor, quiet=QuietHours(start_min=minute, end_min=(minute + 120) % 1440))
    await desk.see(monitor, DOWN, DOWN)
    assert await desk.deliver() == []
    await desk.see(monitor, UP)
    desk.now += 60 * MINUTE
    assert await desk.deliver() == []
    desk.now += 61 * MINUTE
    assert [notice.kind for notice in await desk.deliver()] == [NoticeKind.OUTAGE_OVER]


async def test_an_alert_waits_for_its_picture_and_no_longer(desk: Desk) -> None:
    """And what is over while it waits is told at once, in one message."""
    desk.ledger.hold_s = lambda monitor_id, transition, category: 15 if transition.judged_after is Status.DOWN else 0
    one, two, three = await desk.monitor(), await desk.monitor(), await desk.monitor()
    await desk.world.contact(one, two, three)
    for monitor in (one, two, three):
        await desk.see(monitor, DOWN, DOWN)
    assert await desk.deliver() == []
    change = "SELECT at FROM monitor_transitions WHERE monitor_id = $1 AND after = $2"
    moment = Moment(desk.world.org_id, one.id, from_datetime(await desk.world.value(change, one.id, Status.DOWN)))
    shot = Shot(url="https://p.test/1", image=Image(b"", "image/png"), taken_by="x", stored_by="y")
    await ScreenshotAlbum(desk.world.database, lambda: None).record(moment, shot)
    told = await desk.deliver()
    assert [(notice.subject.id if notice.subject else 0, notice.picture) for notice in told] == [
        (one.id, Picture(url="https://p.test/1"))
    ]
    await desk.see(two, UP)
    assert [notice.kind for notice in await desk.deliver()] == [NoticeKind.OUTAGE_OVER]
    desk.later(15)
    assert [notice.subject.id if notice.subject else 0 for notice in await desk.deliver()] == [three.id]


class Camera:
    """Takes pictures when it is let."""

    can, is_full = True, False

    def __init__(self) -> None:
        self.taken: list[Check] = []
        self.go_on = asyncio.Event()

    async def of(self, check: Check) -> Shot:
        self.taken.append(check)
        await self.go_on.wait()
        return Shot(url="https://p.test/1", image=Image(b"", "image/png"), taken_by="x", stored_by="y")


async def test_an_alert_of_what_nobody_answered_waits_for_no_picture(desk: Desk) -> None:
    camera, recorded = Camera(), asyncio.Event()
    photographer = Photographer(camera, ScreenshotAlbum(desk.world.database, recorded.set))
    desk.ledger.hold_s = photographer.hold_s
    desk.ledger.listeners.append(lambda commit: photographer.committed(commit.changes))
    refused, broken = await desk.monitor(), await desk.monitor()
    await desk.world.contact(refused, broken)
    for monitor in (refused, broken):
        photographer.adopt(Assignment(monitor=monitor, health=Health(), last_seq=0, covered_until=0))
    await desk.see(refused, DOWN, DOWN)
    assert [(notice.category, notice.picture) for notice in await desk.deliver()] == [("connect.refused", None)]
    seen = [desk.world.result(broken, DOWN, category=Category.HTTP_STATUS) for _ in range(2)]
    record_all(desk.ledger, seen)
    await desk.ledger.flush()
    desk.later(1)
    assert await desk.deliver() == []
    camera.go_on.set()
    async with asyncio.timeout(5):
        await recorded.wait()
    assert [(notice.category, notice.picture) for notice in await desk.deliver()] == [
        ("http.status", Picture(url="https://p.test/1"))
    ]
    assert camera.taken == [broken.spec.check]
    await photographer.close()


async def test_who_switches_off_gets_nothing_that_waited(desk: Desk) -> None:
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    await desk.world.rows("UPDATE monitor_alert_configs SET is_active = false RETURNING contact_id")
    assert await desk.deliver() == []
    assert await desk.states(contact) == [("down", "cancelled", "switched_off", 0)]


async def test_a_burst_becomes_one_digest(desk: Desk) -> None:
    monitors = [await desk.monitor() for _ in range(8)]
    contact = await desk.world.contact(*monitors)
    for monitor in monitors:
        await desk.see(monitor, DOWN, DOWN)
    assert await desk.deliver() == [], "more may come"
    desk.later(11)
    (digest,) = await desk.deliver()
    assert (digest.kind, len(digest.lines), digest.more_lines) == (NoticeKind.DIGEST, 8, 0)
    assert {line.subject.name for line in digest.lines} == {monitor.spec.name for monitor in monitors}
    assert {row[1] for row in await desk.states(contact)} == {"sent"}
    await desk.see(monitors[0], UP)
    assert [notice.kind for notice in await desk.deliver()] == [NoticeKind.UP], "it was told within the digest (I20)"


async def test_a_digest_that_fails_is_tried_again_as_it_was(desk: Desk) -> None:
    monitors = [await desk.monitor() for _ in range(7)]
    contact = await desk.world.contact(*monitors)
    for monitor in monitors[:6]:
        await desk.see(monitor, DOWN, DOWN)
    await desk.claim()
    desk.later(11)
    (first,) = await desk.deliver(REFUSED)
    await desk.see(monitors[6], DOWN, DOWN)
    await desk.see(monitors[0], UP)
    desk.later(60)
    again = await desk.deliver()
    assert [(notice.kind, notice.key) for notice in again if notice.kind is NoticeKind.DIGEST] == [
        (NoticeKind.DIGEST, first.key)
    ]
    assert [line.subject.name for line in again[0].lines] == [line.subject.name for line in first.lines]
    desk.later(60)
    await desk.deliver()
    assert {row[1] for row in await desk.states(contact)} == {"sent"}


async def test_a_digest_whose_first_monitor_is_deleted_lets_the_others_go(desk: Desk) -> None:
    """(I3): nothing waits for ever for what is gone."""
    monitors = [await desk.monitor() for _ in range(6)]
    contact = await desk.world.contact(*monitors)
    for monitor in monitors:
        await desk.see(monitor, DOWN, DOWN)
    await desk.claim()
    desk.later(11)
    await desk.deliver(REFUSED)
    await desk.world.store.delete(desk.world.org_id, monitors[0].id)
    desk.later(600)
    await desk.deliver()
    desk.later(20)
    await desk.deliver()
    assert {row[1] for row in await desk.states(contact)} == {"sent"}


async def test_channels_that_are_busy_are_left_alone(desk: Desk) -> None:
    monitor = await desk.monitor()
    await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    assert await desk.claim("webhook") == []
    assert len(await desk.claim("email")) == 1


async def test_a_monitor_that_is_deleted_takes_its_claims_along(desk: Desk) -> None:
    monitor = await desk.monitor()
    await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    (claim,) = await desk.claim()
    await desk.world.store.delete(desk.world.org_id, monitor.id)
    assert await desk.notices.load(claim, desk.now) is None
    await desk.outcomes.record(claim, ACCEPTED, desk.now)
