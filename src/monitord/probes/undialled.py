"""Kinds with nothing to dial: a trial of one can only say so. The engine judges them by what it knows."""

from monitord.domain.check import Category, Observation
from monitord.domain.kinds import GroupCheck, HeartbeatCheck
from monitord.probes.failure import ours
from monitord.probes.trial import unprobed


class UndialledProber:
    """Explains to whoever tries out a heartbeat or a group."""

    async def __call__(
        self, check: HeartbeatCheck | GroupCheck, timeout_s: float, *, trace: bool = False
    ) -> Observation:
        """Return that nothing can be seen."""
        return unprobed(ours(Category.ENGINE_UNSUPPORTED, _why(check)))


def _why(check: HeartbeatCheck | GroupCheck) -> str:
    if isinstance(check, HeartbeatCheck):
        return f"A heartbeat can't be tried out: it waits for {check.shown}. Create it, then ask for its ping_url."
    return f"A group can't be tried out: it is judged by {check.shown}, as they are checked. Create it, then CheckNow."
