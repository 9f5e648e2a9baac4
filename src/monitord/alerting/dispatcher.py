"""Takes alerts out of the outbox and sees them delivered; never within a check."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from monitord.alerting.bursts import Bursts
from monitord.domain.contacts import Channel, channel_of
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.errors import UnavailableError
from monitord.domain.instant import SECOND, Instant
from monitord.domain.notice import Notice

SEND_S = 30.0
"""How long one attempt may take."""
LOOK_S = 1.0
"""How often to look for what has become due by itself: delays, retries, the ends of nights."""
AT_ONCE = 16
"""Attempts under way for each kind of channel: a mail server that hangs delays nothing but mail."""
FREE_S = 5.0
"""How often to look for what processes that are dead had claimed."""
TOGETHER_S = 0.05
"""From one look to the next: under load, what is due meanwhile is claimed at once, in one transaction for all."""
_AWAY_S = 2.0
_RECORD_S = (0.2, 1.0, 5.0, 20.0)
"""How long to wait before an attempt is recorded after all; the last again and again."""

_log = structlog.get_logger(__name__)

Send = Callable[[Channel, Notice, float], Awaitable[Attempt]]
"""Tries once, within a time in seconds; see the channels."""


class Claim(Protocol):
    """A message to be sent; see ``storage.outbox``."""

    @property
    def org_id(self) -> int:
        """Whose."""

    @property
    def contact_id(self) -> int:
        """To whom."""

    @property
    def channel(self) -> str:
        """By which kind of channel."""

    @property
    def attempt(self) -> int:
        """Which attempt it is, from 1 on."""


class Message(Protocol):
    """What a claim says, and where."""

    @property
    def channel(self) -> Channel:
        """Where."""

    @property
    def notice(self) -> Notice:
        """What."""


Gather = Callable[[int, int, str, int], bool | None]


class Claims(Protocol):
    """Where alerts wait."""

    async def claim(
        self, now: Instant, channels: Iterable[str], held: Iterable[tuple[int, int]], gather: Gather
    ) -> Sequence[Any]:
        """Claim what is to be sent."""


class Orphans(Protocol):
    """What processes that are dead had claimed; see ``storage.orphans``."""

    async def free(self, now: Instant) -> int:
        """Free it, and return how many alerts that were."""


class Notices(Protocol):
    """Knows what to say."""

    async def load(self, claim: Any, now: Instant) -> Message | None:
        """Return what a claim says; None: it is gone."""


class Outcomes(Protocol):
    """Where attempts are recorded."""

    async def record(self, claim: Any, attempt: Attempt, now: Instant) -> None:
        """Record how an attempt ended."""


class Meter(Protocol):
    """Counts deliveries."""

    def delivered(self, channel: str, outcome: str, dwell_s: float | None) -> None:
        """An attempt ended; if the message was accepted, so long after what it tells of."""


class Dispatcher:
    """Claims, sends, records; again and again."""

    def __init__(
        self,
        claims: Claims,
        notices: Notices,
        outcomes: Outcomes,
        senders: Mapping[str, Send],
        *,
        now: Callable[[], Instant],
        meter: Meter,
        bursts: Bursts | None = None,
        orphans: Orphans | None = None,
    ) -> None:
        """Take what delivers by each kind of channel, by ``domain.contacts.channel_of``."""
        self._claims = claims
        self._notices = notices
        self._outcomes = outcomes
        self._senders = senders
        self._now = now
        self._meter = meter
        self._bursts = bursts or Bursts()
        self._orphans = orphans
        self._free_at = 0.0
        self._unrecorded: Counter[tuple[int, int]] = Counter()
        self._wake = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        self._closing = False
        self._is_away = False

    def poke(self) -> None:
        """Look at once: there is something new."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._wake.clear()
                next_at = loop.time() + TOGETHER_S
                claimed = 0 if self._closing else await self._claim()
                if not claimed:
                    await self._pause(_AWAY_S if self._is_away else LOOK_S)
                await asyncio.sleep(next_at - loop.time())
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    async def drain(self, grace_s: float) -> None:
        """Begin nothing more; give what is under way so long to end. What does not is tried again after its lease."""
        self._closing = True
        if self._sending:
            await asyncio.wait(self._sending, timeout=grace_s)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _claim(self) -> int:
        open_ = [channel for channel in self._senders if self._busy[channel] < AT_ONCE]
        now = self._now()
        try:
            await self._free(now)
            claims = await self._claims.claim(
                now,
                open_,
                [*self._bursts.held(now), *self._unrecorded],
                lambda org_id, contact_id, channel, ready: self._bursts.gather(
                    (org_id, contact_id), channel, ready, now
                ),
            )
        except UnavailableError as error:
            if not self._is_away:
                _log.warning("alerts_wait", reason=error.message)
            self._is_away = True
            return 0
        self._is_away = False
        for claim in claims:
            self._busy[claim.channel] += 1
            task = asyncio.create_task(self._deliver(claim), name=f"delivery to contact {claim.contact_id}")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return len(claims)

    async def _free(self, now: Instant) -> None:
        clock = asyncio.get_running_loop().time()
        if self._orphans is None or clock < self._free_at:
            return
        freed = await self._orphans.free(now)
        self._free_at = clock + FREE_S
        if freed:
            _log.warning("alerts_taken_over", alerts=freed, reason="whoever was sending them is dead")

    async def _deliver(self, claim: Claim) -> None:
        """Make one attempt and record it. With the database away before it, the lease runs out, and it is repeated."""
        try:
            try:
                message = await self._notices.load(claim, self._now())
            except UnavailableError:
                raise
            except Exception as error:  # a bug, or what can't be read any more, must not stop the others (I11)
                await self._record(claim, _broken(claim, error))
                return
            if message is None:
                attempt, notice = Attempt(outcome=Outcome.PERMANENT, code="gone"), None
            else:
                notice = message.notice
                attempt = await self._attempt(claim, message.channel, notice)
            now = self._now()
            dwell_s = (now - notice.at) / SECOND if attempt.accepted and notice is not None else None
            self._meter.delivered(claim.channel, attempt.outcome.value, dwell_s)
            await self._record(claim, attempt)
        except UnavailableError as error:
            _log.warning("delivery_not_begun", contact_id=claim.contact_id, reason=error.message)
        finally:
            self._busy[claim.channel] -= 1
            self._wake.set()

    async def _record(self, claim: Claim, attempt: Attempt) -> None:
        """Record an attempt, however long the database is away: what is accepted and not recorded is sent twice (I4).

        Meanwhile nothing is claimed for its contact: the lease may run out. It is bounded by ``AT_ONCE``, as nothing
        else is claimed either.
        """
        contact = (claim.org_id, claim.contact_id)
        self._unrecorded[contact] += 1
        try:
            for wait_s in itertools.chain(_RECORD_S, itertools.repeat(_RECORD_S[-1])):
                try:
                    return await self._outcomes.record(claim, attempt, self._now())
                except UnavailableError as error:
                    _log.warning("delivery_not_recorded", contact_id=claim.contact_id, reason=error.message)
                await asyncio.sleep(wait_s)
        finally:
            self._unrecorded[contact] -= 1
            if not self._unrecorded[contact]:
                del self._unrecorded[contact]

    async def _attempt(self, claim: Claim, channel: Channel, notice: Notice) -> Attempt:
        send = self._senders[channel_of(channel)]
        try:
            async with asyncio.timeout(SEND_S + 5.0):  # of its own accord it ends before
                return await send(channel, notice, SEND_S)
        except TimeoutError:
            return Attempt(outcome=Outcome.AMBIGUOUS, code="timeout", detail=f"no end within {SEND_S:g} s")
        except Exception as error:  # the one guard of a delivery: a bug of a channel must not stop the others (I11)
            return _broken(claim, error)


def _broken(claim: Claim, error: Exception) -> Attempt:
    """Return how an attempt ended that a bug ended; its details go to the log alone (T15)."""
    _log.exception("delivery_failed", channel=claim.channel, contact_id=claim.contact_id)
    return Attempt(outcome=Outcome.RETRY, code="internal", detail=type(error).__name__)
