"""Computing that takes longer than the event loop can wait, in one bounded pool of threads."""

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

_MAX_THREADS = 2
"""Whoever asks for expensive proofs gets no more of this machine than these."""


class Worker:
    """Runs functions that release the GIL. Threads are started when they are needed first."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="monitord-proofs")

    async def run(self, compute: Callable[[], T], deadline: Deadline) -> T:
        """Return what ``compute`` returns. When the deadline comes first, that is our own fault (I9).

        A computation that has begun cannot be ended; callers bound what it may cost. One that waits is dropped.
        """
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()

        def finished(_: "Future[T]") -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                loop.call_soon_threadsafe(_set, ready)

        job = self._pool.submit(compute)
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
