"""The long-lived tasks of the process: they share one TaskGroup, and none may end unnoticed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class ServiceEndedError(Exception):
    """A task that should run for as long as the process does has failed or returned."""


async def run_for_ever(name: str, run: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run a service; raise ServiceEndedError, with the cause, whatever its end is but a cancellation."""
    try:
        await run()
    except asyncio.CancelledError:
        raise
    except Exception as error:  # this is the guard of every root task: whatever broke it ends the process
        raise ServiceEndedError(f"{name} failed: {error or type(error).__name__}") from error
    raise ServiceEndedError(f"{name} ended without being told to")
