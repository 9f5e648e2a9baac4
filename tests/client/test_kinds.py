"""Every kind of check through monitorctl: added, listed, shown, explained, exported."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from monitord_client import CheckLog, HttpCheck, IcmpCheck, Monitor, monitor_of
from monitord_client.monitorctl.app import build
from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.kinds import field_lines
from monitord_client.monitorctl.running import Cli
from monitord_client.monitorctl.schemes import KINDS
from monitord_client.v1 import check_log_pb2 as pb
from monitord_client.v1.connection_pb2 import SECURITY_STARTTLS_SMTP, SECURITY_TLS
from tests.client.conftest import Ctl
from tests.client.fake_monitord import FakeMonitord

_EACH = {
    "http": ("https://shop.example.com/", []),
    "tcp": ("tcp://mail.example.com:25", ["--set", "expect=^220", "--set", "security=starttls_smtp"]),
    "tls": ("tls://example.com:443", ["--set", "names=www.example.com", "--set", "names=example.com"]),
    "icmp": ("ping://192.0.2.1", ["--set", "count=5", "--set", "packet_interval=50ms"]),
    "dns": ("dns://example.com?type=MX&server=192.0.2.53", ["--set", "expected_answers=10 mail.example.com"]),
    "grpc": ("grpcs://example.com:443/shop.Orders", ["--set", "min_certificate_days=7"]),
    "websocket": ("wss://example.com/feed", ["--set", "send=ping", "--set", "expect=pong"]),
    "postgres": ("postgres://ada@192.0.2.7:5432/shop", ["--secret", "password=env:PW", "--set", "query=SELECT 1"]),
    "mysql": ("mysql://ada@192.0.2.8:3306/shop", ["--secret", "password=env:PW"]),
    "redis": ("rediss://192.0.2.9:6379/2", ["--set", "command=LLEN jobs"]),
    "heartbeat": ("heartbeat", ["--period", "1d", "--grace", "10m"]),
    "group": ("group", ["--set", "monitor_ids=3", "--set", "monitor_ids=4", "--set", "min_up=1"]),
}


@pytest.fixture
async def all_kinds(server: FakeMonitord, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("PW", "hunter2")
    for kind, (target, options) in _EACH.items():
        added = await ctl("add", f"the {kind}", target, *options, "--interval", "2m")
        assert (added.exit_code, added.stdout.startswith(f"+ the {kind} (id ")) == (0, True), added.stderr
    sent = [request.monitor for request in server.called("CreateMonitor")]
    return {kind: getattr(monitor, kind) for kind, monitor in zip(_EACH, sent, strict=True)}


_SHOWN = {"heartbeat": "heartbeat every 1d", "group": "group of 2 monitors, of which 1 must work"}
"""What has no target to dial, and can't be tried."""


def test_every_kind_is_tried_here() -> None:
    assert set(_EACH) == set(KINDS)


async def test_add_sends_what_the_target_and_the_options_say(server: FakeMonitord, all_kinds: dict[str, Any]) -> None:
    assert (all_kinds["tcp"].port, all_kinds["tcp"].expect) == (25, "^220")
    assert all_kinds["tcp"].security == SECURITY_STARTTLS_SMTP
    assert list(all_kinds["tls"].names) == ["www.example.com", "example.com"]
    assert (all_kinds["icmp"].count, all_kinds["icmp"].packet_interval.ToMilliseconds()) == (5, 50)
    assert all_kinds["grpc"].service == "shop.Orders"
    assert (all_kinds["postgres"].user, all_kinds["postgres"].password) == ("ada", "hunter2")
    assert (all_kinds["redis"].security, all_kinds["redis"].database) == (SECURITY_TLS, 2)
    assert (all_kinds["heartbeat"].period.seconds, all_kinds["heartbeat"].grace.seconds) == (86_400, 600)
    assert {request.monitor.interval.seconds for request in server.called("CreateMonitor")} == {120}


async def test_list_shows_each_target_as_it_is_typed(ctl: Ctl, all_kinds: dict[str, Any]) -> None:
    listed = (await ctl("list")).stdout
    for kind, (target, _) in _EACH.items():
        assert _SHOWN.get(kind, target) in listed
    only = json.loads((await ctl("list", "--type", "icmp", "--type", "dns", "-o", "json")).stdout)["monitors"]
    assert [monitor["name"] for monitor in only] == ["the icmp", "the dns"]
    wrong = await ctl("list", "--type", "udp")
    assert (wrong.exit_code, "there is http, tcp, tls, icmp" in wrong.stderr) == (2, True)


async def test_show_tells_what_differs_from_the_defaults(ctl: Ctl, all_kinds: dict[str, Any]) -> None:
    shown = (await ctl("show", "the tcp")).stdout
    assert [line.split() for line in shown.splitlines() if line.startswith(("expect", "security"))] == [
        ["security", "starttls_smtp"], ["expect", "^220"],
    ]  # fmt: skip
    assert "packet_interval  50ms" in (await ctl("show", "the icmp")).stdout
    database = (await ctl("show", "the postgres")).stdout
    assert "SELECT 1" in database
    assert "hunter2" not in database


async def test_the_url_of_a_heartbeat_is_told_where_it_is_made_and_shown(ctl: Ctl, all_kinds: dict[str, Any]) -> None:
    added = await ctl("add", "nightly", "heartbeat", "--cron", "30 4 * * 1-5", "--time-zone", "Europe/Berlin")
    assert "curl -fsS http://127.0.0.1:9464/ping/13-s3cret" in added.stdout
    shown = (await ctl("show", "nightly")).stdout
    assert "Ping URL" in shown
    assert "http://127.0.0.1:9464/ping/13-s3cret" in shown
    assert "heartbeat at 30 4 * * 1-5 (Europe/Berlin)" in shown
    assert "s3cret" not in (await ctl("list")).stdout


async def test_members_and_parents_are_called_by_name(server: FakeMonitord, ctl: Ctl) -> None:
    for name in ("router", "shop", "blog"):
        await ctl("add", name, f"https://{name}.example/")
    await ctl("add", "site", "group", "--member", "shop", "--member", "3", "--min-up", "1", "--parent", "router")
    await ctl("add", "prod", "group", "--member-label", "env=prod")
    site, prod = (request.monitor for request in server.called("CreateMonitor")[3:])
    assert (list(site.group.monitor_ids), site.group.min_up, list(site.parent_ids)) == ([2, 3], 1, [1])
    assert dict(prod.group.labels) == {"env": "prod"}
    for options in (["group", "--member", "nobody"], ["https://x/", "--parent", "nobody"]):
        refused = await ctl("add", "x", *options)
        assert (refused.exit_code, "no monitor has the name or id 'nobody'" in refused.stderr) == (3, True)
    listed = (await ctl("list")).stdout
    assert "group of 2 monitors, of which 1 must work" in listed
    assert "group of those with env=prod" in listed


async def test_what_is_exported_can_be_applied_and_holds_no_secret(
    server: FakeMonitord, ctl: Ctl, all_kinds: dict[str, Any]
) -> None:
    exported = (await ctl("export")).stdout
    assert "s3cret" not in exported, "the URL of a heartbeat is a secret"
    assert "hunter2" not in exported
    assert {next(iter(entry.keys() & set(KINDS))) for entry in yaml.safe_load(exported)["monitors"]} == set(KINDS)
    again = await ctl("apply", "-f", "-", stdin=exported)
    assert sorted(again.stdout.splitlines()) == sorted(f"= the {kind}" for kind in KINDS)
    listed = (await ctl("list", "-o", "yaml")).stdout
    assert (await ctl("apply", "-f", "-", "--dry-run", stdin=listed)).stdout.count("= ") == len(KINDS)
    sent = server.called("ApplyMonitors")
    assert not any(monitor.heartbeat.ping_url for request in sent for monitor in request.monitors)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in _SHOWN])
async def test_any_target_can_be_tried_and_is_explained(
    server: FakeMonitord, ctl: Ctl, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PW", "hunter2")
    row = CheckLog(verdict=pb.VERDICT_DOWN, category="icmp.loss", message="3 of 3 requests went unanswered.")
    row.start_time.GetCurrentTime()
    row.measurements.update(
        {"icmp.loss_ratio": 1 / 3, "icmp.rtt_avg_ms": 12.5, "query.duration_ms": 1500.0, "dns.answers": 2.0}
    )
    row.evidence.steps.add(at_ms=1.0, phase="judge", text="three went unanswered")
    row.evidence.body_excerpt = "220 mail.example.com"
    server.verdict = row
    target, options = _EACH[kind]
    tried = await ctl("test", target, *options)
    assert tried.exit_code == 1, tried.stderr
    assert server.called("TestMonitor")[0].monitor.WhichOneof("kind") == kind
    shown = " ".join(tried.stdout.split())
    for words in (
        f"DOWN {target}", "icmp.loss: 3 of 3 requests", "icmp.loss_ratio 33.3 %", "icmp.rtt_avg_ms 12 ms",
        "query.duration_ms 1.50 s", "dns.answers 2", "three went unanswered", "What came, its beginning",
        "220 mail.example.com",
    ):  # fmt: skip
        assert words in shown


async def test_measurements_stand_where_nothing_else_is_to_be_said(server: FakeMonitord, ctl: Ctl) -> None:
    stored = server.put(monitor_of("router", IcmpCheck(host="192.0.2.1"), interval=30))
    stored.parent_ids.extend([7, 8])
    row = CheckLog(monitor_id=stored.id, sequence=1, verdict=pb.VERDICT_UP)
    row.start_time.GetCurrentTime()
    row.measurements.update({"icmp.loss_ratio": 0.0, "icmp.jitter_ms": 0.25, "icmp.sent": 3.0})
    stored.last_check.CopyFrom(row)
    server.rows = [row]
    shown = (await ctl("show", "router")).stdout
    assert "Measured" in shown
    assert "monitor 7, monitor 8" in shown
    assert "icmp.jitter_ms 0.25 ms, icmp.loss_ratio 0 %, icmp.sent 3" in shown
    assert "jitter 0.25 ms, loss 0 %\n" in (await ctl("logs", "router")).stdout.replace("  ", "").replace(" \n", "\n")


@pytest.mark.parametrize(("args", "words"), [
    (["tcp://x:1", "--keyword", "x"], "--keyword is for http and https, and this is tcp: its fields, for --set, are"),
    (["tcp://x:1", "--expect-latency", "500ms"], "this is tcp: write --set expected_latency=500ms"),
    (["tls://x", "-4"], "--ipv4 is for http and https, and this is tls: write --set address_family=ipv4"),
    (["ping://x", "--no-verify-tls"], "this is icmp: its fields, for --set, are host, address_family"),
    (["wss://x/", "-H", "A=b"], "write --set headers='{name: ..., value: ...}'"),
    (["grpc://x:1", "--secret-header", "A=b"], "write --secret metadata.NAME"),
    (["heartbeat", "-X", "POST"], "--method is for http and https, and this is heartbeat"),
    (["https://x/", "--period", "1d"], "--period is for heartbeats, and this is http"),
    (["heartbeat"], "say when a word is due: --period 1d"),
    (["heartbeat", "--period", "1d", "--cron", "* * * * *"], "choose one of --period and --cron"),
    (["heartbeat", "--period", "1d", "--time-zone", "UTC"], "--time-zone is for --cron"),
    (["heartbeat", "--period", "1"], "'1' has no unit"),
    (["group"], "say who is in the group: --member NAME"),
    (["group", "--member-label", "x"], "'x' should look like team=web"),
    (["https://x/", "--member", "y"], "--member is for groups, and this is http"),
    (["heartbeat", "--period", "1d", "--set", "cron.expression=* * * * *"], "cannot both be given"),
    (["tcp://x"], "the port is missing"),
    (["x"], "does not say what kind of check"),
    (["https://x/", "--set", "json_assertion=x"], "did you mean 'json_assertions'?"),
    (["https://x/", "--keyword", "a", "--set", "keyword=b"], "says something else already: it is a"),
    (["grpcs://x:1", "--set", "security=plain"], "says something else already: it is tls"),
    (["postgres://u@x", "--secret", "password"], "there is no terminal to ask for password: write --secret password=@"),
    (["postgres://u:hunter2@x"], "a password must not stand in a URL"),
    (["postgres://u@x", "--set", "password=hunter2"], "would stay in your shell's history"),
])  # fmt: skip
async def test_what_does_not_fit_is_refused_before_anything_is_sent(
    server: FakeMonitord, ctl: Ctl, args: list[str], words: str
) -> None:
    for command in (["add", "x"], ["test"]):
        if command == ["test"] and ({"--period", "--member"} & {*args} or "://" not in args[0]):
            continue  # heartbeats cannot be tried, and a word is the name of a monitor
        result = await ctl(*command, *args)
        told = " ".join(result.stderr.replace("│", " ").split())
        assert (result.exit_code, words in told) == (2, True), told
        assert "hunter2" not in result.output
    assert not server.calls


async def test_a_stored_monitor_is_tried_as_it_is(server: FakeMonitord, ctl: Ctl) -> None:
    result = await ctl("test", "router", "--set", "count=5")
    assert (result.exit_code, "'router' is not a target" in result.stderr) == (2, True)
    assert not server.calls


async def test_contents_come_from_stdin_too(server: FakeMonitord, ctl: Ctl) -> None:
    added = await ctl("add", "db", "postgres://ada@192.0.2.7", "--secret", "password=@-", stdin="hunter2\n")
    assert added.exit_code == 0, added.stderr
    assert server.called("CreateMonitor")[0].monitor.postgres.password == "hunter2"


def test_a_person_is_asked_for_a_secret_without_its_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from monitord_client.monitorctl.options import Connection

    asked: list[tuple[Any, Any]] = []
    monkeypatch.setattr("typer.prompt", lambda *args, **kwargs: asked.append((args, kwargs)) or "typed")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert Cli(Connection()).ask_secret("password") == "typed"
    assert asked == [(("password",), {"hide_input": True, "err": True})]
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(CommandError):
        Cli(Connection()).ask_secret("password")


@pytest.mark.parametrize(("line", "offered"), [
    ("add x pi", {"ping://"}), ("add x he", {"heartbeat"}), ("list --type gr", {"grpc", "group"}),
    ("add x tcp --set ex", set()), ("add x heartbeat --set cr", {"cron=", "cron.expression=", "cron.time_zone="}),
])  # fmt: skip
async def test_schemes_kinds_and_fields_complete(
    ctl: Ctl, monkeypatch: pytest.MonkeyPatch, line: str, offered: set[str]
) -> None:
    monkeypatch.setenv("COMP_WORDS", f"monitorctl {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(line.split())))
    monkeypatch.setenv("_MONITORCTL_COMPLETE", "complete_bash")
    told = await asyncio.to_thread(CliRunner().invoke, build(), [], prog_name="monitorctl")
    assert set(told.stdout.split()) == offered


def test_long_and_secret_values_are_shown_in_short() -> None:
    check = HttpCheck(url="https://x/", keyword="x" * 1000, body=b"\xff\x00")
    check.tls.ca_pem = "-----BEGIN CERTIFICATE-----\nx\n" * 2
    check.auth.bearer.SetInParent()
    check.headers.add(name="A", secret=True)
    check.json_assertions.add(path="$.ok", comparison=3, value="true")
    assert dict(field_lines(Monitor(http=check))) == {
        "keyword": f"{'x' * 200}… (1,000 characters)",
        "body": "2 bytes",
        "tls.ca_pem": "2 certificates",
        "auth.bearer": "(secret)",
        "headers": "A: (secret)",
        "json_assertions": "path: $.ok, comparison: COMPARISON_EQUALS, value: true",
    }


def test_a_monitor_is_built_around_any_check() -> None:
    monitor = monitor_of("router", IcmpCheck(host="192.0.2.1"), interval=30, labels={"team": "net"})
    assert (monitor.icmp.host, monitor.interval.seconds, dict(monitor.labels)) == ("192.0.2.1", 30, {"team": "net"})
    with pytest.raises(TypeError, match="CheckLog is no kind of check"):
        monitor_of("x", CheckLog())


def test_the_help_names_every_kind() -> None:
    told = CliRunner().invoke(build(), ["add", "--help"], env={"COLUMNS": "200"}).stdout
    readme = (Path(__file__).parents[2] / "clients" / "python" / "README.md").read_text()
    for target, _ in _EACH.values():
        beginning = "".join(target.partition("://")[:2])
        assert f" {beginning}" in told.replace("'", " ")
        assert beginning in readme
