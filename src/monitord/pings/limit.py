"""How often one job may tell of itself."""

from collections import OrderedDict

BURST = 20
EVERY_S = 1.0
"""One word a second in the long run, and this many at once: a job that loops must not fill the database (T16)."""
_JOBS = 10_000


class PingLimit:
    """A bucket of tokens for each job, for the jobs that told of themselves last."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def take(self, monitor_id: int, now: float) -> float:
        """Return 0 if a word may be taken in, else after how many seconds. ``now`` is monotonic, in seconds."""
        level, at = self._buckets.pop(monitor_id, (float(BURST), now))
        level = min(BURST, level + (now - at) / EVERY_S)
        wait_s = 0.0 if level >= 1.0 else (1.0 - level) * EVERY_S
        self._buckets[monitor_id] = (level if wait_s else level - 1.0, now)
        if len(self._buckets) > _JOBS:
            self._buckets.popitem(last=False)
        return wait_s
