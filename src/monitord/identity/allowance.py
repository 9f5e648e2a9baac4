"""How often something may be done for the same one: a token bucket each (T16)."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from monitord.domain.errors import ResourceExhaustedError

_SIZE = 10_000
"""How many are remembered, at most (I16): the ones seen longest ago are forgotten, which gives them a full bucket."""


class Allowance:
    """Allows so many at once, and one more for every so many seconds. In memory: a restart fills all buckets."""

    def __init__(self, what: str, *, burst: int, refill_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``what`` begins the sentence that refuses, such as ``Too many test messages``."""
        self._what = what
        self._burst = burst
        self._refill_s = refill_s
        self._clock = clock
        # A bucket as the one number that it takes: when it will be full again.
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def take(self, key: Hashable) -> None:
        """Use one up. Raises ResourceExhaustedError with the time to wait, and uses none, when there is none left."""
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now)
        wait_s = full_at - (self._burst - 1) * self._refill_s - now
        if wait_s > 0:
            raise ResourceExhaustedError(f"{self._what}: try again in {math.ceil(wait_s)} s.", retry_after_s=wait_s)
        self._full_at[key] = full_at + self._refill_s
        self._full_at.move_to_end(key)
        if len(self._full_at) > _SIZE:
            self._full_at.popitem(last=False)
