"""How often something may be done for the same one: a token bucket each (T16)."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from monitord.domain.errors import ResourceExhaustedError

SIZE = 10_000
"""How many are remembered, at most (I16): the ones seen longest ago are forgotten, which gives them a full bucket."""


class Buckets:
    """A token bucket for each key, as large and as quick to refill as each use of it says. In memory alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, size: int = SIZE) -> None:
        self._clock = clock
        self._size = size
        # A bucket as the one number that it takes: when it will be full again.
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def wait_s(self, key: Hashable, *, burst: float, refill_s: float) -> float:
        """Take one, and return 0.0; or take none, and return after how many seconds there will be one.

        A bucket holds ``burst`` at most, 1 or more, and gets one more every ``refill_s`` seconds.
        """
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now)
        wait_s = full_at - (burst - 1) * refill_s - now
        # Also when it is refused: whoever goes on trying is not to be forgotten.
        self._full_at[key] = full_at if wait_s > 0 else full_at + refill_s
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._size:
            self._full_at.popitem(last=False)
        return max(wait_s, 0.0)

    def give_back(self, key: Hashable, *, refill_s: float) -> None:
        """Put one back that was taken."""
        if key in self._full_at:
            self._full_at[key] -= refill_s

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._full_at)


class Allowance:
    """Allows so many at once, and one more for every so many seconds. A restart fills all buckets."""

    def __init__(self, what: str, *, burst: int, refill_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``what`` begins the sentence that refuses, such as ``Too many test messages``."""
        self._what = what
        self._burst = burst
        self._refill_s = refill_s
        self._buckets = Buckets(clock)

    def wait_s(self, key: Hashable) -> float:
        """Use one up, and return 0.0; or use none, and return after how many seconds there will be one."""
        return self._buckets.wait_s(key, burst=self._burst, refill_s=self._refill_s)

    def take(self, key: Hashable) -> None:
        """Use one up. Raises ResourceExhaustedError with the time to wait, and uses none, when there is none left."""
        wait_s = self.wait_s(key)
        if wait_s:
            raise ResourceExhaustedError(f"{self._what}: try again in {math.ceil(wait_s)} s.", retry_after_s=wait_s)
