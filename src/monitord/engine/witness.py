"""What a monitor says of itself towards those that depend on it."""

import asyncio

from monitord.domain.check import Verdict

FRESH_S = 5.0
"""How old a check may be to speak for a monitor: ten thousand who fail within one interval must not check what they
depend on ten thousand times."""

_SILENT = frozenset({Verdict.INCONCLUSIVE, Verdict.BLOCKED})

Answer = asyncio.Future[Verdict | None]
"""None: nothing can be said."""


class Witness:
    """Remembers one monitor's last check, and who waits for its next."""

    __slots__ = ("_began", "_verdict", "_waiting")

    def __init__(self) -> None:
        self._began = 0.0
        self._verdict: Verdict | None = None
        self._waiting: tuple[tuple[float, Answer], ...] = ()

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a check."""
        return bool(self._waiting)

    def ask(self, not_before: float, answer: Answer) -> bool:
        """Answer with a check that began no more than a little before a moment; return whether one has to be made."""
        if self._verdict is not None and self._began >= not_before - FRESH_S:
            answer.set_result(self._verdict)
            return False
        self._waiting = (*self._waiting, (not_before, answer))
        return True

    def testify(self, began: float, verdict: Verdict) -> None:
        """Take a check. One that says nothing of the target is told as that, and not remembered."""
        said = None if verdict in _SILENT else verdict
        if said is not None:
            self._began, self._verdict = began, said
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, ()
        for not_before, answer in waiting:
            if began < not_before - FRESH_S:
                self._waiting = (*self._waiting, (not_before, answer))
            elif not answer.done():
                answer.set_result(said)

    def fall_silent(self) -> None:
        """Forget what was seen, and tell those who wait that nothing can be said."""
        self._verdict = None
        waiting, self._waiting = self._waiting, ()
        for _, answer in waiting:
            if not answer.done():
                answer.set_result(None)
