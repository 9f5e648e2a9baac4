"""Contacts and alerts in the file of ``apply``: read with lines, applied as if they had always been so."""

import json
from pathlib import Path

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from monitord_client import AlertSettings, Contact, EmailContact, SlackContact, WebhookContact, http_monitor
from monitord_client.monitorctl.contact_changes import changes_of, effective
from monitord_client.monitorctl.manifest import ManifestError, read_manifest
from monitord_client.v1 import contact_pb2 as pb
from tests.client.conftest import Ctl
from tests.client.fake_monitord import FakeMonitord, Fault

HOOK = "https://hooks.slack.example/T0/B0/x"
FILE = """
contacts:
  - name: ann
    email: {address: ann@example.org}
    time_zone: Europe/Berlin
    default_settings: {quiet_hours: {start: "22:00", end: "07:00"}}
  - name: ops
    slack: {webhook_url: env:HOOK}
monitors:
  - name: shop
    interval: 30s
    http: {url: https://shop.example/}
    alerts: [ann, {contact: ops, kinds: [down, up], delay: 2m}]
  - name: blog
    interval: 1m
    http: {url: https://blog.example/}
"""


@pytest.fixture
def file(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file above in the folder that ``ctl`` is in, and what it names of the environment."""
    monkeypatch.setenv("HOOK", HOOK)
    path = Path("a.yaml")
    path.write_text(FILE)
    return path


def rewrite(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


WRITES = ("Create", "Update", "Delete", "Set", "Apply", "Confirm", "Send", "Unsubscribe")


def written(server: FakeMonitord) -> list[str]:
    """Return the calls since the last time that change something."""
    found = [
        name
        for name, request in server.calls
        if name.startswith(WRITES) and not (name == "ApplyMonitors" and request.dry_run)
    ]
    server.calls.clear()
    return found


async def test_everything_is_made_once(server: FakeMonitord, ctl: Ctl, file: Path) -> None:
    planned = await ctl("apply", "a.yaml", "--dry-run")
    lines = ["+ contact ann", "+ contact ops", "+ shop", "+ blog", "+ alerts shop -> ann", "+ alerts shop -> ops"]
    assert planned.stdout.splitlines() == lines
    assert (written(server), planned.stderr) == ([], "6 created (dry run: nothing was changed)\n")
    done = await ctl("apply", "a.yaml")
    assert done.stdout.splitlines() == lines
    assert "ann@example.org gets a mail, and is told nothing before it has confirmed" in done.stderr
    assert server.contact_secrets == {2: {"webhook_url": HOOK}}
    assert list(server.configs[1, 2].kinds) == [pb.ALERT_KIND_DOWN, pb.ALERT_KIND_UP]
    assert not server.configs[1, 1].HasField("quiet_hours"), "what stands at the monitor is in place of the defaults"
    assert server.configs[2, 1].quiet_hours.start == "22:00", "the default of a contact meets a new monitor"


async def test_a_second_time_nothing_is_touched(server: FakeMonitord, ctl: Ctl, file: Path) -> None:
    await ctl("apply", "a.yaml")
    etags = {contact.name: contact.etag for contact in server.contacts.values()}
    written(server)
    again = await ctl("apply", "a.yaml")
    assert all(line.startswith("= ") for line in again.stdout.splitlines())
    assert {contact.name: contact.etag for contact in server.contacts.values()} == etags
    assert written(server) == ["UpdateContact", "ApplyMonitors"], "a secret can't be compared: it is sent"
    rewrite(file, "slack: {webhook_url: env:HOOK}", "slack: {}")
    assert (await ctl("apply", "a.yaml")).exit_code == 0
    assert written(server) == ["ApplyMonitors"]
    assert server.contact_secrets == {2: {"webhook_url": HOOK}}


async def test_a_dry_run_does_not_guess_about_secrets(
    server: FakeMonitord, ctl: Ctl, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ctl("apply", "a.yaml")
    planned = await ctl("apply", "a.yaml", "--dry-run")
    assert "? contact ops (slack.webhook_url)" in planned.stdout
    assert "only applying shows whether they differ" in planned.stderr
    monkeypatch.setenv("HOOK", f"{HOOK}2")
    assert "~ contact ops (slack)" in (await ctl("apply", "a.yaml")).stdout
    assert server.contact_secrets[2] == {"webhook_url": f"{HOOK}2"}


async def test_changes_are_told_by_field(server: FakeMonitord, ctl: Ctl, file: Path) -> None:
    await ctl("apply", "a.yaml")
    rewrite(file, "Europe/Berlin", "Europe/Paris")
    rewrite(file, '    default_settings: {quiet_hours: {start: "22:00", end: "07:00"}}\n', "")
    rewrite(file, "delay: 2m", "delay: 3m")
    written(server)
    done = (await ctl("apply", "a.yaml")).stdout.splitlines()
    assert [done[0], *done[4:]] == [
        "~ contact ann (time_zone, default_settings)",
        "= alerts shop -> ann",
        "~ alerts shop -> ops",
    ]
    assert not server.contacts[1].HasField("default_settings")
    assert written(server) == ["UpdateContact", "UpdateContact", "ApplyMonitors", "SetAlertConfig"]


async def test_prune_ends_what_the_file_does_not_name_and_nothing_else(
    server: FakeMonitord, ctl: Ctl, file: Path
) -> None:
    server.meet(Contact(name="old", email=EmailContact(address="old@example.org"), default_settings=AlertSettings()))
    await ctl("apply", "a.yaml")
    assert {pair for pair in server.configs if pair[1] == 1} == {(1, 1), (2, 1)}
    without = await ctl("apply", "a.yaml")
    assert "old" not in without.stdout
    rewrite(file, ", {contact: ops, kinds: [down, up], delay: 2m}", "")
    planned = await ctl("apply", "a.yaml", "--prune", "--dry-run")
    removed = [line for line in planned.stdout.splitlines() if line.startswith("-")]
    assert removed == ["- contact old", "- alerts shop -> old", "- alerts shop -> ops"]
    assert 1 in server.contacts
    await ctl("apply", "a.yaml", "--prune")
    assert [contact.name for contact in server.contacts.values()] == ["ann", "ops"]
    assert set(server.configs) == {(1, 2), (2, 2)}, "blog says nothing of its alerts: they stay"


async def test_without_contacts_in_the_file_none_are_pruned(server: FakeMonitord, ctl: Ctl) -> None:
    server.meet(Contact(name="ann", email=EmailContact(address="ann@example.org")))
    server.put(http_monitor("old", "https://old.example/"))
    shop = "monitors:\n  - name: shop\n    http: {url: https://x.example/}\n    alerts: [ann]\n"
    assert "- old" in (await ctl("apply", "-", "--prune", stdin=shop)).stdout
    assert (list(server.contacts), list(server.configs)) == ([1], [(2, 1)])
    bob = "contacts:\n  - name: bob\n    email: {address: bob@example.org}\n"
    await ctl("apply", "-", "--prune", "--yes", stdin=bob)
    assert [contact.name for contact in server.contacts.values()] == ["bob"]
    assert len(server.monitors) == 1, "a file of contacts alone says nothing of monitors"


async def test_scripts_get_all_of_it(server: FakeMonitord, ctl: Ctl, file: Path) -> None:
    told = json.loads((await ctl("apply", "a.yaml", "-o", "json")).stdout)
    assert [result["name"] for result in told["results"]] == ["shop", "blog"]
    assert told["contacts"][1] == {
        "name": "ops", "action": "APPLY_ACTION_CREATED", "changed_fields": [], "id": "2",
    }  # fmt: skip
    assert told["alerts"][0] == {"monitor": "shop", "contact": "ann", "action": "APPLY_ACTION_CREATED"}


async def test_what_the_server_refuses_has_its_line(server: FakeMonitord, ctl: Ctl, file: Path) -> None:
    rewrite(file, "ann@example.org", "nowhere")
    refused = await ctl("apply", "a.yaml")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "Error: nothing was applied:\na.yaml:4: contacts[0].email.address: must be an address\n",
    )
    rewrite(file, "nowhere", "ann@example.org")
    rewrite(file, "delay: 2m", "reminder_interval: 3s")
    refused = await ctl("apply", "a.yaml")
    assert (
        "not all of it was applied, but contact ann, contact ops, all monitors, alerts shop -> ann:" in refused.stderr
    )
    assert "a.yaml:13: monitors[0].alerts[1].reminder_interval: must be 5 min to 7 days" in refused.stderr


async def test_a_wrong_monitor_is_told_before_a_contact_is_changed(server: FakeMonitord, ctl: Ctl, file: Path) -> None:
    fault = Fault(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", violations={"monitors[1].http.url": "is wrong"})
    server.faults["ApplyMonitors"].append(fault)
    refused = await ctl("apply", "a.yaml")
    assert refused.stderr == "Error: nothing was applied:\na.yaml:16: monitors[1].http.url: is wrong\n"
    assert not server.contacts


async def test_a_contact_that_nobody_knows_is_told_first(server: FakeMonitord, ctl: Ctl, file: Path) -> None:
    rewrite(file, "contact: ops", "contact: opps")
    refused = await ctl("apply", "a.yaml")
    assert "a.yaml:13: monitors[0].alerts[1]: no contact is called 'opps', neither in the files nor" in refused.stderr
    assert written(server) == []
    server.meet(Contact(name="opps", email=EmailContact(address="o@example.org")))
    assert "--prune would delete the contact 'opps'" in (await ctl("apply", "a.yaml", "--prune", "--yes")).stderr
    assert (await ctl("apply", "a.yaml")).exit_code == 0


X = "monitors:\n  - name: x\n    "
C = "contacts:\n  - name: x\n    "


@pytest.mark.parametrize(("text", "complaint"), [
    ("contacts: {}", "m.yaml:1: contacts: must be a list: write each contact as `- name: ...`"),
    ("contact: []", "there is no 'contact' here; did you mean 'contacts'?"),
    (f"{C}emial: {{}}", "m.yaml:3: contacts[0].emial: there is no 'emial' here; did you mean 'email'"),
    (f"{C}email: {{}}\n    slack: {{}}", "contacts[0].slack: 'email' and 'slack' cannot both be given"),
    ("contacts:\n  - email: {}", "m.yaml:2: contacts[0]: a contact needs a name"),
    ("contacts:\n  - name: x\n  - name: x", "m.yaml:3: contacts[1].name: 'x' is also the name of the contact"),
    (f"{C}slack: {{webhook_url: env:NOBODY}}", "slack.webhook_url: the environment has no NOBODY"),
    (f"{C}webhook:\n      url: https://x\n      headers:\n        - {{name: A, value: env:NOBODY}}",
     "m.yaml:6: contacts[0].webhook.headers[0].value: the environment has no NOBODY"),
    (f"{X}alerts: ann", "m.yaml:3: monitors[0].alerts: must be a list of contacts: `[ann]`"),
    (f"{X}alerts: [[ann]]", "monitors[0].alerts[0]: must be the name of a contact"),
    (f"{X}alerts: [ann, ann]", "monitors[0].alerts[1]: 'ann' stands here twice"),
    (f"{X}alerts:\n      - delay: 2m", "m.yaml:4: monitors[0].alerts[0]: say whom to tell"),
    (f"{X}alerts:\n      - {{contact: a, dellay: 2m}}", "did you mean 'delay'?"),
    (f"{X}alerts:\n      - {{contact: a, delay: 2}}", "alerts[0].delay: '2' has no unit"),
    (f"{X}alerts:\n      - {{contact: a, kinds: gone}}", "kinds[0]: 'gone' is not one of: down, up"),
])  # fmt: skip
def test_what_is_wrong_in_a_file_has_a_line_and_what_would_be_right(text: str, complaint: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_manifest([("m.yaml", text)], {})
    assert complaint in str(caught.value)


def test_what_the_server_lists_can_be_applied() -> None:
    listed = "contacts:\n  - {id: 7, name: x, email: {address: a@b}, destination: a@b, etag: v1, disabled_reason: ''}"
    assert read_manifest([("m.yaml", listed)]).contacts == [Contact(name="x", email=EmailContact(address="a@b"))]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {"active": True, "kinds": [1, 2, 3, 4, 8], "delay": "0s", "reminderInterval": "0s"}, True),
        ({"slowThreshold": "0.8s"}, {"kinds": [8, 7, 4, 3, 2, 1], "slowThreshold": "0.800s"}, True),
        ({"kinds": [2, 1]}, {"kinds": [1, 2, 2]}, True),
        ({}, {"active": False}, False),
        ({}, {"quietHours": {"start": "22:00", "end": "07:00"}}, False),
        ({"delay": "60s"}, {"delay": "61s"}, False),
    ],
)
def test_settings_that_mean_the_same_are_the_same(one: object, other: object, same: bool) -> None:
    first, second = (ParseDict(each, AlertSettings()) for each in (one, other))  # type: ignore[arg-type]
    assert (effective(first) == effective(second)) is same


def test_what_differs_between_contacts() -> None:
    stored = Contact(id=1, name="x", time_zone="UTC", webhook=WebhookContact(url="https://a"), etag="v3")
    assert changes_of(Contact(name="x", webhook=WebhookContact(url="https://a", signing_key="s")), stored) == ()
    assert changes_of(Contact(name="x", webhook=WebhookContact(url="https://b")), stored) == ("webhook",)
    assert changes_of(Contact(name="x", slack=SlackContact(webhook_url="s")), stored) == ("slack",)
    wanted = Contact(name="x", time_zone="Europe/Paris", default_settings=AlertSettings())
    assert changes_of(wanted, stored) == ("time_zone", "default_settings")
    duty = Contact(name="x", time_zone="UTC")
    duty.pagerduty.region = pb.PAGER_DUTY_REGION_US
    plain = Contact(name="x")
    plain.pagerduty.SetInParent()
    assert changes_of(plain, duty) == ()
