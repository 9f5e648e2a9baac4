import re
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format

from monitord.demo import HOST, PORT, SLOW_S
from monitord.domain.errors import InvalidArgumentError
from monitord.domain.rules.monitor import Limits
from monitord.probes.egress import EgressPolicy
from monitord.rpc.convert_contact import ContactReader
from monitord.rpc.first_start import read_set
from monitord.rpc.specs import SpecReader
from monitord.v1 import monitor_pb2

EXAMPLES = Path(__file__).parents[2] / "examples"


def monitors(name: str) -> list[monitor_pb2.Monitor]:
    document = yaml.safe_load((EXAMPLES / name).read_text())
    assert set(document) == {"monitors"}
    return [json_format.ParseDict(each, monitor_pb2.Monitor()) for each in document["monitors"]]


@pytest.mark.parametrize("name", ["monitors.yaml", "public.yaml"])
def test_every_example_is_a_monitor_of_the_contract_with_a_name_of_its_own(name):
    names = [monitor.name for monitor in monitors(name)]
    assert all(names)
    assert len(names) == len(set(names))
    assert all(monitor.WhichOneof("kind") == "http" for monitor in monitors(name))


def test_what_make_run_applies_stays_on_this_machine():
    for monitor in monitors("monitors.yaml"):
        assert monitor.http.url.startswith(f"http://{HOST}:94")
        assert 5 <= monitor.interval.seconds <= 10, "so that something is seen at once"


def test_the_slow_one_is_slower_than_expected_and_the_down_one_has_nobody_listening():
    by_url = {monitor.http.url: monitor for monitor in monitors("monitors.yaml")}
    slow = by_url[f"http://{HOST}:{PORT}/slow"]
    assert slow.http.expected_latency.ToMilliseconds() < SLOW_S * 1000
    assert f"http://{HOST}:{PORT + 1}/" in by_url


def test_public_sites_are_not_asked_more_than_once_a_minute():
    assert all(monitor.interval.seconds in (0, *range(60, 3601)) for monitor in monitors("public.yaml"))


class Everything:
    """Support for every kind, whatever this machine can do."""

    def why_not(self, check):
        return None


@pytest.mark.parametrize("name", ["monitors.yaml", "public.yaml", "kinds.yaml"])
def test_every_example_is_accepted_by_a_server_as_it_is_unless_it_is_told_otherwise(name):
    reader = SpecReader(Limits(), EgressPolicy("private"), Everything())
    assert reader.with_secrets(reader.whole_set(monitors(name)), {})


def test_alerts_are_accepted_at_the_first_start():
    specs, contacts = (
        SpecReader(Limits(), EgressPolicy("private"), Everything()),
        ContactReader(EgressPolicy("private")),
    )
    environ = {"SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T0/B0/x"}
    first = read_set(EXAMPLES / "alerts.yaml", specs, contacts, environ)
    assert {contact.name for contact in first.contacts} == {"ann", "ops", "ticket system"}
    assert {(monitor, contact) for monitor, contact, _ in first.wishes} == {
        ("shop front", "ops"),
        ("orders", "ann"),
        ("orders", "ticket system"),
        ("orders", "ops"),
    }
    with pytest.raises(InvalidArgumentError, match="the environment has no SLACK_WEBHOOK_URL"):
        read_set(EXAMPLES / "alerts.yaml", specs, contacts, {})


def test_kinds_has_every_kind_of_the_contract_under_names_of_their_own():
    shown = monitors("kinds.yaml")
    assert len({monitor.name for monitor in shown}) == len(shown)
    kinds = {field.name for field in monitor_pb2.Monitor.DESCRIPTOR.oneofs_by_name["kind"].fields}
    assert {monitor.WhichOneof("kind") for monitor in shown} == kinds


def test_kinds_points_at_this_machine_or_at_names_for_documentation():
    place = re.compile(r"^[^#]*\b(?:host|server|url|server_name): *(?:\w+://)?([\w.-]+)", re.MULTILINE)
    hosts = place.findall((EXAMPLES / "kinds.yaml").read_text())
    assert len(hosts) > 10
    assert all(host == "127.0.0.1" or host.endswith("example.com") for host in hosts)
