"""How long to wait before the next attempt."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: a random wait between 0 and a ceiling that doubles with each attempt.

    Clients that failed together then do not come back together.
    """

    first_s: float = 0.1
    """The ceiling before the second attempt, in seconds."""
    limit_s: float = 5.0
    """The ceiling never grows above this, in seconds."""
    random: Callable[[], float] = random.random

    def wait_s(self, failures: int, at_least_s: float | None = None) -> float:
        """Return the seconds to wait after ``failures`` (1 or more) failures in a row.

        ``at_least_s`` is the server's wish (RetryInfo): it is kept in full, and the jitter comes on top.
        """
        ceiling = min(self.limit_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return (at_least_s or 0.0) + self.random() * ceiling
