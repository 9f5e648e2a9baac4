"""A world of monitors with contacts, and a desk that works through their outbox by a clock of its own."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from monitord.alerting.bursts import Bursts
from monitord.domain.check import Verdict
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.instant import SECOND, Instant
from monitord.domain.monitor import Monitor
from monitord.domain.notice import Notice, NoticeKind
from monitord.storage.database import Database
from monitord.storage.ledger import Ledger
from monitord.storage.monitors import wall_clock
from monitord.storage.notices import Notices
from monitord.storage.outbox import Claim, Claims
from monitord.storage.outbox_outcomes import Outcomes
from tests.integration.ledger.conftest import World, record_all, running
from tests.support.stored import PlainSealer, organisation

ACCEPTED = Attempt(outcome=Outcome.ACCEPTED, code="smtp.250")
REFUSED = Attempt(outcome=Outcome.RETRY, code="smtp.451", detail="try again later")
NEVER = Attempt(outcome=Outcome.PERMANENT, code="smtp.550", detail="no such user", disables_contact=True)


class Desk:
    """What a dispatcher does, one step at a time, at moments that the test chooses."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger: Ledger = world.ledger()
        self.now: Instant = wall_clock() + SECOND
        self.claims = Claims(world.database)
        self.notices = Notices(world.database, PlainSealer())
        self.outcomes = Outcomes(world.database, lambda least, most: most)
        self.bursts = Bursts(apart=("pagerduty",))
        self.said: list[tuple[int, NoticeKind]] = []
        """What each contact was told, in order."""

    async def monitor(self) -> Monitor:
        made = await self.world.monitor(self.ledger)
        await self.see(made, Verdict.UP)
        return made

    async def see(self, monitor: Monitor, *verdicts: Verdict) -> None:
        """Let a monitor have results, and commit them with what follows from them."""
        record_all(self.ledger, [self.world.result(monitor, verdict) for verdict in verdicts])
        await self.ledger.flush()
        self.now = max(self.now, wall_clock() + SECOND)

    async def claim(self, *channels: str) -> list[Claim]:
        return await self.claims.claim(
            self.now,
            channels or ("email", "webhook", "pagerduty"),
            self.bursts.held(self.now),
            lambda org, contact, channel, ready: self.bursts.gather((org, contact), channel, ready, self.now),
        )

    async def deliver(self, attempt: Attempt = ACCEPTED, claims: Sequence[Claim] | None = None) -> list[Notice]:
        """Send all that is due, each with the same end."""
        notices = []
        for claim in await self.claim() if claims is None else claims:
            message = await self.notices.load(claim, self.now)
            assert message is not None
            notices.append(message.notice)
            if attempt.accepted:
                self.said.append((claim.contact_id, message.notice.kind))
            await self.outcomes.record(claim, attempt, self.now)
        return notices

    def later(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    async def states(self, contact: int) -> list[tuple[Any, ...]]:
        return await self.world.rows(
            "SELECT kind, state, reason, attempts FROM alerts WHERE contact_id = $1 ORDER BY id", contact
        )

    async def attempts(self, contact: int) -> list[tuple[Any, ...]]:
        return await self.world.rows(
            "SELECT t.alert_id - first_value(t.alert_id) OVER (ORDER BY t.alert_id), t.number, t.outcome, t.code "
            "FROM alert_attempts AS t JOIN alerts AS a ON a.org_id = t.org_id AND a.id = t.alert_id "
            "WHERE a.contact_id = $1 ORDER BY t.alert_id, t.number",
            contact,
        )


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    made = Desk(World(database, await organisation(database)))
    async with running(made.ledger):
        yield made
