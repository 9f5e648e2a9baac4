"""How late the event loop is: the first thing to look at when checks are."""

import asyncio
from collections.abc import Callable

PERIOD_S = 0.25


async def sample_loop_lag(record: Callable[[float], None]) -> None:
    """Tell ``record`` four times a second how many seconds late a timer fired. Runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + PERIOD_S
        await asyncio.sleep(PERIOD_S)
        record(max(0.0, loop.time() - due))
