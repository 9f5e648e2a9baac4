"""The loop around the outbox: what is slow delays itself alone, what breaks is recorded, what is under way may end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest

from monitord.alerting.dispatcher import AT_ONCE, LOOK_S, SEND_S, Dispatcher
from monitord.domain.contacts import Channel, EmailContact, WebhookContact
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.errors import UnavailableError
from monitord.domain.instant import SECOND, Instant
from monitord.domain.notice import Notice, NoticeKind

OK = Attempt(outcome=Outcome.ACCEPTED, code="ok")


class Claim(msgspec.Struct, frozen=True):
    id: int
    channel: str = "email"
    org_id: int = 1
    contact_id: int = 1
    attempt: int = 1


class Message(msgspec.Struct, frozen=True):
    channel: Channel
    notice: Notice


class Scene:
    """An outbox in memory, channels by script, and what came of it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.waiting: list[Claim] = []
        self.recorded: list[tuple[float, int, Attempt]] = []
        self.metered: list[tuple[str, str, float | None]] = []
        self.away_until = 0.0
        self.gone: set[int] = set()
        self.unreadable: set[int] = set()
        self.refused: set[int] = set()
        self.freed: list[float] = []
        self.scripts: dict[str, Callable[[Notice], Awaitable[Attempt]]] = {}

    def now(self) -> Instant:
        return round(self.loop.time() * SECOND)

    def check(self) -> None:
        if self.loop.time() < self.away_until:
            raise UnavailableError("The database is away.")

    async def claim(
        self, now: Instant, channels: Iterable[str], held: Iterable[tuple[int, int]], gather: object
    ) -> list[Claim]:
        self.check()
        off = set(held)
        free = [claim for claim in self.waiting if (claim.org_id, claim.contact_id) not in off]
        taken = [claim for claim in free if claim.channel in set(channels)][:10]
        self.waiting = [claim for claim in self.waiting if claim not in taken]
        return taken

    async def load(self, claim: Claim, now: Instant) -> Message | None:
        self.check()
        if claim.id in self.gone:
            return None
        if claim.id in self.unreadable:
            raise ValueError("s3cret")
        where = EmailContact(address="a@b.example") if claim.channel == "email" else WebhookContact(url="http://x/")
        return Message(where, Notice(key=f"k-{claim.id}", thread="", kind=NoticeKind.DOWN, at=now))

    async def record(self, claim: Claim, attempt: Attempt, now: Instant) -> None:
        self.check()
        if claim.id in self.refused:
            raise UnavailableError("The database is away.")
        self.recorded.append((self.loop.time(), claim.id, attempt))

    async def free(self, now: Instant) -> int:
        self.check()
        self.freed.append(self.loop.time())
        return 1

    def delivered(self, channel: str, outcome: str, dwell_s: float | None) -> None:
        self.metered.append((channel, outcome, dwell_s))

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        kind = "email" if isinstance(channel, EmailContact) else "webhook"
        script = self.scripts.get(kind)
        return OK if script is None else await script(notice)

    def dispatcher(self) -> Dispatcher:
        senders = {"email": self.send, "webhook": self.send}
        return Dispatcher(self, self, self, senders, now=self.now, meter=self, orphans=self)

    def ends(self) -> dict[int, Outcome]:
        return {id_: attempt.outcome for _, id_, attempt in self.recorded}


@asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[None]:
    task = asyncio.create_task(dispatcher.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def forever(_: Notice) -> Attempt:
    await asyncio.Event().wait()
    return OK


async def test_what_is_due_is_sent_at_once_when_told_and_soon_anyway(scene: Scene) -> None:
    dispatcher = scene.dispatcher()
    async with running(dispatcher):
        await asyncio.sleep(0.5)
        scene.waiting.append(Claim(1))
        dispatcher.poke()
        await asyncio.sleep(0.001)
        assert scene.ends() == {1: Outcome.ACCEPTED}
        scene.waiting.append(Claim(2))
        await asyncio.sleep(LOOK_S)
        assert scene.ends() == {1: Outcome.ACCEPTED, 2: Outcome.ACCEPTED}
    assert scene.metered == [("email", "accepted", 0.0)] * 2


async def test_a_mail_server_that_hangs_delays_nothing_but_mail(scene: Scene) -> None:
    scene.scripts["email"] = forever
    scene.waiting = [Claim(id_) for id_ in range(100)] + [Claim(id_, "webhook") for id_ in range(100, 200)]
    async with running(scene.dispatcher()):
        await asyncio.sleep(1)
        assert set(scene.ends()) == set(range(100, 200))
        assert len(scene.waiting) <= 100 - AT_ONCE
        await asyncio.sleep(SEND_S + 5)
        first = [attempt for _, id_, attempt in scene.recorded if id_ < 100]
        assert {(attempt.outcome, attempt.code) for attempt in first} == {(Outcome.AMBIGUOUS, "timeout")}


async def test_a_bug_of_a_channel_is_tried_again_and_stops_nobody(scene: Scene) -> None:
    async def broken(notice: Notice) -> Attempt:
        if notice.key == "k-1":
            raise ZeroDivisionError("s3cret")
        return OK

    scene.scripts["email"] = broken
    scene.waiting = [Claim(1), Claim(2)]
    async with running(scene.dispatcher()):
        await asyncio.sleep(1)
    assert scene.ends() == {1: Outcome.RETRY, 2: Outcome.ACCEPTED}
    assert next(a.detail for _, id_, a in scene.recorded if id_ == 1) == "ZeroDivisionError"


async def test_what_is_gone_is_ended(scene: Scene) -> None:
    scene.gone.add(1)
    scene.waiting = [Claim(1)]
    async with running(scene.dispatcher()):
        await asyncio.sleep(1)
    assert scene.ends() == {1: Outcome.PERMANENT}


async def test_an_outage_of_the_database_is_waited_for(scene: Scene) -> None:
    """(I17)"""
    scene.away_until = scene.loop.time() + 3600
    scene.waiting = [Claim(1)]
    async with running(scene.dispatcher()):
        await asyncio.sleep(3590)
        assert not scene.recorded
        await asyncio.sleep(15)
        assert scene.ends() == {1: Outcome.ACCEPTED}


async def test_what_was_accepted_is_recorded_though_the_database_was_away(scene: Scene) -> None:
    """(I4): else it would be sent twice."""

    async def accept(_: Notice) -> Attempt:
        scene.away_until = scene.loop.time() + 5
        return OK

    scene.scripts["email"] = accept
    scene.waiting = [Claim(1)]
    async with running(scene.dispatcher()):
        await asyncio.sleep(10)
    assert scene.ends() == {1: Outcome.ACCEPTED}


async def test_an_outage_of_an_hour_makes_nothing_twice_and_holds_up_only_its_contact(scene: Scene) -> None:
    """(I4): the lease has run out by then, so that it could be claimed again before it is recorded."""
    sent: list[str] = []

    async def accept(notice: Notice) -> Attempt:
        sent.append(notice.key)
        if notice.key == "k-1":
            scene.refused = {1}
        return OK

    scene.scripts["email"] = accept
    scene.waiting = [Claim(1)]
    async with running(scene.dispatcher()):
        await asyncio.sleep(1)
        scene.waiting = [Claim(1), Claim(2, contact_id=2)]
        await asyncio.sleep(3600)
        assert sent == ["k-1", "k-2"]
        assert scene.waiting == [Claim(1)], "nothing for a contact whose last message is not recorded"
        scene.waiting = []
        scene.refused = set()
        await asyncio.sleep(20)
    assert scene.ends() == {1: Outcome.ACCEPTED, 2: Outcome.ACCEPTED}


async def test_what_cannot_be_read_is_tried_again_and_stops_nobody(scene: Scene) -> None:
    scene.unreadable.add(1)
    scene.waiting = [Claim(1), Claim(2)]
    async with running(scene.dispatcher()):
        await asyncio.sleep(1)
    assert scene.ends() == {1: Outcome.RETRY, 2: Outcome.ACCEPTED}
    assert next(a.detail for _, id_, a in scene.recorded if id_ == 1) == "ValueError"


async def test_what_the_dead_had_claimed_is_looked_for_at_the_start_and_every_5_s(scene: Scene) -> None:
    scene.away_until = scene.loop.time() + 10
    began = scene.loop.time()
    async with running(scene.dispatcher()):
        await asyncio.sleep(21.5)
    assert [round(at - began) for at in scene.freed] == [10, 15, 20]


async def test_the_end_waits_for_what_is_under_way(scene: Scene) -> None:
    async def slow(_: Notice) -> Attempt:
        await asyncio.sleep(2)
        return OK

    scene.scripts["email"] = slow
    scene.waiting = [Claim(1)]
    dispatcher = scene.dispatcher()
    async with running(dispatcher):
        await asyncio.sleep(0.1)
        scene.waiting = [Claim(2)]
        await dispatcher.drain(5)
        assert scene.ends() == {1: Outcome.ACCEPTED}
        await asyncio.sleep(10)
        assert scene.waiting == [Claim(2)], "nothing new is begun"


async def test_what_does_not_end_is_left_to_its_lease(scene: Scene) -> None:
    scene.scripts["email"] = forever
    scene.waiting = [Claim(1)]
    dispatcher = scene.dispatcher()
    async with running(dispatcher):
        await asyncio.sleep(0.1)
        await dispatcher.drain(1)
    assert not scene.recorded
