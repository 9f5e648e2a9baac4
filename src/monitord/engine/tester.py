"""Checks of what is not stored: one look at a configuration that someone is still thinking about."""

from monitord.domain.check import Observation
from monitord.domain.instant import Instant
from monitord.domain.kinds import Check
from monitord.engine.checker import Probe
from monitord.engine.clock import Clock
from monitord.engine.gate import Gate


class Tester:
    """Makes single checks through the same gate as all others, and asks the probe to explain itself."""

    def __init__(self, probe: Probe, gate: Gate, clock: Clock) -> None:
        self._probe = probe
        self._gate = gate
        self._clock = clock

    async def test(self, check: Check, timeout_s: float) -> tuple[Instant, float, Observation]:
        """Check once; return when it began, how many milliseconds it took, and what was seen."""
        host = check.peer
        await self._gate.enter(host)
        try:
            started_at, began = self._clock.now(), self._clock.monotonic()
            observation = await self._probe(check, timeout_s, trace=True)
            return started_at, (self._clock.monotonic() - began) * 1000, observation
        finally:
            self._gate.leave(host)
