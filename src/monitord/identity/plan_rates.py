"""How often may be called in an organisation, by its plan: remembered for seconds, so that a call costs no query."""

import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from monitord.domain.errors import ResourceExhaustedError, UnavailableError
from monitord.identity.credential_cache import CredentialCache


class PlanRate(msgspec.Struct, frozen=True):
    """What an organisation's plan says, if it has one."""

    per_s: float | None
    """Calls a second with each credential; None: as many as the operator allows."""


class PlanRateSource(Protocol):
    """Where it is looked up; see ``storage.plans``."""

    async def rpc_rate_of(self, org_id: int) -> PlanRate | None:
        """Return what an organisation's plan says; None when there is no such organisation."""
        ...


class PlanRates:
    """Knows the rates of the organisations that were acted in last. Another plan counts within ten seconds."""

    def __init__(self, source: PlanRateSource, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache: CredentialCache[int, PlanRate] = CredentialCache(source.rpc_rate_of, clock=clock)

    async def of(self, org_id: int) -> float | None:
        """Return how many calls a second an organisation's plan allows; None: it does not say.

        While that can't be found out, what was known last holds: to serve is more than to count.
        """
        try:
            rate = await self._cache.get(org_id)
        except (UnavailableError, ResourceExhaustedError):
            rate = self._cache.last_known(org_id)
        return None if rate is None else rate.per_s
