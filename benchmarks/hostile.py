"""What hostile targets do to the lateness of everybody else's checks."""

import asyncio
from statistics import median

from benchmarks.checks import Window, bench
from benchmarks.daemon import Daemon
from benchmarks.hostile_target import PATHS
from benchmarks.processes import script
from benchmarks.progress import say
from benchmarks.report import Figure
from monitord_client.v1 import monitor_pb2

_COUNT = 10_000
_INTERVAL_S = 10
_HOSTILE_INTERVAL_S = 5
_SETTLE_S = 12


async def hostile(windows: int, seconds: float) -> list[Figure]:
    """Measure 10,000 monitors alone, then beside one monitor of each bad manner, in one run."""
    name = f"HTTP, {_COUNT:,} monitors every {_INTERVAL_S} s"
    async with bench("hostile") as (running, url):
        with script("benchmarks.hostile_target") as port:
            say(f"{name}: creating")
            await running.resize(_COUNT, _INTERVAL_S, url)
            await asyncio.sleep(_SETTLE_S)
            alone = await _lateness(running, windows, seconds, f"{name}, alone")
            for path in PATHS:
                await running.client.create_monitor(_hostile(f"http://127.0.0.1:{port}{path}"))
            await asyncio.sleep(_SETTLE_S)
            beside = await _lateness(running, windows, seconds, f"{name}, beside hostile ones")
    moved = median(beside) - median(alone)
    return [
        Figure(name, "lateness p99, alone", "ms", alone),
        Figure(name, f"lateness p99, beside {len(PATHS)} hostile targets", "ms", beside),
        Figure(name, "lateness p99, how far it moved (medians)", "ms", [moved], "< 10"),
    ]


async def _lateness(running: Daemon, windows: int, seconds: float, what: str) -> list[float]:
    found = []
    for number in range(windows):
        say(f"{what}: window {number + 1} of {windows}")
        found.append((await Window(running).measure(seconds))["p99"])
    return found


def _hostile(url: str) -> monitor_pb2.Monitor:
    monitor = monitor_pb2.Monitor(name=f"hostile {url}")
    monitor.interval.FromSeconds(_HOSTILE_INTERVAL_S)
    monitor.timeout.FromSeconds(_HOSTILE_INTERVAL_S)
    monitor.http.url = url
    monitor.http.keyword = "never there"
    return monitor
