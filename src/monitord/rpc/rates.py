"""How often may be called: with proof by each credential, without it from each network (T14, T18)."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from hashlib import blake2b
from typing import TypeVar

import msgspec

from monitord.domain.errors import NotFoundError, ResourceExhaustedError, UnauthenticatedError
from monitord.identity.allowance import Buckets
from monitord.identity.network import network_of

Proven = TypeVar("Proven")

BURST_S = 4.0
"""Calls may come in bursts: as many at once as their rate allows within this time."""
FAMILIAR = 10_000
"""How many proofs are remembered as good ones, at most (I16)."""


class Rate(msgspec.Struct, frozen=True):
    """So many calls a second in the long run, and ``burst`` at once, at least 1. ``per_s`` 0 is no limit."""

    per_s: float
    burst: float

    @classmethod
    def of(cls, per_s: float) -> "Rate":
        """Return a rate with the usual burst."""
        return cls(per_s, max(1.0, per_s * BURST_S))


class RateLimit:
    """A token bucket for each caller, by the rate that each call names: not all need have the same."""

    def __init__(self, what: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``what`` ends the beginning of the refusal, ``Too many calls``: such as ``with this credential``."""
        self._what = what
        self._buckets = Buckets(clock)

    def take(self, caller: Hashable, rate: Rate) -> None:
        """Count a call. Raises ResourceExhaustedError with the time to wait, and counts none, beyond the rate."""
        if not rate.per_s:
            return
        wait_s = self._buckets.wait_s(caller, burst=rate.burst, refill_s=1.0 / rate.per_s)
        if wait_s:
            raise ResourceExhaustedError(
                f"Too many calls {self._what}: {rate.per_s:g} a second are served, and {rate.burst:g} at once; "
                f"try again in {math.ceil(wait_s * 100) / 100:g} s",
                retry_after_s=wait_s,
            )

    def give_back(self, caller: Hashable, rate: Rate) -> None:
        """Take back that a call was counted."""
        if rate.per_s:
            self._buckets.give_back(caller, refill_s=1.0 / rate.per_s)


class CallRates:
    """Counts calls with proof for their credential, and calls without it for the network that they come from."""

    def __init__(
        self,
        proven: Rate,
        unproven: Rate,
        *,
        of_plan: Callable[[int], Awaitable[float | None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``proven`` is the rate of each credential, ``unproven`` that of each network.

        ``of_plan`` tells how many calls a second an organisation's plan allows with each credential, if it says so.
        """
        self._proven_rate, self._unproven_rate = proven, unproven
        self._of_plan = of_plan
        self._proven = RateLimit("with this credential", clock=clock)
        self._unproven = RateLimit("without a proof of identity from your network", clock=clock)
        self._familiar: OrderedDict[bytes, None] = OrderedDict()
        self._asking: dict[bytes, asyncio.Event] = {}

    def count_proven(self, credential: str, rate: Rate | None = None) -> None:
        """Count a call by a credential, at its own rate if it has one; raise ResourceExhaustedError beyond it."""
        self._proven.take(credential, rate or self._proven_rate)

    async def rate_in(self, org_id: int) -> Rate | None:
        """Return the rate of calls in an organisation by its plan; None: that of everybody."""
        per_s = None if self._of_plan is None else await self._of_plan(org_id)
        return None if per_s is None else Rate.of(per_s)

    def count_unproven(self, peer: str) -> None:
        """Count a call of whoever is at an address; raise ResourceExhaustedError beyond the rate of its network."""
        self._unproven.take(network_of(peer), self._unproven_rate)

    async def proven(
        self, peer: str, authorization: str | None, authenticate: Callable[[str | None], Awaitable[Proven]]
    ) -> Proven:
        """Return whom a proof is of, as ``authenticate`` says or raises it.

        Raises ResourceExhaustedError beyond the network's rate: for strangers before the look-up, else after a failure.

        To look a stranger's proof up costs a query, so invented keys have to be counted before it is known that they
        are none: many at the same time would slip through together. Whoever proved good before does not share that
        count, or one machine that sends nonsense would shut out everybody behind the same router. It is the text of
        the proof that is known, not its id, which is no secret. A newcomer who turns out good gets the count back, and
        is known from then on: their calls are counted by their credential alone. Those that come at the same time wait
        for what becomes of the first.
        """
        proof = blake2b((authorization or "").encode("utf-8", "surrogatepass"), digest_size=16).digest()
        while proof not in self._familiar and proof in self._asking:
            await self._asking[proof].wait()
        if proof not in self._familiar:
            return await self._newcomer(peer, proof, lambda: authenticate(authorization))
        try:
            who = await authenticate(authorization)
        except UnauthenticatedError:  # it was good: revoked or expired since
            self._familiar.pop(proof, None)
            self.count_unproven(peer)
            raise
        except NotFoundError:  # it is, but not in the organisation that it asks for: that cost a query, too
            self.count_unproven(peer)
            raise
        self._remember(proof)
        return who

    async def _newcomer(self, peer: str, proof: bytes, look_up: Callable[[], Awaitable[Proven]]) -> Proven:
        self.count_unproven(peer)
        self._asking[proof] = asyncio.Event()
        try:
            who = await look_up()
            self._unproven.give_back(network_of(peer), self._unproven_rate)
            self._remember(proof)
            return who
        finally:
            self._asking.pop(proof).set()

    def _remember(self, proof: bytes) -> None:
        self._familiar[proof] = None
        self._familiar.move_to_end(proof)
        if len(self._familiar) > FAMILIAR:
            self._familiar.popitem(last=False)
