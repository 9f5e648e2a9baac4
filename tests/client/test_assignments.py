"""--set and --secret: any field of any kind, and errors that name the field and what would be right."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord_client import (
    Contact,
    DnsCheck,
    GrpcCheck,
    HeartbeatCheck,
    HttpCheck,
    Monitor,
    PostgresCheck,
    TcpCheck,
    TlsCheck,
)
from monitord_client.monitorctl.assignments import SECRETS, Assigner, field_paths, is_secret
from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.schemes import KINDS
from monitord_client.v1 import http_check_pb2 as http
from monitord_client.v1.connection_pb2 import SECURITY_STARTTLS_SMTP
from monitord_client.v1.tls_check_pb2 import TLS_VERSION_1_3


def _nobody(name: str) -> str:
    raise CommandError(f"nobody to ask for {name}")


def _set(check: Any, *assignments: str) -> Any:
    assigner = Assigner(check.DESCRIPTOR.name.removesuffix("Check").lower(), check, _nobody)
    for assignment in assignments:
        assigner.set(assignment)
    return check


def _refused(check: Any, *assignments: str) -> str:
    with pytest.raises(CommandError) as caught:
        _set(check, *assignments)
    return caught.value.message


def test_fields_are_read_as_in_a_file() -> None:
    tcp = _set(
        TcpCheck(), "expect=^220 =", "security=STARTTLS_SMTP", "expected_latency=1m30s", "min_certificate_days=21",
        "tls.server_name=mail.example.com", "send_text=EHLO x", "resolver=",
    )  # fmt: skip
    assert (tcp.expect, tcp.security, tcp.min_certificate_days) == ("^220 =", SECURITY_STARTTLS_SMTP, 21)
    assert (tcp.expected_latency.seconds, tcp.tls.server_name, tcp.resolver) == (90, "mail.example.com", "")
    assert _set(TcpCheck(), "send=RUhMTyB4").send == _set(TcpCheck(), "send_text=EHLO x").send == b"EHLO x"
    assert _set(TlsCheck(), "min_version=1.3").min_version == TLS_VERSION_1_3
    assert _set(DnsCheck(), "no_recursion=yes").no_recursion


def test_lists_grow_by_each_assignment_and_messages_are_mappings() -> None:
    dns = _set(DnsCheck(), "expected_answers=10 mail.example.com", "expected_answers=[x]", "match=exact")
    assert list(dns.expected_answers) == ["10 mail.example.com", "[x]"]
    check = _set(
        HttpCheck(), 'json_assertions={path: $.ok, comparison: equals, value: "true"}',
        "json_assertions=[{path: $.n, comparison: at-least, value: 3}, {path: $.x}]", "auth.basic.username=ada",
        "accepted_status_codes=200", "tls={server_name: example.com}",
    )  # fmt: skip
    assert [(each.path, each.comparison, each.value) for each in check.json_assertions] == [
        ("$.ok", http.COMPARISON_EQUALS, "true"), ("$.n", http.COMPARISON_AT_LEAST, "3"), ("$.x", 0, ""),
    ]  # fmt: skip
    assert (check.auth.basic.username, check.tls.server_name) == ("ada", "example.com")


def test_a_value_can_be_the_content_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n")
    (tmp_path / "bytes").write_bytes(b"\x00\xff\n")
    (tmp_path / "query.sql").write_text("SELECT 1\r\n")
    (tmp_path / "headers.yaml").write_text("{name: Authorization, value: t0ken, secret: true}\n")
    assert _set(TcpCheck(), "tls.ca_pem=@ca.pem").tls.ca_pem == "-----BEGIN CERTIFICATE-----\nx"
    assert _set(TcpCheck(), "send=@bytes").send == b"\x00\xff\n"
    assert _set(PostgresCheck(), "query=@query.sql").query == "SELECT 1"
    assert _set(HttpCheck(), "headers=@headers.yaml").headers[0].value == "t0ken"
    assert _set(HttpCheck(), "keyword=@@home").keyword == "@home"
    assert _set(PostgresCheck(), "password=@query.sql").password == "SELECT 1"
    assert "cannot read nowhere: No such file" in _refused(TcpCheck(), "expect=@nowhere")
    assert "it is not UTF-8 text" in _refused(TcpCheck(), "expect=@bytes")
    (tmp_path / "large").write_bytes(b"x" * (256 * 1024 + 1))
    assert "large is larger than 256 KiB" in _refused(TcpCheck(), "expect=@large")


@pytest.mark.parametrize(("check", "assignments", "words"), [
    (TcpCheck(), ["expct=x"], "--set expct: there is no 'expct' here; did you mean 'expect'?"),
    (TcpCheck(), ["zzzzz=x"], "there is address_family, expect, expected_latency, host"),
    (TcpCheck(), ["tls.ca=x"], "--set tls.ca: there is no 'ca' here; did you mean 'ca_pem'?"),
    (TcpCheck(), ["expect.x=x"], "expect has no fields to be named one by one: write --set expect=VALUE"),
    (HttpCheck(), ["json_assertions.path=$"], "write --set json_assertions='{path: ..., comparison: ..., value: ...}'"),
    (TcpCheck(), ["expect"], "should look like --set expect=^220: the fields of this kind (tcp) are host, port"),
    (TcpCheck(), ["=x"], "should look like"),
    (TcpCheck(), ["security=tsl"], "--set security: 'tsl' is not one of: plain, tls, starttls_smtp"),
    (TcpCheck(), ["port=http"], "--set port: 'http' is not a whole number"),
    (TcpCheck(), ["port=99999999999"], "--set port: "),
    (TcpCheck(), ["expected_latency=60"], "'60' has no unit: write 60s for seconds"),
    (TcpCheck(), ["expected_latency=-1s"], "--set expected_latency: '-1s' is not a length of time"),
    (TcpCheck(), ["send=hello!"], "plain text goes into send_text"),
    (TcpCheck(), ["interval=30s"], "this is the monitor's, not the check's: write --interval LENGTH"),
    (TcpCheck(), ["expect=a", "expect=b"], "another --set says something else already: it is a"),
    (TcpCheck(port=25), ["port=26"], "--set port: the target, an option or another --set says something else"),
    (TcpCheck(), ["expected_latency=1s", "expected_latency=2s"], "something else already: it is 1s"),
    (HttpCheck(), ["json_assertions={path: x, compare: equals}"], "'compare' here; did you mean 'comparison'?"),
    (HttpCheck(), ["json_assertions={path: x"], "should look like '{name: value, other: value}'"),
    (HttpCheck(), ["json_assertions=" + "[" * 3000], "should look like"),
    (HttpCheck(), ["json_assertions=x"], "must be a mapping with some of: path, comparison, value"),
    (HttpCheck(), ["tls="], "must be a mapping with some of: server_name"),
    (HttpCheck(), ["auth.basic.username=a", "auth.bearer={}"], "'basic' and 'bearer' cannot both be given: choose one"),
    (HeartbeatCheck(), ["period=1d", "cron.expression=* * * * *"], "'period' and 'cron' cannot both be given"),
    (HeartbeatCheck(), ["ping_url=http://x"], "the server alone sets this"),
    (HeartbeatCheck(), ["pinG_url=http://x"], "did you mean 'ping_url_version'?"),
])  # fmt: skip
def test_errors_name_the_field_and_what_would_be_right(check: Any, assignments: list[str], words: str) -> None:
    fresh = type(check)()
    fresh.CopyFrom(check)
    assert words in _refused(fresh, *assignments)


def test_saying_the_same_twice_is_no_mistake() -> None:
    assert _set(TcpCheck(port=25), "port=25", "expect=a", "expect=a").expect == "a"


@pytest.mark.parametrize(("check", "assignment", "way"), [
    (PostgresCheck(), "password=hunter2", "write --secret password (it is asked for), --secret password=@FILE"),
    (HttpCheck(), "auth.bearer.token=hunter2", "--secret auth.bearer.token=env:NAME"),
    (HttpCheck(), "auth={basic: {username: a, password: hunter2}}", "and write --secret auth.basic.password"),
    (HttpCheck(), "auth.oauth2={clientSecret: hunter2}", "and write --secret auth.oauth2.client"),
    (GrpcCheck(), "metadata={name: authorization, value: hunter2, secret: yes}", "--secret metadata.authorization"),
    (GrpcCheck(), "metadata=[{name: a, value: hunter2, secret: true}]", "--secret metadata.a"),
])  # fmt: skip
def test_a_secret_on_the_command_line_is_refused_unspoken(check: Any, assignment: str, way: str) -> None:
    told = _refused(check, assignment)
    assert "would stay in your shell's history" in told
    assert way in told
    assert "hunter2" not in told


def test_secrets_are_asked_for_or_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pw").write_text("from a file\n")
    monkeypatch.setenv("DB_PASSWORD", "from the environment")
    monkeypatch.delenv("NOT_THERE", raising=False)

    def give(check: Any, *secrets: str) -> Any:
        for secret in secrets:
            Assigner("x", check, lambda name: f"typed for {name}").secret(secret)
        return check

    assert give(PostgresCheck(), "password").password == "typed for password"
    assert give(PostgresCheck(), "password=@pw").password == "from a file"
    assert give(PostgresCheck(), "password=env:DB_PASSWORD").password == "from the environment"
    headers = give(HttpCheck(), "headers.X-Key=@pw", "headers.Authorization").headers
    assert [(h.name, h.value, h.secret) for h in headers] == [
        ("X-Key", "from a file", True), ("Authorization", "typed for headers.Authorization", True),
    ]  # fmt: skip
    for check, secret, words in (
        (PostgresCheck(), "password=hunter2", "would stay in your shell's history"),
        (PostgresCheck(), "password=env:NOT_THERE", "the environment has no NOT_THERE"),
        (PostgresCheck(), "passwort", "did you mean 'password'?"),
        (PostgresCheck(), "port", "only a single text can be given so; write --set port=VALUE"),
        (HttpCheck(), "headers", "only a single text"),
        (PostgresCheck(password="other"), "password=@pw", "says something else already"),
    ):
        with pytest.raises(CommandError) as caught:
            give(check, secret)
        assert words in caught.value.message
        assert "hunter2" not in caught.value.message
        assert "other" not in caught.value.message.removesuffix("another --set says something else already")


@given(kind=st.sampled_from(KINDS), assignments=st.lists(st.text(max_size=40), max_size=4))
def test_whatever_is_typed_is_taken_or_refused_with_a_sentence(kind: str, assignments: list[str]) -> None:
    check = getattr(Monitor(), kind)
    assigner = Assigner(kind, check, _nobody)
    for typed in assignments:
        try:
            assigner.set(typed.replace("@", ""))
        except CommandError as error:
            assert error.message  # noqa: PT017 - some are taken


@given(data=st.data(), kind=st.sampled_from(KINDS), value=st.text(max_size=20).map(lambda text: text.replace("@", "")))
def test_any_value_of_any_field_is_taken_or_refused_with_a_sentence(data: st.DataObject, kind: str, value: str) -> None:
    path = data.draw(st.sampled_from(field_paths(kind)))
    check = getattr(Monitor(), kind)
    try:
        Assigner(kind, check, _nobody).set(f"{path}={value}")
    except CommandError as error:
        assert error.message.startswith(f"--set {path}")  # noqa: PT017 - some are taken


def test_what_is_secret_by_the_contract_is_secret_here() -> None:
    """Write-only fields are those that the protos' comments call so."""
    protos = Path(__file__).parents[2] / "proto" / "monitord" / "v1"
    write_only = set()
    for name in ("connection", "http_check", "database_check", "grpc_check", "dns_check"):
        comment = ""
        for line in (protos / f"{name}.proto").read_text().splitlines():
            if line.strip().startswith("//"):
                comment += line
            else:
                if "Write-only:" in comment and line.strip().startswith("string "):
                    write_only.add(line.split()[1])
                comment = ""
    assert write_only == SECRETS - {"webhook_url", "bot_token", "routing_key", "signing_key"}


def test_what_is_secret_of_a_contact_is_secret_here() -> None:
    proto = Path(__file__).parents[2] / "proto" / "monitord" / "v1" / "contact.proto"
    found = re.findall(r"message (\w+) {|// (Write-only)\.|^  \w+ (\w+) = \d+;", proto.read_text(), re.MULTILINE)
    write_only, message, noted = set(), "", False
    for begun, note, name in found:
        if name and noted:
            write_only.add(f"monitord.v1.{message}.{name}")
        message, noted = begun or message, bool(note) or (noted and not name)
    channels = [fd.message_type for fd in Contact.DESCRIPTOR.oneofs_by_name["channel"].fields]
    assert {fd.full_name for channel in channels for fd in channel.fields if is_secret(fd)} == write_only
    assert len(write_only) == 7
