"""Computing that takes longer than the event loop can wait, in threads of its own."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from monitord.domain.check import Category
from monitord.probes.deadline import Deadline
from monitord.probes.failure import ours
from monitord.probes.trial import StepError

T = TypeVar("T")


class Worker:
    """Runs functions that release the GIL, in two threads: one for what is cheap, one for what is not.

    So a server that asks for expensive proofs delays no monitor of one that does not (I11), and no number of them gets
    more of this machine than one core. The threads are started when they are needed first.
    """

    def __init__(self) -> None:
        self._cheap, self._expensive = (
            ThreadPoolExecutor(1, thread_name_prefix=f"monitord-proofs-{name}") for name in ("cheap", "expensive")
        )

    async def run(self, compute: Callable[[], T], deadline: Deadline, *, is_expensive: bool) -> T:
        """Return what ``compute`` returns. When the deadline comes first, that is our own fault (I9).

        A computation that has begun cannot be ended; callers bound what it may cost. One that waits is dropped.
        """
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()

        def finished(_: "Future[T]") -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                loop.call_soon_threadsafe(_set, ready)

        job = (self._expensive if is_expensive else self._cheap).submit(compute)
        job.add_done_callback(finished)
        try:
            await deadline.wait(ready)
        finally:
            job.cancel()
        if not job.done() or job.cancelled():
            raise StepError(
                ours(Category.ENGINE_OVERLOAD, "monitord could not compute the proof of the password in time.")
            )
        return job.result()


def _set(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
