"""What a hostile target must not cost: time beyond the timeout, memory, descriptors."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

MAX_LATE_S = 0.5
MAX_GROWTH = 8 * 1024 * 1024


@contextlib.asynccontextmanager
async def bounded(timeout_s: float) -> AsyncIterator[None]:
    """Run a check, its server included, and hold it to what any target may cost."""
    process = psutil.Process()
    gc.collect()
    descriptors, memory, began_at = _descriptors(), process.memory_info().rss, time.monotonic()
    yield
    took_s = time.monotonic() - began_at
    # Transports are closed by a later turn of the loop.
    for _ in range(100):
        if _descriptors() <= descriptors:
            break
        await asyncio.sleep(0)
        gc.collect()
    assert took_s < timeout_s + MAX_LATE_S
    assert process.memory_info().rss - memory < MAX_GROWTH
    assert _descriptors() <= descriptors


def _descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))
