"""What the API costs while 1,000 checks/s run: unary calls, and tails to many readers."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence

from benchmarks.checks import bench
from benchmarks.daemon import Daemon
from benchmarks.processes import OTHER, on_core
from benchmarks.progress import say
from benchmarks.report import Figure
from monitord_client import Client
from monitord_client.tail import Row


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def _reader(address: str, key: str, job: str, argument: float) -> list[float]:
    process = await asyncio.create_subprocess_exec(
        *on_core(OTHER, [sys.executable, "-m", "benchmarks.api", address, job, str(argument)]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(key.encode()), 300)
    values: list[float] = json.loads(out)
    return values


async def api(seconds: float, windows: int) -> list[Figure]:
    """Measure GetMonitor, then tails, while 1,000 checks/s run; then tails of 100 rows/s."""
    figures = []
    async with bench("api") as (running, url):
        await running.resize(1000, 1, url)
        await asyncio.sleep(4)
        for callers in (1, 4):
            figures += await _calls(running, callers, seconds, windows)
        for readers in (1, 10, 100):
            figures += await _tail(running, 1000, readers, seconds)
        await running.resize(1000, 10, url)
        await asyncio.sleep(4)
        for readers in (10, 100):
            figures += await _tail(running, 100, readers, seconds)
    return figures


async def _calls(running: Daemon, callers: int, seconds: float, windows: int) -> list[Figure]:
    rates, p50s, p99s = [], [], []
    for number in range(windows):
        say(f"GetMonitor while 1,000 checks/s run, {callers} at once: window {number + 1} of {windows}")
        took = await _reader(running.address, running.key, f"unary:{callers}", seconds)
        rates.append(len(took) / seconds)
        p50s.append(1000 * statistics.median(took))
        p99s.append(1000 * percentile(took, 0.99))
    name = f"GetMonitor, {callers} at once, back to back, 1,000 checks/s running"
    return [
        Figure(name, "calls", "1/s", rates),
        Figure(name, "p50", "ms", p50s),
        Figure(name, "p99", "ms", p99s, "< 10"),
    ]


async def _tail(running: Daemon, rate: int, readers: int, seconds: float) -> list[Figure]:
    say(f"tails of {rate:,} rows/s: {readers} readers")
    before = running.monitord()
    delays = await _reader(running.address, running.key, f"tail:{readers}", seconds)
    used = running.monitord() - before
    name = f"tail of {rate:,} rows/s to {readers} readers in one process"
    return [
        Figure(name, "rows delivered", "1/s", [len(delays) / seconds]),
        Figure(name, "check ended to row received, p50", "ms", [1000 * statistics.median(delays)]),
        Figure(name, "check ended to row received, p99", "ms", [1000 * percentile(delays, 0.99)], "<= 300"),
        Figure(name, "core in use by monitord", "%", [100 * used.cpu_s / seconds]),
    ]


async def _unary(address: str, key: str, callers: int, seconds: float) -> list[float]:
    took: list[float] = []
    deadline = time.perf_counter() + seconds

    async with Client(address, api_key=key) as client:
        ids = [monitor.id async for monitor in client.list_monitors(page_size=1000)]

        async def caller(offset: int) -> None:
            n = offset
            while (began := time.perf_counter()) < deadline:
                await client.get_monitor(ids[n % len(ids)])
                took.append(time.perf_counter() - began)
                n += 1

        await asyncio.gather(*(caller(offset) for offset in range(callers)))
    return took


async def _tails(address: str, key: str, readers: int, seconds: float) -> list[float]:
    delays: list[float] = []

    async def reader() -> None:
        async with Client(address, api_key=key) as client:
            async for event in client.tail():
                if not isinstance(event, Row):
                    continue
                log = event.check_log
                ended = log.start_time.seconds + log.start_time.nanos / 1e9 + log.response_time_ms / 1000
                delays.append(time.time() - ended)

    tasks = [asyncio.create_task(reader()) for _ in range(readers)]
    await asyncio.sleep(1)
    delays.clear()
    await asyncio.sleep(seconds)
    result = list(delays)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return result


async def _job(address: str, job: str, seconds: float) -> None:
    key = sys.stdin.read()
    name, _, count = job.partition(":")
    work = _tails if name == "tail" else _unary
    values = await work(address, key, int(count), seconds)
    sys.stdout.write(json.dumps([round(value, 6) for value in values]))


if __name__ == "__main__":
    asyncio.run(_job(sys.argv[1], sys.argv[2], float(sys.argv[3])))
