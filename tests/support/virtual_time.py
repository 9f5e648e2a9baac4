"""A loop on which time stands still while anything can run, and jumps to the next timer when nothing can.

An hour of checks takes milliseconds, and a test can assert the exact moment of each. Real I/O is refused; a test
that would wait for ever fails at once. uvloop can't be made to do this: its timers are real.
"""

import asyncio
import selectors
from typing import Any, NoReturn


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: tells the loop to jump by as much as it would have waited."""

    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("deadlock: every task waits and no timer is set")
        self.loop.advance(timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose ``time()`` begins at 0 and moves only from timer to timer."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        super().__init__(selector)
        selector.loop = self
        self._virtual_now = 0.0

    def time(self) -> float:
        # asyncio's base class calls this before __init__ has finished.
        return getattr(self, "_virtual_now", 0.0)

    def advance(self, seconds: float) -> None:
        self._virtual_now += seconds

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise RuntimeError("real I/O under virtual time; pass in a fake")

    run_in_executor = create_connection = create_server = create_datagram_endpoint = _refuse
