"""Measures monitord as a process and prints a table: ``make bench``, or ``make bench ARGS="rate --seconds 20"``."""

import argparse
import asyncio
import gc
from collections.abc import Awaitable, Callable

from benchmarks.alerts import alerts
from benchmarks.api import api
from benchmarks.bare import bare
from benchmarks.checks import highest_rate, steady
from benchmarks.edge import edge
from benchmarks.hostile import hostile
from benchmarks.kinds import kinds
from benchmarks.peers import installed, peers
from benchmarks.progress import say
from benchmarks.proof import logins, proof
from benchmarks.report import Figure, show

Scenario = Callable[[argparse.Namespace], Awaitable[list[Figure]]]


async def _http(o: argparse.Namespace) -> list[Figure]:
    return await steady(1000, 1, tls=False, windows=o.windows, seconds=o.seconds)


async def _https(o: argparse.Namespace) -> list[Figure]:
    return await steady(1000, 1, tls=True, windows=o.windows, seconds=o.seconds)


async def _ten_thousand(o: argparse.Namespace) -> list[Figure]:
    return await steady(10_000, 10, tls=False, windows=o.windows, seconds=o.seconds)


async def _hundred_thousand(o: argparse.Namespace) -> list[Figure]:
    return await steady(100_000, 60, tls=False, windows=o.windows, seconds=o.seconds)


async def _rate(o: argparse.Namespace) -> list[Figure]:
    return await highest_rate(tls=False, seconds=o.seconds, start=3000, step=500, limit=20_000)


async def _tls_rate(o: argparse.Namespace) -> list[Figure]:
    return await highest_rate(tls=True, seconds=o.seconds, start=500, step=250, limit=6000)


async def _api(o: argparse.Namespace) -> list[Figure]:
    return await api(o.seconds, o.windows)


async def _alerts(o: argparse.Namespace) -> list[Figure]:
    return await alerts(100, o.windows, o.seconds)


async def _hostile(o: argparse.Namespace) -> list[Figure]:
    return await hostile(o.windows, o.seconds)


async def _kinds(o: argparse.Namespace) -> list[Figure]:
    return await kinds(o.windows, o.seconds)


async def _peers(o: argparse.Namespace) -> list[Figure]:
    if not installed():
        say("prometheus and prometheus-blackbox-exporter are not installed (Debian has both): left out")
        return []
    # Both on one core: at 1,000/s they would need more than that.
    theirs = await peers(300, o.windows, o.seconds)
    ours = await steady(300, 1, tls=False, windows=o.windows, seconds=o.seconds)
    return theirs + ours


async def _bare(o: argparse.Namespace) -> list[Figure]:
    return [*await bare(1000, o.windows, o.seconds), *await bare(4000, o.windows, o.seconds)]


async def _proof(o: argparse.Namespace) -> list[Figure]:
    return [*await edge(o.windows), *await proof(o.windows)]


async def _logins(o: argparse.Namespace) -> list[Figure]:
    return await logins(o.windows, o.seconds)


SCENARIOS: dict[str, tuple[Scenario, str]] = {
    "http": (_http, "1,000 HTTP checks/s"),
    "bare": (_bare, "the floor: the same checks with nothing around them"),
    "https": (_https, "1,000 HTTPS checks/s with full, verified handshakes"),
    "peers": (_peers, "blackbox_exporter with Prometheus, and monitord, at 300 checks/s"),
    "10k": (_ten_thousand, "10,000 monitors every 10 s"),
    "100k": (_hundred_thousand, "100,000 monitors every 60 s"),
    "rate": (_rate, "the highest HTTP rate with p99 lateness under 100 ms"),
    "tls-rate": (_tls_rate, "the same with HTTPS"),
    "kinds": (_kinds, "a check of each kind, alone and all of them mixed"),
    "alerts": (_alerts, "100 changes of status a second, each told by mail"),
    "hostile": (_hostile, "10,000 monitors, alone and beside targets of the worst manners"),
    "proof": (_proof, "what it costs GetMonitor to know who calls"),
    "logins": (_logins, "checks beside a thousand wrong logins a second"),
    "api": (_api, "unary calls and tails while 1,000 checks/s run"),
}


def main() -> None:
    """Run the chosen scenarios one after the other."""
    listing = "\n".join(f"  {name:9} {text}" for name, (_, text) in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"scenarios (default: all, about 15 minutes):\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS], help="what to measure")
    parser.add_argument("--seconds", type=float, default=10, help="length of one window (default 10)")
    parser.add_argument("--windows", type=int, default=3, help="windows per scenario; the table has their spread")
    options = parser.parse_args()
    gc.disable()  # the measuring process itself should not pause in the middle of a window
    figures: list[Figure] = []
    for name in options.scenario or SCENARIOS:
        say(SCENARIOS[name][1])
        figures += asyncio.run(SCENARIOS[name][0](options))
    show(figures)


if __name__ == "__main__":
    main()
