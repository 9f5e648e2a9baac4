"""When much goes wrong at once: the database, the mail server, ten thousand monitors (I3, I4, I16, I17, I20)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from monitord.alerting.bursts import Bursts
from monitord.alerting.dispatcher import AT_ONCE, Dispatcher
from monitord.domain.check import Verdict
from monitord.domain.contacts import Channel, WebhookContact, channel_of
from monitord.domain.delivery import Attempt
from monitord.domain.instant import SECOND, Instant
from monitord.domain.notice import Notice, NoticeKind
from monitord.storage.database import Database
from monitord.storage.migrate import migrate
from monitord.storage.monitors import wall_clock
from monitord.storage.outbox import Claim
from monitord.storage.private_server import PrivateServer
from tests.integration.alerting.conftest import ACCEPTED, REFUSED, Desk
from tests.integration.ledger.conftest import World, adopt, record_all, running
from tests.support.scratch import scratch
from tests.support.stored import organisation

DOWN, UP = Verdict.DOWN, Verdict.UP

MANY = """
WITH made AS (
    INSERT INTO monitors (org_id, name, type, config, interval_s, timeout_ms, failure_threshold, success_threshold,
                          recheck_interval_s, is_active)
    SELECT org_id, 'many ' || n, type, config, interval_s, timeout_ms, 1, 1, recheck_interval_s, true
    FROM monitors, generate_series(1, $2::int) AS n WHERE id = $1 ORDER BY n
    RETURNING org_id, id
), states AS (
    INSERT INTO monitor_states (org_id, monitor_id, status, since)
    SELECT m.org_id, m.id, s.status, s.since FROM made AS m, monitor_states AS s WHERE s.monitor_id = $1
)
SELECT id FROM made
"""


class Post:
    """Channels that keep what they take, and a dispatcher around a desk's outbox, by the real clock."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._news = asyncio.Event()
        self.taken: list[Notice] = []
        self.hung: set[str] = set()
        self.go = asyncio.Event()
        self.began = Counter[str]()
        self.dispatcher = Dispatcher(
            desk.claims, desk.notices, self, {"email": self.send, "webhook": self.send},
            now=wall_clock, meter=self, bursts=Bursts(),
        )  # fmt: skip

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        kind = channel_of(channel)
        self.began[kind] += 1
        self._news.set()
        if kind in self.hung:
            await self.go.wait()
        self.taken.append(notice)
        self._news.set()
        return ACCEPTED

    async def record(self, claim: Claim, attempt: Attempt, now: Instant) -> None:
        await self._desk.outcomes.record(claim, attempt, now)
        self._news.set()

    async def told(self, look: Callable[[], Awaitable[bool]]) -> None:
        """Look after each of those, until the answer is true."""
        async with asyncio.timeout(40):
            self._news.clear()
            while not await look():
                await self._news.wait()
                self._news.clear()

    async def has(self, condition: Callable[[], bool]) -> None:
        async def look() -> bool:
            return condition()

        await self.told(look)

    async def sent(self, contact: int) -> None:
        """Return when all that a contact is to be told is recorded as sent."""

        async def look() -> bool:
            return {row[1] for row in await self._desk.states(contact)} == {"sent"}

        await self.told(look)

    def delivered(self, channel: str, outcome: str, dwell_s: float | None) -> None:
        """Nobody counts here."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.dispatcher.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_postgres_goes_while_a_message_is_on_its_way_and_comes_back(tmp_path: Path) -> None:
    """(I4, I17): what was accepted meanwhile is recorded afterwards, and not sent again; nothing else is lost."""
    with scratch() as folder:
        server = PrivateServer(Path(folder), settings={"fsync": "off", "shared_buffers": "16MB"})
        dsn = await server.start()
        await migrate(dsn)
        database = Database(dsn, pool_size=3)
        await database.open()
        try:
            desk = Desk(World(database, await organisation(database)))
            post = Post(desk)
            post.hung.add("email")
            async with running(desk.ledger), post.open():
                one, two = await desk.monitor(), await desk.monitor()
                first, second = await desk.world.contact(one), await desk.world.contact(two)
                await desk.see(one, DOWN, DOWN)
                await post.has(lambda: post.began["email"] == 1)
                await server.stop()
                record_all(desk.ledger, [desk.world.result(two, DOWN) for _ in range(2)])
                post.go.set()
                await post.has(lambda: len(post.taken) == 1)
                await server.start()
                await asyncio.wait_for(desk.ledger.flush(), 30)
                post.dispatcher.poke()
                await post.sent(first)
                await post.sent(second)
            assert [row[:3] for row in await desk.attempts(first)] == [(0, 1, "accepted")]
            assert len({notice.key for notice in post.taken}) == len(post.taken) == 2
        finally:
            await database.close()
            await server.stop()


async def test_a_mail_server_that_is_away_for_an_hour_leaves_one_message_and_the_right_order(desk: Desk) -> None:
    """(I20): of what came and went meanwhile one message tells; what lasts is told as it is; then all is in order."""
    passing, lasting, flapping = [await desk.monitor() for _ in range(3)]
    contacts = [await desk.world.contact(each) for each in (passing, lasting, flapping)]
    for each in (passing, lasting, flapping):
        await desk.see(each, DOWN, DOWN)
    for minute in range(60):
        if minute == 20:
            await desk.see(passing, UP)
        if minute % 10 == 5:
            await desk.see(flapping, *((UP,) if minute % 20 == 5 else (DOWN, DOWN)))
        await desk.deliver(REFUSED)
        desk.later(60)
    desk.later(600)
    await desk.deliver()
    assert sorted(desk.said) == [
        (contacts[0], NoticeKind.OUTAGE_OVER), (contacts[1], NoticeKind.DOWN), (contacts[2], NoticeKind.DOWN),
    ]  # fmt: skip
    for each in (lasting, flapping):
        await desk.see(each, UP)
    await desk.deliver()
    assert desk.said[3:] == [(contacts[1], NoticeKind.UP), (contacts[2], NoticeKind.UP)]
    for contact in contacts:
        assert {row[1] for row in await desk.states(contact)} <= {"sent", "cancelled"}
        assert all(row[2] == "superseded" for row in await desk.states(contact) if row[1] == "cancelled")


async def _by_webhook(desk: Desk, contact: int) -> None:
    channel = WebhookContact(url="http://127.0.0.1:1/")
    await desk.world.rows(
        "UPDATE alert_contacts SET type = 'webhook', config = $2 WHERE id = $1 RETURNING 1", contact, channel
    )


async def test_a_dead_mail_server_delays_no_other_channel(desk: Desk) -> None:
    """However many mails wait, and were due before, and however few of them can be sent."""
    last = await desk.monitor()
    await _many(desk, 6000, contacts=AT_ONCE * 20)
    hook = await desk.world.contact(last)
    await _by_webhook(desk, hook)
    await desk.see(last, DOWN, DOWN)
    post = Post(desk)
    post.hung.add("email")
    async with post.open():
        await post.has(lambda: post.began["webhook"] == 1)
    assert len(post.taken) == 1
    assert post.began["email"] < 6000


async def test_who_is_due_again_and_again_stands_in_nobodys_way(desk: Desk) -> None:
    """News of monitors whose digest is tried later waits behind it, and is due all the time."""
    for _ in range(60):
        monitors = [await desk.monitor() for _ in range(2)]
        await desk.world.contact(*monitors)
        await _as_digest(desk, *(monitor.id for monitor in monitors))
        await desk.see(monitors[0], DOWN, DOWN)
    last = await desk.monitor()
    contact = await desk.world.contact(last)
    await desk.see(last, DOWN, DOWN)
    assert [claim.contact_id for claim in await desk.claim()] == [contact]


async def _as_digest(desk: Desk, *monitors: int) -> None:
    """Leave a digest of two alerts that is to be tried again in an hour."""
    await desk.world.rows(
        "WITH made AS (INSERT INTO alerts (org_id, monitor_id, contact_id, kind, at, due_at, attempts, notice) "
        "SELECT org_id, monitor_id, contact_id, 'down', now(), now() + interval '1 hour', 1, 'down' "
        "FROM monitor_alert_configs WHERE monitor_id = ANY($1) ORDER BY monitor_id RETURNING id) SELECT id FROM made",
        list(monitors),
    )
    await desk.world.rows(
        "UPDATE alerts SET leader_id = (SELECT min(id) FROM alerts WHERE monitor_id = ANY($1)) WHERE monitor_id = $2 "
        "RETURNING 1",
        list(monitors),
        monitors[1],
    )


async def test_ten_thousand_down_within_a_minute_are_one_digest_that_names_fifty(desk: Desk) -> None:
    """Through the ledger's own way, and no more memory for it than its rows take (I16)."""
    (contact,) = await _many(desk, 10_000, contacts=1)
    assert await desk.deliver() == [], "more may come"
    desk.later(11)
    (digest,) = await desk.deliver()
    assert (digest.kind, len(digest.lines), digest.more_lines) == (NoticeKind.DIGEST, 50, 9_950)
    names = [line.subject.name for line in digest.lines]
    assert names == [f"many {n}" for n in range(1, 51)]
    assert await desk.world.rows("SELECT DISTINCT state, attempts FROM alerts WHERE contact_id = $1", contact) == [
        ("sent", 1)
    ]
    assert await desk.deliver() == []


async def _many(desk: Desk, count: int, *, contacts: int) -> list[int]:
    """Let so many monitors go down at once, told to so many contacts by turns; return the contacts."""
    world = desk.world
    template = await desk.monitor()
    health = await world.health(template)
    rows = await world.rows(MANY, template.id, count)
    spec = msgspec.structs.replace(template.spec, failure_threshold=1)
    made = [msgspec.structs.replace(template, id=id_, spec=spec, version=1) for (id_,) in sorted(rows)]
    told = [await world.contact(*made[n::contacts]) for n in range(contacts)]
    await world.rows("ANALYZE monitor_alert_configs")  # which is known by then; the alerts' table has just grown
    for monitor in made:
        adopt(desk.ledger, monitor, health)
        desk.ledger.record(world.result(monitor, DOWN))
    await desk.ledger.flush()
    assert await world.value("SELECT count(*) FROM alerts WHERE contact_id = ANY($1)", told) == count
    desk.now = wall_clock() + SECOND
    return told
