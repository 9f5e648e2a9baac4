"""monitorctl against a server: what it says, what it asks for, and with which code it leaves."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from typer.testing import CliRunner

from monitord_client import CheckLog, Monitor, http_monitor
from monitord_client.monitorctl import running
from monitord_client.monitorctl.app import build
from monitord_client.monitorctl.options import Connection
from monitord_client.v1 import check_log_pb2 as pb
from tests.client.conftest import Ctl
from tests.client.fake_monitord import KEY, FakeMonitord, Fault, Plan


def _row(verdict: pb.Verdict.ValueType, **fields: Any) -> CheckLog:
    row = CheckLog(monitor_id=1, sequence=1, trigger=pb.CHECK_TRIGGER_MANUAL, verdict=verdict, **fields)
    row.start_time.GetCurrentTime()
    return row


async def test_add_list_show_pause_resume_rm(server: FakeMonitord, ctl: Ctl) -> None:
    empty = await ctl("list")
    assert (empty.exit_code, "monitorctl add NAME TARGET" in empty.stderr) == (0, True)
    added = await ctl(
        *("add", "shop", "https://shop.example.com", "--interval", "30s", "--timeout", "1500ms"),
        *("-H", "Accept=text/html", "--secret-header", "Authorization=Bearer a=b"),
        *("--expect-status", "200-299", "--expect-status", "404"),
        *("--keyword", "Welcome", "--label", "team=web", "--expect-latency", "500ms", "--no-follow", "-4", "--paused"),
        *("--failure-threshold", "3", "-X", "post", "-d", "{}"),
    )  # fmt: skip
    assert (added.exit_code, added.stdout) == (0, "+ shop (id 1)\n")
    sent = server.called("CreateMonitor")[0].monitor
    assert (sent.interval.seconds, sent.timeout.ToMilliseconds(), sent.active) == (30, 1500, False)
    assert [(h.name, h.value, h.secret) for h in sent.http.headers] == [
        ("Accept", "text/html", False), ("Authorization", "Bearer a=b", True),
    ]  # fmt: skip
    assert list(sent.http.accepted_status_codes) == ["200-299", "404"]
    assert (sent.http.method, sent.http.body, sent.http.redirect_policy) == ("POST", b"{}", 2)
    assert dict(sent.labels) == {"team": "web"}

    listed = await ctl("list")
    assert "shop" in listed.stdout
    assert "https://shop.example.com" in listed.stdout
    as_json = json.loads((await ctl("list", "-o", "json", "--label", "team=web")).stdout)
    assert as_json["monitors"][0]["http"]["accepted_status_codes"] == ["200-299", "404"]
    assert yaml.safe_load((await ctl("-o", "yaml", "show", "1")).stdout)["name"] == "shop"
    shown = (await ctl("show", "shop")).stdout
    assert "Authorization: (secret)" in shown
    assert "a=b" not in shown

    assert (await ctl("pause", "shop")).stdout == "shop: paused\n"
    assert not server.monitors[1].active
    assert (await ctl("resume", "1")).stdout == "shop: checked again\n"
    assert (await ctl("rm", "shop")).stdout == "- shop\n"
    assert not server.monitors


async def test_a_name_that_is_almost_right_is_suggested(server: FakeMonitord, ctl: Ctl) -> None:
    server.put(http_monitor("checkout", "http://127.0.0.1"))
    result = await ctl("show", "chekout")
    assert (result.exit_code, "Did you mean 'checkout'?" in result.stderr) == (3, True)


@pytest.mark.parametrize(("fault", "code", "words"), [
    (Fault(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", violations={"statuses": "no"}), 2, "statuses: no"),
    (Fault(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"), 4, "the key from MONITORD_API_KEY"),
    (Fault(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", "a READ key may not"), 4, "a READ key may not"),
    (Fault(grpc.StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION"), 6, "as the test wants it"),
    (Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED", retry_after_s=60), 7, "Try again in 60 s"),
    (Fault(grpc.StatusCode.INTERNAL, "INTERNAL", metadata={"error_id": "e-77"}), 70, "error_id e-77"),
    (Fault(grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED"), 70, "older than this monitorctl"),
])  # fmt: skip
async def test_every_failure_has_a_code_and_a_sentence(
    server: FakeMonitord, ctl: Ctl, fault: Fault, code: int, words: str
) -> None:
    server.faults["ListMonitors"].append(fault)
    result = await ctl("list")
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr


async def test_no_server_is_unavailable_and_says_where(server: FakeMonitord, ctl: Ctl) -> None:
    await server.stop()
    result = await ctl("list")
    assert result.exit_code == 5
    assert f"Is monitord running at {server.address}?" in result.stderr


@pytest.mark.parametrize(("verdict", "code"), [
    (pb.VERDICT_UP, 0), (pb.VERDICT_DEGRADED, 0), (pb.VERDICT_DOWN, 1), (pb.VERDICT_INCONCLUSIVE, 8),
    (pb.VERDICT_BLOCKED, 8),
])  # fmt: skip
async def test_check_and_test_leave_with_the_verdict(
    server: FakeMonitord, ctl: Ctl, verdict: pb.Verdict.ValueType, code: int
) -> None:
    server.put(http_monitor("site", "http://127.0.0.1"))
    server.verdict = _row(verdict)
    assert (await ctl("check", "site")).exit_code == code
    assert (await ctl("test", "http://127.0.0.1")).exit_code == code
    assert json.loads((await ctl("test", "site", "-o", "json")).stdout)["verdict"] == pb.Verdict.Name(verdict)
    assert server.called("TestMonitor")[-1].monitor.id == 1


async def test_a_trace_explains_the_verdict(server: FakeMonitord, ctl: Ctl) -> None:
    row = _row(pb.VERDICT_DOWN, category="http.status", message="503 is not in 200-399", status_code=503)
    row.response_time_ms, row.address, row.redirects, row.bytes_received = 42.0, "127.0.0.1:443", 1, 1234
    row.phases.dns_ms, row.phases.ttfb_ms = 2.0, 40.0
    row.evidence.steps.add(at_ms=42.0, phase="judge", text="status 503 against 200-399: [red]no[/red] \x1b[31m")
    row.evidence.resolved_addresses.extend(["127.0.0.1", "::1"])
    row.evidence.header_lines.append("HTTP/1.1 503 Service Unavailable")
    row.evidence.body_excerpt = "down for [bold]maintenance[/bold]\x07\u202e"
    row.evidence.certificates.add(subject="CN=example", issuer="CN=ca", names=["example"]).not_after_time.seconds = 10
    server.verdict = row
    shown = (await ctl("test", "https://127.0.0.1")).stdout
    for words in (
        "DOWN https://127.0.0.1 in 42 ms", "http.status: 503 is not in 200-399", "127.0.0.1:443 (also ::1)",
        "1,234 bytes", "status 503 against 200-399: [red]no[/red]", "CN=example", "expired", "HTTP/1.1 503",
        "[bold]maintenance[/bold]",
    ):  # fmt: skip
        assert words in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


async def test_logs_are_pages_of_rows_and_one_can_be_explained(server: FakeMonitord, ctl: Ctl) -> None:
    server.put(http_monitor("site", "http://127.0.0.1"))
    server.page_size = 2
    server.rows = [_row(pb.VERDICT_UP, message=f"row {n}") for n in range(1, 6)]
    for number, row in enumerate(server.rows, 1):
        row.sequence = number
    shown = json.loads((await ctl("logs", "site", "-n", "3", "-o", "json")).stdout)
    assert [row["sequence"] for row in shown["check_logs"]] == ["5", "4", "3"]
    assert "row 5" in (await ctl("logs", "site")).stdout
    assert "row 2" in (await ctl("logs", "site", "--sequence", "2")).stdout
    await ctl("logs", "site", "--from", "2h", "--to", "2026-01-31T12:00:00Z", "--verdict", "down")
    asked = server.called("ListCheckLogs")[-1]
    assert list(asked.verdicts) == [pb.VERDICT_DOWN]
    assert asked.end_time.ToDatetime(tzinfo=UTC) == datetime(2026, 1, 31, 12, tzinfo=UTC)
    wrong = await ctl("logs", "site", "--verdict", "dead")
    assert (wrong.exit_code, "there is up, degraded, down" in wrong.stderr) == (2, True)


async def test_tail_shows_rows_and_says_what_happened_in_between(server: FakeMonitord, ctl: Ctl) -> None:
    server.put(http_monitor("site", "http://127.0.0.1"))
    server.rows = [_row(pb.VERDICT_UP, message=f"row {n}") for n in (1, 2, 3)]
    for number, row in enumerate(server.rows, 1):
        row.sequence = number
    gone = Fault(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "the monitor is deleted")
    server.plans.extend([Plan(rows=2, ends=1), Plan(gap="row 9 is gone", rows=1, breaks=gone)])
    shown = await ctl("tail", "--last", "3")
    assert [n for n in (1, 2, 3) if f"row {n}" in shown.stdout] == [1, 2, 3]
    assert shown.stdout.count("site") == 3
    assert shown.exit_code == 3
    for words in ("connection lost (the server is shutting down)", "connected again", "row 9 is gone", "is deleted"):
        assert words in shown.stderr

    server.plans.extend([Plan(rows=2, ends=1), Plan(rows=1, breaks=gone)])
    lines = [json.loads(line) for line in (await ctl("tail", "site", "--last", "3", "--json")).stdout.splitlines()]
    assert [next(key for key in line if key != "cursor") for line in lines] == [
        "check_log", "check_log", "disconnected", "reconnected", "check_log",
    ]  # fmt: skip
    assert lines[-1]["cursor"] == "at-3"


async def test_stats(server: FakeMonitord, ctl: Ctl) -> None:
    server.put(http_monitor("site", "http://127.0.0.1"))
    shown = (await ctl("stats", "site", "--window", "7d")).stdout
    assert "99.999 %" in shown
    assert "123 ms" in shown
    asked = server.called("GetMonitorMetrics")[0]
    assert asked.end_time.seconds - asked.start_time.seconds == 7 * 86_400
    assert json.loads((await ctl("stats", "1", "-o", "json")).stdout)["check_count"] == "1440"


async def test_keys(server: FakeMonitord, ctl: Ctl) -> None:
    made = await ctl("keys", "create", "ci", "--scope", "read", "--expires", "30d")
    assert (made.stdout, "can't be shown again" in made.stderr) == ("mk_k1_secret\n", True)
    assert server.called("CreateApiKey")[0].time_to_live.seconds == 30 * 86_400
    assert "ci" in (await ctl("keys", "list")).stdout
    assert (await ctl("keys", "revoke", "k1")).exit_code == 0
    assert not server.keys


async def test_login_is_remembered_for_its_address_until_logout(
    server: FakeMonitord, ctl: Ctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MONITORD_API_KEY")
    anonymous = await ctl("list")
    assert (anonymous.exit_code, "monitorctl login" in anonymous.stderr) == (4, True)
    wrong = await ctl("login", "ada@example.com", "--password-stdin", stdin="wrong\n")
    assert wrong.exit_code == 4
    right = await ctl("login", "ada@example.com", "--password-stdin", stdin="correct horse\n")
    assert (right.exit_code, "as Ada" in right.stderr) == (0, True)
    assert (await ctl("list")).exit_code == 0
    assert (await ctl("list", "--address", "localhost:1")).exit_code == 5
    assert (await ctl("logout")).exit_code == 0
    assert (await ctl("list")).exit_code == 4


async def test_the_state_folders_key_opens_this_machines_monitord_alone(
    server: FakeMonitord, ctl: Ctl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MONITORD_API_KEY")
    for folder in (tmp_path / "xdg" / "monitord", tmp_path / "state"):
        folder.mkdir(parents=True)
        (folder / "admin.key").write_text(f"{KEY}\n")
        assert (await ctl("list")).exit_code == 0
        (folder / "admin.key").unlink()
        assert (await ctl("list")).exit_code == 4
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "admin.key").write_text(KEY)
    monkeypatch.setenv("MONITORD_STATE_DIR", str(tmp_path / "own"))
    assert (await ctl("list")).exit_code == 0
    remote = await ctl("list", "--address", "192.0.2.9:50051")
    assert (remote.exit_code, "--tls (or --ca FILE), or --insecure" in remote.stderr) == (2, True)


async def test_the_state_folders_key_is_for_loopback_addresses_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "admin.key").write_text(KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("MONITORD_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("MONITORD_API_KEY", raising=False)
    for address, origin in (("[::1]:1", str(tmp_path / "admin.key")), ("192.0.2.9:1", "")):
        cli = running.Cli(Connection(address=address, insecure=True))
        async with cli.connect() as client:  # nothing is dialled before the first call
            assert await client._calls.bearer() == (KEY if origin else None)
        assert cli.key_origin == origin


async def test_a_key_file_beats_the_environment(server: FakeMonitord, ctl: Ctl, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("mk_other")
    refused = await ctl("list", "--key-file", str(tmp_path / "key"))
    assert (refused.exit_code, f"{tmp_path / 'key'} (--key-file)" in refused.stderr) == (4, True)
    missing = await ctl("list", "--key-file", "nowhere")
    assert (missing.exit_code, "cannot read the key from nowhere" in missing.stderr) == (2, True)


async def test_apply_plans_acts_and_round_trips(server: FakeMonitord, ctl: Ctl, tmp_path: Path) -> None:
    file = tmp_path / "monitors.yaml"
    file.write_text("""
monitors:
  - {name: a, interval: 1m, http: {url: "http://127.0.0.1/a"}}
  - name: b
    http: {url: "http://127.0.0.1/b", headers: [{name: Authorization, value: s3cret, secret: true}]}
""")
    planned = await ctl("apply", "-f", str(file), "--dry-run")
    assert planned.stdout == "+ a\n+ b\n"
    assert "2 created (dry run: nothing was changed)" in planned.stderr
    assert not server.monitors
    assert (await ctl("apply", "-f", str(file))).stdout == "+ a\n+ b\n"

    exported = (await ctl("export")).stdout
    assert "s3cret" not in exported
    again = await ctl("apply", "-f", "-", stdin=exported)
    assert again.stdout == "= a\n= b\n"
    assert server.secrets[2, "Authorization"] == "s3cret"

    file.write_text('monitors: [{name: b, interval: 2m, http: {url: "http://127.0.0.1/c"}}]')
    pruned = await ctl("apply", str(file), "--prune")
    assert pruned.stdout == "~ b (http, interval)\n- a\n"
    assert "1 changed, 1 removed" in pruned.stderr
    as_json = json.loads((await ctl("apply", "-f", str(file), "-o", "json")).stdout)
    assert as_json["results"][0]["action"] == "APPLY_ACTION_UNCHANGED"


async def test_apply_names_the_line_of_what_the_server_refuses(server: FakeMonitord, ctl: Ctl, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("monitors:\n  - name: a\n    interval: 2s\n    http: {url: 'http://x'}\n")
    too_short = {"monitors[0].interval": "must be 5s to 24h"}
    server.faults["ApplyMonitors"].append(
        Fault(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", violations=too_short)
    )
    result = await ctl("apply", "-f", str(file))
    assert result.exit_code == 2
    assert f"{file}:3: monitors[0].interval: must be 5s to 24h" in result.stderr


@pytest.mark.parametrize(("text", "args", "words"), [
    ("monitors: [{nam: x}]", [], "did you mean 'name'?"),
    ("monitors: []", ["--prune"], "deletes all"),
    ("", ["--prune"], "deletes all"),
    ("monitors: [" + ",".join(f"{{name: m{n}}}" for n in range(1001)) + "]", [], "at most 1,000 monitors"),
    ("monitors: [" + ",".join(f"{{name: {'x' * 3000}{n}}}" for n in range(90)) + "]", [], "256 KiB"),
])  # fmt: skip
async def test_what_cannot_be_applied_is_not_sent(
    server: FakeMonitord, ctl: Ctl, text: str, args: list[str], words: str
) -> None:
    result = await ctl("apply", "-f", "-", *args, stdin=text)
    assert (result.exit_code, words in result.stderr) == (2, True)
    assert not server.called("ApplyMonitors")


@pytest.mark.parametrize("args", [
    ["list", "--status", "broken"], ["add", "x", "http://x", "--interval", "60"], ["tail", "--last", "0"], ["nonsense"],
    ["tail", "--last", "1", "--cursor", "c"], ["list", "--address", "ftp://x"], ["add", "x", "http://x", "-4", "-6"],
    ["list", "--label", "novalue"], ["watch", "-o", "json"], ["keys", "create", "x", "--scope", "root"],
    ["list", "--ca", "nowhere.pem"], ["logs", "x", "--from", "yesterday"], ["apply", "-f", "nowhere.yaml"], ["apply"],
])  # fmt: skip
async def test_wrong_usage_is_code_2(server: FakeMonitord, ctl: Ctl, args: list[str]) -> None:
    result = await ctl(*args)
    assert result.exit_code == 2
    assert result.stderr
    assert not server.calls


async def test_names_complete(server: FakeMonitord, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("shop", "shed", "blog"):
        server.put(http_monitor(name, "http://127.0.0.1"))
    monkeypatch.setenv("COMP_WORDS", "monitorctl show sh")
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setenv("_MONITORCTL_COMPLETE", "complete_bash")
    app = build()
    offered = await asyncio.to_thread(CliRunner().invoke, app, [], prog_name="monitorctl")
    assert sorted(offered.stdout.split()) == ["shed", "shop"]
    await server.stop()
    offered = await asyncio.to_thread(CliRunner().invoke, app, [], prog_name="monitorctl")
    assert offered.output.strip() == ""


async def test_a_monitor_with_a_hostile_name_cannot_steer_the_terminal(server: FakeMonitord, ctl: Ctl) -> None:
    server.put(Monitor(name="x\x1b]0;owned\x07[red]", http=http_monitor("", "http://127.0.0.1").http))
    shown = (await ctl("list")).stdout
    assert "\x1b" not in shown
    assert "[red]" in shown
