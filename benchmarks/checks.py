"""What a stored check costs, how many fit into a second, how late they are, and what a monitor weighs."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.certificates import make_certificates
from benchmarks.daemon import Daemon, daemon
from benchmarks.processes import target
from benchmarks.progress import say
from benchmarks.report import Figure

_LATENESS = """
    SELECT count(*) AS rows,
           count(*) FILTER (WHERE verdict = 1) AS up,
           percentile_cont(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (
               ORDER BY extract(epoch FROM checked_at - scheduled_at) * 1000) AS lateness_ms
    FROM monitor_logs WHERE trigger = 1 AND checked_at >= $1 AND checked_at < $2
"""
_GAPS = "SELECT count(*) FROM monitor_logs WHERE trigger = 4 AND checked_at >= $1 AND checked_at < $2"


@asynccontextmanager
async def bench(
    name: str, *, tls: bool = False, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Daemon, str]]:
    """Start a target and a monitord for one scenario; yield the daemon and the target's URL."""
    with tempfile.TemporaryDirectory(prefix=f"monitord-bench-{name}-") as folder:
        Path(folder).chmod(0o755)  # as root, Postgres runs as another user and must get through
        chosen = dict(settings or {})
        certificate = key = None
        if tls:
            certificate, key, authority = make_certificates(Path(folder))
            chosen["MONITORD_PROBE_CA_FILE"] = str(authority)
        with target(certificate, key) as port:
            async with daemon(Path(folder), chosen) as running:
                yield running, f"{'https' if tls else 'http'}://127.0.0.1:{port}/"


class Window:
    """One measured stretch of time."""

    def __init__(self, running: Daemon) -> None:
        self._running = running

    async def measure(self, seconds: float) -> dict[str, float]:
        """Let the daemon work for that long, then return what it did and used per stored check."""
        running = self._running
        start, monitord, postgres = datetime.now(UTC), running.monitord(), running.postgres()
        await asyncio.sleep(seconds)
        end, monitord, postgres = datetime.now(UTC), running.monitord() - monitord, running.postgres() - postgres
        await asyncio.sleep(1.5)  # until the last rows are stored
        row = await running.database.fetchrow(_LATENESS, start, end)
        gaps = await running.database.fetchval(_GAPS, start, end)
        assert row is not None
        rows, elapsed = row["rows"], (end - start).total_seconds()
        if rows == 0:
            raise RuntimeError("no check was stored: see monitord.log in the scenario's folder")
        p50, p99, worst = row["lateness_ms"]
        return {
            "rate": rows / elapsed,
            "cpu": monitord.cpu_s * 1000 / rows,
            "postgres": postgres.cpu_s * 1000 / rows,
            "busy": 100 * monitord.cpu_s / elapsed,
            "p50": p50,
            "p99": p99,
            "max": worst,
            "up": 100 * row["up"] / rows,
            "gaps": float(gaps),
        }


_COLUMNS = {
    "rate": ("checks stored", "1/s"),
    "cpu": ("CPU per stored check, monitord", "ms"),
    "postgres": ("CPU per stored check, Postgres", "ms"),
    "busy": ("core in use by monitord", "%"),
    "p50": ("lateness p50", "ms"),
    "p99": ("lateness p99", "ms"),
    "max": ("lateness max", "ms"),
    "up": ("verdict UP", "%"),
    "gaps": ("gap rows", ""),
}


def _figures(scenario: str, windows: list[dict[str, float]], asked: dict[str, str]) -> list[Figure]:
    return [
        Figure(scenario, what, unit, [window[key] for window in windows], asked.get(key, ""))
        for key, (what, unit) in _COLUMNS.items()
    ]


async def steady(count: int, interval_s: int, *, tls: bool, windows: int, seconds: float) -> list[Figure]:
    """Run ``count`` monitors at a fixed interval; also weigh them."""
    name = f"{'HTTPS' if tls else 'HTTP'}, {count:,} monitors every {interval_s} s"
    async with bench("steady", tls=tls) as (running, url):
        before = running.monitord().rss
        say(f"{name}: creating")
        await running.resize(count, interval_s, url)
        await asyncio.sleep(min(interval_s, 60) + 2)
        measured = []
        for number in range(windows):
            say(f"{name}: window {number + 1} of {windows}")
            measured.append(await Window(running).measure(seconds))
        rss = running.monitord().rss
    asked = {"p99": "< 100"}
    if count / interval_s == 1000 and not tls:
        asked["cpu"] = "<= 0.16"
    weight = Figure(name, "resident memory per monitor", "KB", [(rss - before) / count / 1000], "<= 10")
    return [*_figures(name, measured, asked), weight]


async def highest_rate(*, tls: bool, seconds: float, start: int, step: int, limit: int) -> list[Figure]:
    """Add monitors at 1 s until p99 lateness reaches 100 ms or a slot is missed; report the last good rate."""
    name = f"{'HTTPS' if tls else 'HTTP'}, highest rate with p99 lateness < 100 ms"
    best: list[dict[str, float]] = []
    async with bench("rate", tls=tls) as (running, url):
        for count in range(start, limit + 1, step):
            say(f"{name}: {count:,} checks/s")
            await running.resize(count, 1, url)
            await asyncio.sleep(4)
            windows = [await Window(running).measure(seconds) for _ in range(2)]
            if any(w["p99"] >= 100 or w["gaps"] > 0 or w["up"] < 99.9 for w in windows):
                break
            best = windows
    if not best:
        return []
    return _figures(name, best, {"rate": ">= 8,000"} if not tls else {"cpu": "<= 0.35"})
