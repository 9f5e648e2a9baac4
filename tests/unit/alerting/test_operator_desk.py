"""The operator is told of monitord itself: once, as soon as it can be."""

import asyncio

from monitord.alerting.operator_desk import OperatorDesk
from monitord.domain.contacts import Channel, EmailContact
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.instant import SECOND, Instant
from monitord.domain.notice import Notice, NoticeKind

OK = Attempt(outcome=Outcome.ACCEPTED, code="smtp.250")
AWAY = Attempt(outcome=Outcome.RETRY, code="connect.failed")


class Mail:
    """A way out that is closed until a moment."""

    def __init__(self, open_at: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.open_at = open_at
        self.tried: list[float] = []
        self.sent: list[tuple[float, str]] = []

    def now(self) -> Instant:
        return round(self.loop.time() * SECOND)

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        assert channel == EmailContact(address="root@example.org")
        assert notice.kind is NoticeKind.OPERATOR
        self.tried.append(self.loop.time())
        if self.loop.time() < self.open_at:
            return AWAY
        self.sent.append((self.loop.time(), notice.message))
        return OK


async def test_what_was_overtaken_while_the_way_out_was_closed_is_told_once() -> None:
    mail = Mail(open_at=100.0)
    desk = OperatorDesk(mail.send, "root@example.org", now=mail.now)
    running = asyncio.create_task(desk.run())
    desk.tell("network", "it is down")
    await asyncio.sleep(60.0)
    desk.tell("network", "it was down for a minute")
    await asyncio.sleep(200.0)
    running.cancel()
    assert [message for _, message in mail.sent] == ["it was down for a minute"]
    assert mail.tried[:5] == [0.0, 5.0, 15.0, 35.0, 75.0]


async def test_after_a_day_it_is_given_up_and_news_starts_anew() -> None:
    mail = Mail(open_at=2 * 86_400.0)
    desk = OperatorDesk(mail.send, "root@example.org", now=mail.now)
    running = asyncio.create_task(desk.run())
    desk.tell("network", "it is down")
    await asyncio.sleep(1.5 * 86_400.0)
    before = len(mail.tried)
    await asyncio.sleep(86_400.0)
    assert (mail.sent, len(mail.tried)) == ([], before)
    desk.tell("network", "again")
    await asyncio.sleep(1.0)
    running.cancel()
    assert [message for _, message in mail.sent] == ["again"]
