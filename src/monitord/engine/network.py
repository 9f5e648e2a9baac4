"""Whose fault a failure is that looks like the network's: the target's, or that of our own way out (I9).

Anchors are places that the operator trusts to be there. Before a failure of the network's kind may count against a
monitor that is not DOWN already, they are asked: when none of them can be reached, our own network is down, and the
failure says nothing of the target. That asks sooner than a watch for many failures at once would (a failure of more
than 30 % of the monitors asks too, as each of them asks), and one question serves all who wait for its answer.

Checks go on while the network is down, for targets on this machine and in this network may well be reachable; their
successes count. After the network is back, failures of its kind are distrusted a little longer, so that a monitor is
checked again before anything is decided.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.network import Reach
from monitord.engine.clock import Clock

log = structlog.get_logger(__name__)

FRESH_S = 1.0
"""An answer of the anchors holds so long: it is worth one failure more or less, and spares them a flood."""
SETTLE_S = 10.0
"""So long after the network came back its kind of failure is not believed: the usual time between re-checks."""
ANSWER_S = 3.0
"""How long the anchors may take; silent ones are unreachable."""

_NAMES = frozenset({Category.DNS_TIMEOUT, Category.DNS_SERVFAIL})
"""Failures that a resolver of ours can cause alone, with the way out intact."""

_LIKE_THE_NETWORKS = _NAMES | {
    Category.CONNECT_TIMEOUT,
    Category.CONNECT_UNREACHABLE,
    Category.TLS_TIMEOUT,
    Category.TIMEOUT_TTFB,
    Category.TIMEOUT_TOTAL,
    Category.ICMP_LOSS,
    Category.ICMP_UNREACHABLE,
    # The word of a job comes by the same network.
    Category.HEARTBEAT_MISSED,
}


class Anchors(Protocol):
    """Places that are there if our own network is well."""

    async def ask(self, within_s: float) -> Reach:
        """Try to reach all of them, at once, and return what that says."""


class NetworkWatch:
    """Acquits targets of what our own network did. To be used on one loop."""

    def __init__(
        self, anchors: Anchors, clock: Clock, *, changed: Callable[[bool], None] = lambda is_down: None
    ) -> None:
        """``changed`` is told when the network is found to be down, and to be back."""
        self._anchors = anchors
        self._changed = changed
        self._clock = clock
        self._asking: asyncio.Task[Reach] | None = None
        self._last = Reach(way_out=True, names=True)
        self._asked_at = -SETTLE_S
        self._distrust_until = self._distrust_names_until = -SETTLE_S

    @property
    def is_down(self) -> bool:
        """Whether our own network was down when last asked about."""
        return not (self._last.way_out and self._last.names)

    async def judge(self, seen: Observation, *, settled: bool = False) -> Observation:
        """Return what a check saw, INCONCLUSIVE if our own network is to blame for it.

        ``settled``: the monitor is DOWN already. Its failures decide nothing, so the anchors are spared the question
        while the network is believed to be well.
        """
        if seen.verdict is not Verdict.DOWN or seen.category not in _LIKE_THE_NETWORKS or _is_here(seen.address):
            return seen
        if settled and not self.is_down:
            return seen
        reach = await self._reach()
        now = self._clock.monotonic()
        if not reach.way_out:
            return _ours(seen, "monitord's own network is down: none of its anchors can be reached")
        if not reach.names and seen.category in _NAMES:
            return _ours(seen, "monitord's own resolver does not answer: none of its anchors' names can be looked up")
        if now < (self._distrust_names_until if seen.category in _NAMES else self._distrust_until):
            return _ours(seen, "monitord's own network has only just come back; this is checked again")
        return seen

    async def close(self) -> None:
        """End a question under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _reach(self) -> Reach:
        if self._asking is None and self._clock.monotonic() - self._asked_at < FRESH_S:
            return self._last
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="the question to the anchors")
        # One who waits may be cancelled without ending the question of the others.
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Reach:
        try:
            reach = await self._anchors.ask(ANSWER_S)
        finally:
            self._asking = None
        self._asked_at = self._clock.monotonic()
        was_down, self._last = self.is_down, reach
        if self.is_down:
            self._distrust_names_until = self._asked_at + SETTLE_S
        if not reach.way_out:
            self._distrust_until = self._asked_at + SETTLE_S
        if self.is_down is not was_down:
            self._tell(reach)
            self._changed(self.is_down)
        return reach

    def _tell(self, reach: Reach) -> None:
        if not reach.way_out:
            log.error("own_network_down", detail="no anchor can be reached; failures count against no monitor")
        elif not reach.names:
            log.error("own_resolver_down", detail="no name of an anchor can be looked up")
        else:
            log.warning("own_network_back", detail="the anchors can be reached again")


def _is_here(address: str | None) -> bool:
    """Tell the targets on this machine: no network lies between."""
    return address is not None and address.startswith(("127.", "[::1]"))


def _ours(seen: Observation, why: str) -> Observation:
    return msgspec.structs.replace(
        seen,
        verdict=Verdict.INCONCLUSIVE,
        category=Category.ENGINE_NETWORK_DOWN,
        message=f"{why}. The check saw: {seen.message or seen.category}",
    )
