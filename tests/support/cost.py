"""What something costs: memory at its peak, and descriptors that do not come back."""

import gc
import os
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_DESCRIPTORS = "/proc/self/fd"


def descriptors() -> int:
    """How many file descriptors are open; 0 where that can't be told."""
    return len(os.listdir(_DESCRIPTORS)) if os.path.isdir(_DESCRIPTORS) else 0  # noqa: PTH112, PTH208


@asynccontextmanager
async def bounded(peak_bytes: int = 8 * 1024 * 1024) -> AsyncIterator[None]:
    """Fail when the block needs more memory than that, or leaves descriptors open."""
    gc.collect()
    before = descriptors()
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    gc.collect()
    assert peak < peak_bytes
    # The servers of tests live in the same process: the end that they hold of the last connection may still be open.
    assert descriptors() <= before + 1
