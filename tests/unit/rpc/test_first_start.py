"""The file of the first start: what it may say, and what is said of what is wrong in it."""

from pathlib import Path

import pytest

from monitord.domain.alert import AlertKind
from monitord.domain.contacts import SlackContact, WebhookContact
from monitord.domain.errors import InvalidArgumentError
from monitord.domain.kinds import Check
from monitord.domain.rules.monitor import Limits
from monitord.domain.secrets import Secret
from monitord.probes.egress import EgressPolicy
from monitord.rpc.convert_contact import ContactReader
from monitord.rpc.first_start import FirstSet, read_set
from monitord.rpc.specs import SpecReader

HOOK = "https://hooks.slack.com/services/T0/B0/x"
SHOP = "monitors:\n  - name: shop\n    http: {url: https://x.example/}\n    "
SLACK = "slack: {webhook_url: env:HOOK}"
OPS = "contacts:\n  - name: ops\n    "


class Everything:
    """Support for every kind, whatever this machine can do."""

    def why_not(self, check: Check) -> None:
        """Say that it can."""


def read(folder: Path, text: str) -> FirstSet:
    path = folder / "first.yaml"
    path.write_text(text)
    policy = EgressPolicy("private")
    return read_set(path, SpecReader(Limits(), policy, Everything()), ContactReader(policy), {"HOOK": HOOK})


def test_contacts_with_texts_of_the_environment_and_whom_to_tell_what(tmp_path: Path) -> None:
    text = f"""{OPS}slack: {{webhook_url: env:HOOK}}
  - name: hook
    webhook: {{url: env:HOOK, headers: [{{name: X, value: env:HOOK, secret: true}}]}}
{SHOP}alerts: [hook, {{contact: ops, kinds: [ALERT_KIND_DOWN], delay: 60s}}]
"""
    first = read(tmp_path, text)
    slack, hook = (contact.channel for contact in first.contacts)
    assert slack == SlackContact(webhook_url=Secret(HOOK))
    assert isinstance(hook, WebhookContact)
    assert (hook.url, hook.headers[0].value) == (HOOK, HOOK)
    assert [(wish.monitor, wish.contact, wish.settings.delay_s) for wish in first.wishes] == [
        ("shop", "hook", 0),
        ("shop", "ops", 60),
    ]
    assert first.wishes[1].settings.kinds == (AlertKind.DOWN,)


def test_one_without_contacts_is_read_as_ever(tmp_path: Path) -> None:
    first = read(tmp_path, f"{SHOP}interval: 60s")
    assert ([monitor.name for monitor in first.monitors], first.contacts, first.wishes) == (["shop"], [], [])
    assert read(tmp_path, "") == FirstSet([], [], [])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("contacts: {}", "contacts: must be a list"),
        ("- 1", "must be a set of monitors in YAML"),
        ("contacts: [7]", "contacts[0]: must be a mapping with a name"),
        (f"{OPS}slak: {{}}", "contacts[0]: must be a contact: "),
        (f"{OPS}slack: {{}}", "contacts[0].slack.webhook_url: must be given"),
        (f"{OPS}slack: {{webhook_url: env:NOBODY}}", "contacts[0]: the environment has no NOBODY"),
        (f"{OPS}{SLACK}\n  - name: ops\n    {SLACK}", "contacts[1].name"),
        (f"{SHOP}alerts: ann", "monitors[0].alerts: must be a list"),
        (f"{SHOP}alerts: [ann]", "monitors[0].alerts[0]: 'ann' is not the name of a contact of this file"),
        (f"{SHOP}alerts: [[ann]]", "is not the name of a contact of this file"),
        (f"{OPS}{SLACK}\n{SHOP}alerts: [{{contact: ops, delai: 60s}}]", "fields of AlertSettings"),
        (f"{OPS}{SLACK}\n{SHOP}alerts: [{{contact: ops, delay: 90000s}}]", "alerts[0].delay: must"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_its_path(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        read(tmp_path, text)
    told = "; ".join(f"{one.field}: {one.description}" for one in refused.value.violations)
    assert complaint in told
    assert HOOK not in told
