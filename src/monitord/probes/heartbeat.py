"""Heartbeats have nothing to dial: a trial of one can only say so. The engine judges them by what jobs have told."""

from monitord.domain.check import Category, Observation
from monitord.domain.kinds import HeartbeatCheck
from monitord.probes.failure import ours
from monitord.probes.trial import unprobed


class HeartbeatProber:
    """Explains to whoever tries a heartbeat out."""

    async def __call__(self, check: HeartbeatCheck, timeout_s: float, *, trace: bool = False) -> Observation:
        """Return that nothing can be seen."""
        return unprobed(
            ours(
                Category.ENGINE_UNSUPPORTED,
                f"A heartbeat can't be tried out: it waits for {check.shown}. Create it, then ask for its ping_url.",
            )
        )
