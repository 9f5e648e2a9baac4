import asyncio
import os
import threading

import pytest

from monitord.console.lines import Lines
from monitord.console.offload import Offload
from tests.unit.console.samples import Commit, assignment, entry


async def test_what_fails_in_the_thread_fails_for_the_caller_and_the_thread_goes_on():
    offload = Offload("test")
    names: list[str] = []

    def fail() -> None:
        raise BrokenPipeError("gone")

    with pytest.raises(BrokenPipeError, match="gone"):
        await offload(fail)
    await offload(lambda: names.append(threading.current_thread().name))
    assert names == ["test"]
    offload.close()


async def test_a_pipe_that_nobody_reads_does_not_stop_the_loop():
    """I11: with the pipe full, commits are still taken and the loop still turns."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="utf-8") as out:
        lines = Lines(out, colour=False)
        lines.adopt(assignment(1, "x" * 200))
        task = asyncio.create_task(lines.run())
        # More than any pipe holds, so that the thread is stuck in its write.
        lines.committed(Commit(tuple(entry(1, message="y" * 1_000) for _ in range(200))))
        written = await asyncio.to_thread(os.read, reader, 1)
        lines.committed(Commit(tuple(entry(1) for _ in range(1_000))))
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        while not (written := written + os.read(reader, 1 << 16)).endswith(b"y\n"):
            pass
    os.close(reader)
    assert written.count(b"\n") == 200
