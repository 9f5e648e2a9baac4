"""What a check of each kind costs, each kind alone and then all of them mixed."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.certificates import make_certificates
from benchmarks.checks import Window
from benchmarks.daemon import Daemon, daemon
from benchmarks.processes import OTHER, piped, target
from benchmarks.progress import say
from benchmarks.report import Figure
from monitord_client.v1 import connection_pb2
from monitord_client.v1.monitor_pb2 import Monitor

_ALONE = 200
_MIXED = 1_000
_SETTLE_S = 3

_DURATION = """
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY response_time) FROM monitor_logs
    WHERE trigger = 1 AND checked_at > now() - interval '10 seconds'
"""


def _makers(ports: dict[str, int], http: int) -> dict[str, Callable[[Monitor], None]]:
    """Return what makes a monitor one of each kind."""

    def service(kind: str, **fields: object) -> Callable[[Monitor], None]:
        def make(monitor: Monitor) -> None:
            check = getattr(monitor, kind)
            check.host, check.port = "127.0.0.1", ports[kind]
            for field, value in fields.items():
                setattr(check, field, value)

        return make

    def make_http(monitor: Monitor) -> None:
        monitor.http.url = f"http://127.0.0.1:{http}/"

    def make_icmp(monitor: Monitor) -> None:
        monitor.icmp.host, monitor.icmp.count = "127.0.0.1", 1

    def make_dns(monitor: Monitor) -> None:
        monitor.dns.name, monitor.dns.server = "example.com", f"127.0.0.1:{ports['dns']}"
        monitor.dns.expected_answers.append("192.0.2.1")

    def make_websocket(monitor: Monitor) -> None:
        monitor.websocket.url = f"ws://127.0.0.1:{ports['websocket']}/socket"

    return {
        "http": make_http,
        "tcp": service("tcp", expect="^220"),
        "tls": service("tls"),
        "icmp": make_icmp,
        "dns": make_dns,
        "grpc": service("grpc", security=connection_pb2.SECURITY_PLAIN),
        "websocket": make_websocket,
        "postgres": service("postgres"),
        "mysql": service("mysql"),
        "redis": service("redis"),
    }


@contextmanager
def _targets(certificate: Path, key: Path) -> Iterator[dict[str, int]]:
    command = [sys.executable, "-m", "benchmarks.kind_targets", str(certificate), str(key)]
    with piped(command, OTHER) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())


async def kinds(windows: int, seconds: float) -> list[Figure]:
    """Measure every kind that dials, alone at 200 checks/s; then all of them at 1,000 checks/s."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="monitord-bench-kinds-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, Postgres runs as another user and must get through
        certificate, key, authority = make_certificates(folder)
        settings = {"MONITORD_PROBE_CA_FILE": str(authority)}
        with _targets(certificate, key) as ports, target() as http:
            makers = _makers(ports, http)
            async with daemon(folder, settings) as running:
                for kind, make in makers.items():
                    figures += await _measured(running, kind, [make] * _ALONE, windows, seconds)
                mixed = [list(makers.values())[number % len(makers)] for number in range(_MIXED)]
                figures += await _measured(running, "all kinds, mixed", mixed, windows, seconds)
    return figures


async def _measured(
    running: Daemon, what: str, makers: list[Callable[[Monitor], None]], windows: int, seconds: float
) -> list[Figure]:
    name = f"{what}, {len(makers):,} checks/s"
    say(name)
    wanted = []
    for number, make in enumerate(makers):
        monitor = Monitor(name=f"{what} {number}")
        monitor.interval.FromSeconds(1)
        monitor.timeout.FromSeconds(1)
        make(monitor)
        wanted.append(monitor)
    await running.client.apply_monitors(wanted, prune=True, timeout_s=120)
    await asyncio.sleep(_SETTLE_S)
    measured, durations = [], []
    for _ in range(windows):
        measured.append(await Window(running).measure(seconds))
        durations.append(float(await running.database.fetchval(_DURATION)))
    return [
        Figure(name, "CPU per stored check, monitord", "ms", [window["cpu"] for window in measured]),
        Figure(name, "response time p50", "ms", durations),
        Figure(name, "lateness p99", "ms", [window["p99"] for window in measured], "< 100"),
        Figure(name, "verdict UP", "%", [window["up"] for window in measured]),
    ]
