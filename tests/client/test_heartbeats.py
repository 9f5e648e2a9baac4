"""The words of jobs: the client's calls, and monitorctl."""

from pathlib import Path

import pytest

from monitord_client import Client, HeartbeatCheck, Monitor, PingKind
from tests.client.conftest import Ctl
from tests.client.fake_monitord import FakeMonitord


@pytest.fixture
def job(server: FakeMonitord) -> Monitor:
    return server.put(Monitor(name="backup", heartbeat=HeartbeatCheck()))


async def test_words_are_told_and_listed(server: FakeMonitord, client: Client, job: Monitor) -> None:
    server.page_size = 2
    await client.ping(job.id)
    await client.ping(job.id, PingKind.PING_KIND_START)
    await client.ping(job.id, exit_code=3, body=b"disk full")
    told = [(PingKind.Name(word.kind), word.body) async for word in client.list_pings(job.id)]
    assert told == [("PING_KIND_FAIL", b"disk full"), ("PING_KIND_START", b""), ("PING_KIND_SUCCESS", b"")]


async def test_monitorctl_tells_what_the_job_did(server: FakeMonitord, ctl: Ctl, job: Monitor, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 20_000)
    for line in ("--start", "--exit-code 0", "--exit-code 9 -d @log", "--log -d hm", "--fail"):
        assert (await ctl("ping", "backup", *line.split())).exit_code == 0
    assert (await ctl("ping", str(job.id), "-d", "@-", stdin="from a pipe")).exit_code == 0
    words: list[object] = server.words[job.id]
    assert [word.kind for word in words] == [2, 1, 3, 4, 3, 1]  # type: ignore[attr-defined]
    assert len(words[2].body) == 10 * 1024  # type: ignore[attr-defined]
    assert words[5].body == b"from a pipe"  # type: ignore[attr-defined]
    shown = (await ctl("pings", "backup", "-n", "3")).stdout.splitlines()
    assert [line.split()[1] for line in shown[1:]] == ["success", "fail", "log"]
    assert shown[1].endswith("from a pipe")


async def test_contradictions_and_strangers_are_told(ctl: Ctl, job: Monitor) -> None:
    both = await ctl("ping", "backup", "--start", "--fail")
    assert (both.exit_code, "choose one of --start, --fail, --log and --exit-code" in both.stderr) == (2, True)
    assert (await ctl("ping", "nobody")).exit_code == 3
    missing = await ctl("ping", "backup", "-d", "@nothing")
    assert "cannot read nothing" in missing.stderr
