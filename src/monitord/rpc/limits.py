"""How many calls may be in flight, in all and for each caller; unary calls and streams are counted apart (T18)."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from monitord.domain.errors import ResourceExhaustedError


class CallLimit:
    """Bounds one kind of call. Too many are refused at once: a queue would only hoard them in memory (I16)."""

    def __init__(self, what: str, *, per_caller: int, in_all: int) -> None:
        """``what`` names the kind in the refusal, such as ``streams``."""
        self._what = what
        self._per_caller = per_caller
        self._in_all = in_all
        self._held: dict[Hashable, int] = {}
        self.in_flight = 0

    @contextmanager
    def hold(self, caller: Hashable) -> Iterator[None]:
        """Count a call of ``caller`` for as long as the block runs; raise ResourceExhaustedError beyond a limit."""
        held = self._held.get(caller, 0)
        if held >= self._per_caller:
            raise ResourceExhaustedError(
                f"You have {held} {self._what} open, the most there may be; end one first", retry_after_s=1.0
            )
        if self.in_flight >= self._in_all:
            raise ResourceExhaustedError(
                f"monitord serves as many {self._what} as it can; try again", retry_after_s=1.0
            )
        self._held[caller] = held + 1
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
            left = self._held[caller] - 1
            if left:
                self._held[caller] = left
            else:
                del self._held[caller]
