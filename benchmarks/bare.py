"""The floor: checks with nothing around them. A task per monitor, asyncio's streams of the loop, no parsing, no store.

What monitord costs beside this, in one run, says more than either figure on a machine that is never the same twice.
Run as ``python -m benchmarks.bare PORT COUNT SECONDS``; prints checks made and CPU seconds used.
"""

import asyncio
import sys
import time
from typing import cast

import uvloop

from benchmarks.processes import MEASURED, on_core, target
from benchmarks.progress import say
from benchmarks.report import Figure

_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class _Exchange(asyncio.Protocol):
    def __init__(self, done: asyncio.Future[None]) -> None:
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(_REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


async def _check_each_second(port: int, phase: float, end: float, counted: list[int]) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() + phase
    while due < end:
        await asyncio.sleep(due - loop.time())
        done: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(lambda done=done: _Exchange(done), "127.0.0.1", port)  # type: ignore[misc]
        await done
        counted[0] += 1
        due += 1


async def _checks(port: int, count: int, seconds: float) -> None:
    counted, began = [0], time.process_time()
    end = asyncio.get_running_loop().time() + seconds
    await asyncio.gather(*(_check_each_second(port, n / count, end, counted) for n in range(count)))
    sys.stdout.write(f"{counted[0]} {time.process_time() - began}\n")


async def bare(count: int, windows: int, seconds: float) -> list[Figure]:
    """Measure the floor at ``count`` checks a second."""
    name = f"the floor: bare tasks and sockets, {count:,} HTTP checks/s, nothing stored"
    costs, rates = [], []
    with target() as port:
        for number in range(windows):
            say(f"{name}: window {number + 1} of {windows}")
            command = [sys.executable, "-m", "benchmarks.bare", str(port), str(count), str(seconds)]
            process = await asyncio.create_subprocess_exec(*on_core(MEASURED, command), stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
            checks, cpu_s = map(float, out.split())
            costs.append(1000 * cpu_s / checks)
            rates.append(checks / seconds)
    return [Figure(name, "checks made", "1/s", rates), Figure(name, "CPU per check", "ms", costs)]


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_checks(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
