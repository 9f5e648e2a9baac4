"""monitorctl against a real monitord, as a process of its own: what it prints, and what its exit codes say."""

import asyncio
import json
from pathlib import Path

import yaml

from monitord_client import Client, http_monitor
from tests.e2e.target import Target
from tests.support.process import Monitorctl, Monitord, run_monitord
from tests.support.targets import unused_port

SECRET = "hunter2-secret-header"


async def test_the_life_of_a_monitor(ctl: Monitorctl, up: Target) -> None:
    created = await ctl.ok(
        "add", "shop", up.url(), "--interval", "1s", "--label", "team=web", "--secret-header", f"X-Token={SECRET}"
    )
    assert created.startswith("+ shop (id ")
    answer = await ctl("add", "shop", up.url())
    assert (answer.status, answer.stdout) == (6, ""), "the name is taken"

    await up.asked()
    assert f"X-Token: {SECRET}" in up.requests[0].head
    (listed,) = json.loads(await ctl.ok("list", "-o", "json", "--label", "team=web"))["monitors"]
    assert (listed["name"], listed["interval"]) == ("shop", "1s")
    shown = json.loads(await ctl.ok("show", "shop", "-o", "json"))
    assert shown["http"]["headers"] == [{"name": "X-Token", "value": "", "secret": True}]

    checked = await ctl("check", "shop")
    assert checked.status == 0
    assert "UP" in checked.stdout
    up.fail()
    checked = await ctl("check", "shop", "-o", "json")
    row = json.loads(checked.stdout)
    assert (checked.status, row["verdict"], row["category"]) == (1, "VERDICT_DOWN", "http.status")

    explained = await ctl.ok("logs", "shop", "--sequence", str(row["sequence"]))
    assert "503" in explained
    found = json.loads(await ctl.ok("logs", "shop", "--verdict", "down", "-o", "json"))["check_logs"]
    assert row["sequence"] in [each["sequence"] for each in found]
    assert json.loads(await ctl.ok("stats", "shop", "-o", "json"))["response_times"]

    assert await ctl.ok("pause", "shop") == "shop: paused\n"
    assert await ctl.ok("resume", "shop") == "shop: checked again\n"
    assert await ctl.ok("rm", "shop") == "- shop\n"
    gone = await ctl("show", "shop")
    assert (gone.status, gone.stdout) == (3, "")
    assert "shop" in gone.stderr


async def test_a_target_is_tested_without_being_stored(ctl: Monitorctl, up: Target) -> None:
    works, closed, policy = await asyncio.gather(
        ctl("test", up.url(), "--secret-header", f"X-Token={SECRET}"),
        ctl("test", f"http://127.0.0.1:{unused_port()}/"),
        ctl("test", "http://169.254.169.254/"),
    )
    assert works.status == 0
    assert "connect" in works.stdout
    assert SECRET not in works.stdout
    assert closed.status == 1
    assert "connect.refused" in closed.stdout
    assert policy.status in (2, 8), "the guard refuses it, and nothing is said of the target"
    assert await ctl.ok("list") == ""


async def test_the_scheme_of_a_target_chooses_the_kind_of_check(ctl: Monitorctl, shared: Monitord, up: Target) -> None:
    place, api = f"127.0.0.1:{up.port}", f"{shared.address}/monitord.v1.MonitorService"
    added = await asyncio.gather(
        ctl.ok("add", "port", f"tcp://{place}", "--set", "expected_latency=900ms", "--interval", "1s"),
        ctl.ok("add", "api", f"grpc://{api}", "--interval", "1s"),
        ctl.ok(
            *(
                "add",
                "cache",
                "redis://127.0.0.1/2",
                "--set",
                "command=LLEN jobs",
                "--secret",
                "password=@-",
                "--paused",
            ),
            stdin=f"{SECRET}\n",
        ),
    )
    assert [text.partition(" (id")[0] for text in added] == ["+ port", "+ api", "+ cache"]
    listed = await ctl.ok("list", "--type", "tcp", "--type", "grpc", "--type", "redis", "--by-name")
    for target in (f"tcp://{place}", f"grpc://{api}", "redis://127.0.0.1:6379/2"):
        assert target in listed
    shown = await ctl.ok("show", "cache")
    assert "LLEN jobs" in shown
    exported = await ctl.ok("export")
    assert SECRET not in shown + exported
    assert (await ctl("apply", "-", stdin=exported)).stdout.count("= ") == 3

    checked = await ctl.ok("check", "api")
    assert "grpc.serving_status" in checked
    assert "expected_latency  900ms" in await ctl.ok("show", "port")
    refused = await ctl("add", "mail", f"tcp://{place}", "--set", "expect=(")
    assert refused.status == 2
    assert "monitor.tcp.expect" in refused.stderr
    closed = await ctl("test", f"postgres://ada@127.0.0.1:{unused_port()}", "--set", "query=SELECT 1")
    assert (closed.status, "connect.refused" in closed.stdout) == (1, True)


async def test_applying_what_was_exported_changes_nothing(ctl: Monitorctl, up: Target, tmp_path: Path) -> None:
    monitors = [
        {"name": "one", "interval": "30s", "labels": {"team": "web"}, "http": {"url": up.url("/one")}},
        {
            "name": "two",
            "failure_threshold": 3,
            "http": {
                "url": up.url("/two"),
                "keyword": "hello",
                "headers": [{"name": "X-Token", "value": SECRET, "secret": True}],
            },
        },
    ]
    file = tmp_path / "monitors.yaml"
    file.write_text(yaml.safe_dump({"monitors": monitors}))
    dry = await ctl("apply", "--dry-run", str(file))
    assert (dry.status, dry.stdout.split("\n")[:2]) == (0, ["+ one", "+ two"])
    assert await ctl.ok("list") == ""
    await ctl.ok("apply", str(file))

    exported = await ctl.ok("export")
    assert SECRET not in exported
    file.write_text(exported)
    again = await ctl("apply", "--prune", str(file))
    assert again.status == 0
    assert "2 unchanged" in again.stderr

    one, _, _ = exported.partition("- name: two")
    changed = await ctl("apply", "--prune", "-", stdin=one.replace("interval: 30s", "interval: 60s"))
    assert changed.status == 0
    assert "~ one (interval)" in changed.stdout
    assert "- two" in changed.stdout

    refused = await ctl("apply", "-", stdin=one.replace("interval: 30s", "interval: 25h"))
    assert (refused.status, refused.stdout) == (2, "")
    assert "interval" in refused.stderr
    await ctl.ok("rm", "one")


async def test_a_tail_prints_rows_as_json_until_nobody_reads(ctl: Monitorctl, client: Client, up: Target) -> None:
    monitor = await client.create_monitor(http_monitor("tailed", up.url(), interval=1))
    await client.check_now(monitor.id)
    process = await ctl.start("tail", "tailed", "--last", "1", "--json")
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            lines = [json.loads(await process.stdout.readline()) for _ in range(3)]
        sequences = [int(line["check_log"]["sequence"]) for line in lines]
        assert sequences == list(range(sequences[0], sequences[0] + 3))
        assert all(line["cursor"] for line in lines)
        process.terminate()
        async with asyncio.timeout(10):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    answer = await ctl("tail", "tailed", "--cursor", "nonsense", "--json")
    assert answer.status == 2
    await client.delete_monitor(monitor.id)


async def test_a_key_may_do_what_its_scope_says(shared: Monitord, ctl: Monitorctl, up: Target, tmp_path: Path) -> None:
    made = json.loads(await ctl.ok("keys", "create", "dashboard", "--scope", "read", "-o", "json"))
    reader = Monitorctl(tmp_path, shared.address, made["secret"])
    assert (await reader("list")).status == 0
    for refused in await asyncio.gather(reader("add", "x", up.url()), reader("keys", "list")):
        assert (refused.status, refused.stdout) == (4, "")

    listed = await ctl.ok("keys", "list", "-o", "json")
    assert made["secret"] not in listed
    await ctl.ok("keys", "revoke", made["api_key"]["id"])
    refused = await reader("list")
    assert refused.status == 4
    assert "MONITORD_API_KEY" in refused.stderr
    assert (await Monitorctl(tmp_path, shared.address, None)("list")).status == 4


async def test_a_password_opens_a_session(shared: Monitord, tmp_path: Path) -> None:
    password = "correct horse battery"
    anyone = Monitorctl(tmp_path, shared.address, None)
    assert (await anyone("login", "admin@localhost", "--password-stdin", stdin=f"{password}\n")).status == 4
    answer = await run_monitord(
        tmp_path, "set-password", "admin@localhost", settings=shared.settings, stdin=f"{password}\n"
    )
    assert answer.status == 0, answer
    await anyone.ok("login", "admin@localhost", "--password-stdin", stdin=f"{password}\n")
    await anyone.ok("list")
    await anyone.ok("logout")
    assert (await anyone("list")).status == 4


async def test_a_server_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    address = f"127.0.0.1:{unused_port()}"
    answer = await Monitorctl(tmp_path, address, "mk_x_y")("list")
    assert answer.status == 5
    assert address in answer.stderr
