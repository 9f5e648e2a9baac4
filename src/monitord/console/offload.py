"""A thread for what may block: a terminal that is stopped, a pipe that nobody reads."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeAlias

_Job: TypeAlias = tuple[Callable[[], None], "asyncio.Future[None]"]


class Offload:
    """Runs one function at a time, in a thread that, unlike an executor's, can't keep the process from ending."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def __call__(self, function: Callable[[], None]) -> None:
        """Run ``function`` in the thread and wait for it. Raises what it raises."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put((function, done))
        await done

    def close(self) -> None:
        """End the thread after what it does now."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, done = job
            failure: Exception | None = None
            try:
                function()
            except Exception as error:  # the guard of the thread: the failure is the caller's to judge
                failure = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, done, failure)


def _settle(done: "asyncio.Future[None]", failure: Exception | None) -> None:
    if done.cancelled():
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)
