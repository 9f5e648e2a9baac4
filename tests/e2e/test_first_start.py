"""A newcomer's first start and the next one, with the private Postgres (issue: what a newcomer does)."""

import asyncio
import os
import re
import signal
from pathlib import Path

import psutil

from monitord_client import Client, Monitor, MonitorStatus
from tests.e2e.conftest import FAST
from tests.e2e.watching import DOWN, NOT_RUNNING, UP, assert_accounted_for, becomes, is_gap, log_of
from tests.support.process import Monitorctl, Monitord, monitord, run_monitord, until
from tests.support.targets import unused_port

EXAMPLES = Path(__file__).parents[2] / "examples" / "monitors.yaml"


def examples(folder: Path, metrics_port: int, demo_port: int) -> Path:
    """Copy the examples, with this test's ports, and checks that follow each other faster."""
    text = EXAMPLES.read_text()
    for port, replaced in ((9464, metrics_port), (9465, demo_port), (9466, unused_port())):
        assert str(port) in text
        text = text.replace(f":{port}/", f":{replaced}/")
    path = folder / "monitors.yaml"
    # A check of the slow one needs its time; the interval bounds it.
    parts = text.split("\n\n")
    faster = [re.sub(r"interval: \d+s", f"interval: {2 if 'slow' in part else 1}s", part) for part in parts]
    path.write_text("\n\n".join(faster))
    return path


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def postgres_of(process: Monitord) -> int:
    return int((process.state / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def is_running(pid: int) -> bool:
    """Return whether a process does anything; one whose parent was killed may wait to be reaped by someone else."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def by_name(client: Client) -> dict[str, Monitor]:
    return {monitor.name: monitor async for monitor in client.list_monitors()}


async def test_a_newcomer_sees_verdicts_and_finds_everything_again(folder: Path) -> None:
    metrics_port, demo_port = unused_port(), unused_port()
    arguments = (
        "run",
        "--demo",
        "--demo-port",
        str(demo_port),
        "--apply",
        str(examples(folder, metrics_port, demo_port)),
    )
    settings = {**FAST, "MONITORD_METRICS_PORT": str(metrics_port), "MONITORD_CONSOLE": "lines"}

    async with monitord(folder, *arguments, settings=settings, real=True) as first:
        assert first.shown_key == first.key
        assert mode_of(first.state / "admin.key") == 0o600
        # Run by root, Postgres' own user has to pass, and may do no more.
        assert mode_of(first.state) == (0o711 if os.geteuid() == 0 else 0o700)
        assert first.web.endswith(f":{metrics_port}")
        commands = re.findall(r"^  \S*monitorctl (.+)$", first.stdout, re.MULTILINE)
        assert len(commands) == 3
        for command in commands:
            assert command.startswith(f"--address {first.address} ")
        postgres = postgres_of(first)

        async with first.client() as client:
            monitors = await by_name(client)
            wanted = {
                "a page that works": UP,
                "a page that is slow": MonitorStatus.MONITOR_STATUS_DEGRADED,
                "a page that is down": DOWN,
                "monitord is ready": UP,
                "monitord counts its checks": UP,
            }
            before = {name: await becomes(client, monitors[name].id, status) for name, status in wanted.items()}
        ctl = Monitorctl(folder, first.address, first.key)
        listed, tested = await asyncio.gather(ctl.ok(*commands[0].split()), ctl.ok(*commands[2].split()))
        assert "a page that is slow" in listed
        assert "200" in tested
        assert await first.stop(signal.SIGINT) == 0
        for word in ("✓ up", "~ degraded", "✗ down", "connect.refused", "PENDING → UP"):
            assert word in first.stdout
    assert not is_running(postgres)

    async with monitord(folder, *arguments, settings=settings, name="2", real=True) as second:
        assert second.shown_key is None
        assert second.key == first.key
        async with second.client() as client:
            assert (await by_name(client)).keys() == monitors.keys()

            async def gaps() -> bool:
                logs = [await log_of(client, monitor) for monitor in monitors.values()]
                return all(any(is_gap(row) and NOT_RUNNING in row.message for row in log) for log in logs)

            await until(gaps, "a gap of each for the time away")
            for name in ("a page that works", "a page that is down"):
                newest = before[name].last_check.sequence

                async def goes_on(name: str = name, newest: int = newest) -> bool:
                    return (await by_name(client))[name].last_check.sequence > newest + 1

                await until(goes_on, f"new rows of {name}")
                now = (await by_name(client))[name]
                assert (now.status, now.status_time) == (before[name].status, before[name].status_time), name
                assert_accounted_for(await log_of(client, now), now)


async def test_a_state_folder_is_one_monitords_until_that_is_gone(folder: Path) -> None:
    interrupted = Monitord(folder, name="0")
    try:
        await interrupted.said("Creating the private database")
        assert await interrupted.stop(signal.SIGTERM) == 0, "a start can be told to stop"
        assert interrupted.stdout == ""
        interrupted.assert_no_bug_shows()
    finally:
        interrupted.process.kill()
        interrupted.process.wait()

    async with monitord(folder) as first:
        assert first.shown_key == first.key, "what was begun did no harm"
        answer = await run_monitord(folder, "run", settings=first.settings)
        assert answer.status == 1
        assert answer.stdout == ""
        (sentence,) = answer.stderr.splitlines()
        assert sentence.startswith("monitord: ")
        assert str(first.state) in sentence
        assert (await first.get("/readyz"))[0] == 200

        # A command that needs the database uses that of the monitord that runs.
        answer = await run_monitord(folder, "set-password", "admin@localhost", settings=first.settings, stdin="x" * 12)
        assert (answer.status, "is set" in answer.stderr) == (0, True), answer
        assert (await first.get("/readyz"))[0] == 200

        # Killed, it leaves no Postgres that stands in the way of the next start.
        postgres = postgres_of(first)
        first.process.kill()
        assert await first.ended() == -signal.SIGKILL
    async with monitord(folder, name="2") as second:
        assert second.shown_key is None
        assert not is_running(postgres) or postgres_of(second) == postgres
        async with second.client() as client:
            assert (await client.get_user()).email == "admin@localhost"


async def test_whom_to_tell_can_stand_in_the_file_of_the_first_start(folder: Path) -> None:
    path = folder / "alerts.yaml"
    path.write_text(
        f"""
contacts:
  - name: ann
    email: {{address: ann@example.org}}
    default_settings: {{}}
  - name: hook
    webhook: {{url: "http://127.0.0.1:{unused_port()}/", signing_key: "env:SIGNING_KEY"}}
monitors:
  - name: nothing there
    http: {{url: "http://127.0.0.1:{unused_port()}/"}}
    alerts: [{{contact: hook, delay: 60s}}]
"""
    )
    arguments = ("run", "--apply", str(path))
    state = {"MONITORD_STATE_DIR": str(folder / "state")}
    refused = await run_monitord(folder, *arguments, settings={**FAST, **state, "MONITORD_PORT": "0"})
    assert refused.status != 0
    assert "contacts[1]: the environment has no SIGNING_KEY" in refused.stderr + refused.stdout
    assert "Unclosed" not in refused.stderr
    # Nothing has begun: with what was missing, this is the first start.
    async with monitord(folder, *arguments, settings={**FAST, **state, "SIGNING_KEY": "k3y"}) as process:
        ctl = Monitorctl(folder, process.address, process.key)
        told = (await ctl.ok("alert", "configs")).splitlines()[1:]
        assert [line.split()[2:4] for line in told] == [["ann", "down,"], ["hook", "down,"]]
        assert "k3y" not in await ctl.ok("contact", "list", "-o", "json")
