"""What it costs to know who calls, and what guessing passwords does to checks."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import grpc

from benchmarks.checks import Window, bench
from benchmarks.daemon import Daemon, daemon
from benchmarks.processes import OTHER, on_core
from benchmarks.progress import say
from benchmarks.report import Figure
from monitord_client.v1 import auth_pb2, auth_service_pb2_grpc, monitor_pb2, organisation_service_pb2
from monitord_client.v1 import monitor_service_pb2 as pb
from monitord_client.v1.auth_service_pb2 import CreateApiKeyRequest, LoginRequest
from monitord_client.v1.monitor_service_pb2_grpc import MonitorServiceStub
from monitord_client.v1.organisation_service_pb2_grpc import OrganisationServiceStub

CALLS = 1000
PASSWORD = "correct horse battery"
_GUESSES_S = 1000
_MONITORS = 300
Metadata = tuple[tuple[str, str], ...]


async def proof(windows: int) -> list[Figure]:
    """Compare GetMonitor with each kind of proof to one that asks for none, call for call in the same run."""
    name = f"GetMonitor, {CALLS:,} calls a window, one after the other"
    async with _pair() as (proven, unproven):
        monitor_id, proofs = await _callers(proven)
        nobody_id, _ = await _callers(unproven)
        costs: dict[str, list[float]] = {what: [] for what in ("no proof", *proofs)}
        for number in range(windows):
            say(f"{name}: window {number + 1} of {windows}")
            costs["no proof"].append(await _cost(unproven, nobody_id, ()))
            for what, metadata in proofs.items():
                costs[what].append(await _cost(proven, monitor_id, metadata))
    figures = [Figure(name, f"CPU per call, {what}", "ms", samples) for what, samples in costs.items()]
    for what in proofs:
        more = [cost - base for cost, base in zip(costs[what], costs["no proof"], strict=True)]
        figures.append(Figure(name, f"more than without proof, {what}", "ms", more, "<= 0.2"))
    return figures


@asynccontextmanager
async def _pair() -> AsyncIterator[tuple[Daemon, Daemon]]:
    with tempfile.TemporaryDirectory(prefix="monitord-bench-proof-") as folder:
        Path(folder).chmod(0o755)  # as root, Postgres runs as another user and must get through
        for name in ("proven", "unproven"):
            (Path(folder) / name).mkdir()
        settings = {"MONITORD_ADMIN_PASSWORD": PASSWORD}
        async with (
            daemon(Path(folder) / "proven", settings) as proven,
            daemon(Path(folder) / "unproven", settings, module="benchmarks.unproven") as unproven,
        ):
            yield proven, unproven


async def _callers(running: Daemon) -> tuple[int, dict[str, Metadata]]:
    """Make a monitor, and return it with what proves its owner in each way; all of them see it."""
    async with grpc.aio.insecure_channel(running.address) as channel:
        auth = auth_service_pb2_grpc.AuthServiceStub(channel)
        login = LoginRequest(email="admin@localhost", password=PASSWORD)
        session = _bearer((await auth.Login(login)).tokens.access_token)
        organisations = OrganisationServiceStub(channel)
        made = await organisations.CreateOrganisation(
            organisation_service_pb2.CreateOrganisationRequest(display_name="bench"), metadata=session
        )
        there = (*session, ("x-monitord-organisation", str(made.organisation.id)))
        wish = monitor_pb2.Monitor(name="bench", labels={"a": "b"}, active=False)
        wish.http.url = "https://example.org/"
        request = pb.CreateMonitorRequest(monitor=wish)
        monitor = (await MonitorServiceStub(channel).CreateMonitor(request, metadata=there)).monitor
        key = CreateApiKeyRequest(display_name="bench", scope=auth_pb2.SCOPE_READ)
        limited = CreateApiKeyRequest(
            display_name="limited", scope=key.scope, labels={"a": "b"}, allowed_networks=["127.0.0.0/8"]
        )
        return monitor.id, {
            "API key": _bearer((await auth.CreateApiKey(key, metadata=there)).secret),
            "session in an organisation": there,
            "API key for some monitors and networks": _bearer(
                (await auth.CreateApiKey(limited, metadata=there)).secret
            ),
        }


def _bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


async def _cost(running: Daemon, monitor_id: int, metadata: Metadata) -> float:
    """Return how many milliseconds of CPU monitord needs for one call."""
    await _job("calls", running.address, {"id": monitor_id, "metadata": metadata, "calls": 200})
    before = running.monitord()
    await _job("calls", running.address, {"id": monitor_id, "metadata": metadata, "calls": CALLS})
    return 1000 * (running.monitord() - before).cpu_s / CALLS


async def logins(windows: int, seconds: float) -> list[Figure]:
    """Measure checks alone, then beside a thousand wrong logins a second: from one network, and as from many."""
    name = f"HTTP, {_MONITORS} checks/s"
    figures = []
    for what, settings in (
        ("from one network", {}),
        ("no limit on their rate, as if from many networks", {"MONITORD_RPC_RATE_UNPROVEN": "0"}),
    ):
        async with bench("logins", settings=settings) as (running, url):
            await running.resize(_MONITORS, 1, url)
            await asyncio.sleep(4)
            alone = [await Window(running).measure(seconds) for _ in range(windows)]
            beside, answered = [], []
            for number in range(windows):
                say(f"{name}, wrong logins {what}: window {number + 1} of {windows}")
                attack = asyncio.create_task(_job("logins", running.address, {"seconds": seconds + 1}))
                await asyncio.sleep(0.5)
                beside.append(await Window(running).measure(seconds))
                answered.append(await attack / (seconds + 1))
        title = f"{name}, wrong logins {what}"
        moved = median(w["p99"] for w in beside) - median(w["p99"] for w in alone)
        figures += [
            Figure(title, "wrong logins answered", "1/s", answered, ">= 1,000"),
            Figure(title, "lateness p99, alone", "ms", [w["p99"] for w in alone]),
            Figure(title, "lateness p99, beside them", "ms", [w["p99"] for w in beside]),
            Figure(title, "lateness p99, how far it moved (medians)", "ms", [moved], "~ 0"),
            Figure(title, "checks stored beside them", "1/s", [w["rate"] for w in beside], str(_MONITORS)),
        ]
    return figures


async def _job(name: str, address: str, wish: dict[str, object]) -> float:
    """Run one of the callers on the other core, and return how many answers it got."""
    process = await asyncio.create_subprocess_exec(
        *on_core(OTHER, [sys.executable, "-m", "benchmarks.proof", name, address]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(json.dumps(wish).encode()), 300)
    return float(out)


async def _calls(address: str, wish: dict[str, object]) -> int:
    request = pb.GetMonitorRequest(id=int(str(wish["id"])))
    metadata = [(key, value) for key, value in wish["metadata"]]  # type: ignore[attr-defined]
    async with grpc.aio.insecure_channel(address) as channel:
        stub = MonitorServiceStub(channel)
        for _ in range(int(str(wish["calls"]))):
            await stub.GetMonitor(request, metadata=metadata)
    return int(str(wish["calls"]))


async def _guess(address: str, wish: dict[str, object]) -> int:
    """Guess at accounts that there are none of, at a fixed rate, whatever the answers; return how many came."""
    answered = 0
    begun, seconds = time.perf_counter(), float(str(wish["seconds"]))
    async with grpc.aio.insecure_channel(address) as channel:
        stub = auth_service_pb2_grpc.AuthServiceStub(channel)

        async def guess(number: int) -> None:
            nonlocal answered
            try:
                await stub.Login(LoginRequest(email=f"n{number}@example.org", password="guess"), timeout=10)
            except grpc.aio.AioRpcError as error:
                answered += error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED)

        async with asyncio.TaskGroup() as group:
            for number in range(int(_GUESSES_S * seconds)):
                group.create_task(guess(number))
                ahead_s = number / _GUESSES_S - (time.perf_counter() - begun)
                if ahead_s > 0.005:
                    await asyncio.sleep(ahead_s)
    return answered


if __name__ == "__main__":
    work = {"calls": _calls, "logins": _guess}[sys.argv[1]]
    sys.stdout.write(str(asyncio.run(work(sys.argv[2], json.loads(sys.stdin.read())))))
