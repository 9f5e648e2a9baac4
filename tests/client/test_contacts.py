"""Contacts: the client's calls, and monitorctl."""

import asyncio
import json
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode
from typer.testing import CliRunner

from monitord_client import (
    AlertSettings,
    Client,
    Contact,
    EmailContact,
    EtagMismatchError,
    FailedPreconditionError,
    NotFoundError,
    SlackContact,
    UnavailableError,
    WebhookContact,
    http_monitor,
)
from monitord_client.monitorctl.app import build
from monitord_client.v1 import contact_pb2 as pb
from tests.client.conftest import Ctl
from tests.client.fake_alerting import CODE
from tests.client.fake_monitord import FakeMonitord, Fault

HOOK = "https://hooks.slack.example/T0/B0/x"
LOST = Fault(StatusCode.UNAVAILABLE, after_acting=True)


def ann(name: str = "ann") -> Contact:
    return Contact(name=name, email=EmailContact(address=f"{name}@example.org"))


async def test_a_lost_answer_makes_no_second_contact(server: FakeMonitord, client: Client) -> None:
    server.faults["CreateContact"].append(LOST)
    made = await client.create_contact(ann())
    assert (len(server.calls), len(server.contacts)) == (2, 1)
    assert (await client.get_contact(made.id)).destination == "ann@example.org"


async def test_all_pages_are_listed(server: FakeMonitord, client: Client) -> None:
    server.page_size = 2
    for number in range(5):
        server.meet(ann(f"c{number}"))
        server.configs[7, number + 1] = AlertSettings()
    assert [contact.name async for contact in client.list_contacts()] == ["c0", "c1", "c2", "c3", "c4"]
    assert [config.contact_id async for config in client.list_alert_configs(monitor_id=7)] == [1, 2, 3, 4, 5]
    assert [config.contact_id async for config in client.list_alert_configs(contact_id=3)] == [3]


async def test_a_change_says_what_minds_the_etag_and_keeps_secrets(server: FakeMonitord, client: Client) -> None:
    stored = server.meet(Contact(name="ops", slack=SlackContact(webhook_url=HOOK)))
    wish = Contact(id=stored.id, etag=stored.etag, name="web", time_zone="Europe/Berlin")
    wish.slack.SetInParent()
    assert (await client.update_contact(wish, fields=["time_zone", "slack"])).name == "ops"
    assert server.contact_secrets[stored.id] == {"webhook_url": HOOK}
    with pytest.raises(EtagMismatchError):
        await client.update_contact(wish, fields=["name"])


async def test_deletions_whose_answer_was_lost_are_no_errors(server: FakeMonitord, client: Client) -> None:
    stored = server.meet(ann())
    server.configs[7, stored.id] = AlertSettings()
    server.faults["DeleteAlertConfig"].append(LOST)
    await client.delete_alert_config(7, stored.id)
    with pytest.raises(NotFoundError):
        await client.delete_alert_config(7, stored.id)
    server.faults["DeleteContact"].append(LOST)
    await client.delete_contact(stored.id)
    with pytest.raises(NotFoundError):
        await client.delete_contact(stored.id)


@pytest.mark.parametrize("method", ["SendConfirmation", "TestContact", "ConfirmContact"])
async def test_what_sends_a_message_or_uses_up_a_code_is_never_repeated(
    server: FakeMonitord, client: Client, method: str
) -> None:
    stored = server.meet(ann())
    server.faults[method].append(LOST)
    calls = {
        "SendConfirmation": lambda: client.send_confirmation(stored.id),
        "TestContact": lambda: client.test_contact(stored.id),
        "ConfirmContact": lambda: client.confirm_contact(stored.id, CODE),
    }
    with pytest.raises(UnavailableError):
        await calls[method]()
    assert len(server.called(method)) == 1


async def test_a_mailbox_confirms_and_is_told_until_it_is_not(server: FakeMonitord, client: Client) -> None:
    stored = server.meet(ann())
    assert (await client.send_confirmation(stored.id)).accepted
    with pytest.raises(FailedPreconditionError):
        await client.confirm_contact(stored.id, "00000000")
    assert (await client.confirm_contact(stored.id, CODE)).HasField("verify_time")
    assert (await client.unsubscribe_contact(stored.id)).disabled_reason == "unsubscribed"


async def test_settings_come_back_whole(server: FakeMonitord, client: Client) -> None:
    await client.create_monitor(http_monitor("shop", "https://shop.example/"))
    server.meet(ann())
    assert (await client.set_alert_config(1, 1)).settings.active
    wish = AlertSettings(kinds=[pb.ALERT_KIND_DOWN])
    assert list((await client.set_alert_config(1, 1, wish)).settings.kinds) == [pb.ALERT_KIND_DOWN]


# monitorctl


@pytest.fixture
def hook(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a secret into the environment, and into a file of the folder that ``ctl`` is in."""
    monkeypatch.setenv("HOOK", HOOK)
    Path("hook.txt").write_text(HOOK + "\n")


@pytest.mark.parametrize(
    ("target", "options", "channel"),
    [
        ("mailto:ann@example.org", [], {"email": {"address": "ann@example.org"}}),
        ("ann@example.org", [], {"email": {"address": "ann@example.org"}}),
        ("https://a.example/x", ["--set", "headers={name: X-Team, value: web}"],
         {"webhook": {"url": "https://a.example/x", "headers": [{"name": "X-Team", "value": "web"}]}}),
        ("https://a.example/x", ["--secret", "headers.Authorization=env:HOOK", "--secret", "signing_key=env:HOOK"],
         {"webhook": {"url": "https://a.example/x", "signingKey": HOOK,
                      "headers": [{"name": "Authorization", "value": HOOK, "secret": True}]}}),
        ("slack:env:HOOK", [], {"slack": {"webhookUrl": HOOK}}),
        ("slack", ["--secret", "webhook_url=env:HOOK"], {"slack": {"webhookUrl": HOOK}}),
        ("teams:@hook.txt", [], {"teams": {"webhookUrl": HOOK}}),
        ("discord", ["--set", "webhook_url=@hook.txt"], {"discord": {"webhookUrl": HOOK}}),
        ("telegram:-100123/7", ["--secret", "bot_token=@hook.txt"],
         {"telegram": {"botToken": HOOK, "chatId": "-100123", "topicId": "7"}}),
        ("telegram:@status", ["--secret", "bot_token=@hook.txt"],
         {"telegram": {"botToken": HOOK, "chatId": "@status"}}),
        ("pagerduty:eu", ["--secret", "routing_key=env:HOOK"],
         {"pagerduty": {"routingKey": HOOK, "region": "PAGER_DUTY_REGION_EU"}}),
        ("pagerduty", ["--secret", "routing_key=env:HOOK"],
         {"pagerduty": {"routingKey": HOOK, "region": "PAGER_DUTY_REGION_US"}}),
        ("apprise:env:HOOK", [], {"apprise": {"url": HOOK}}),
    ],
)  # fmt: skip
async def test_the_scheme_chooses_the_channel(
    server: FakeMonitord,
    ctl: Ctl,
    hook: None,
    target: str,
    options: list[str],
    channel: dict[str, object],
) -> None:
    added = await ctl("contact", "add", "x", target, *options)
    assert (added.exit_code, added.stdout) == (0, "+ x (id 1)\n"), added.stderr
    (request,) = server.called("CreateContact")
    assert MessageToDict(request.contact) == {"name": "x", **channel}
    assert HOOK not in added.stdout + added.stderr


async def test_a_secret_comes_from_stdin_too(server: FakeMonitord, ctl: Ctl) -> None:
    assert (await ctl("contact", "add", "ops", "slack:@-", stdin=f"{HOOK}\n")).exit_code == 0
    assert server.contact_secrets[1] == {"webhook_url": HOOK}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([f"slack:{HOOK}"], "would stay in your shell's history: write slack (the URL is asked for), slack:@FILE"),
        (["https://hooks.slack.com/services/T/B/x"], "hooks.slack.com is not a webhook of your own"),
        (["https://acme.webhook.office.com/x"], "write teams (the URL is asked for)"),
        (["https://me:secret@a.example/"], "a password must not stand in a URL"),
        (["apprise:pover://user@token"], "whoever knows this URL can post"),
        (["telegram:123456:ABCDEFGHIJKLMNOPQRSTUVWX"], "a bot's token on the command line"),
        (["telegram:"], "the chat is missing: write telegram:CHAT_ID[/TOPIC]"),
        (["telegram:1/x"], "the topic must be a number, not 'x'"),
        (["pagerduty:0123456789abcdef0123456789abcdef"], "the routing key goes into --secret routing_key"),
        (["slack"], "there is no terminal to ask for webhook_url: write --secret webhook_url=@FILE"),
        (["slack", "--secret", f"webhook_url={HOOK}"], "write --secret webhook_url (it is asked for)"),
        (["apprise", "--set", "url=pover://user@token"], "write --secret url (it is asked for)"),
        (["slack:env:NOBODY"], "the environment has no NOBODY"),
        (["slakc"], "did you mean 'slack'? There is mailto:ann@example.org"),
        (["mailto:ann@example.org?subject=x"], "write the address alone"),
        (["ann@example.org", "--set", "adress=x"], "did you mean 'address'?"),
        (["ann@example.org", "--set", "address=x"], "something else already: it is ann@example.org"),
        (["ann@example.org", "--delay", "2m"], "--delay is for --default"),
        (["ann@example.org", "--default", "--on", "gone"], "--on: 'gone' is not one of down, up, degraded"),
        (["ann@example.org", "--default", "--on", "slow"], "say above which response time it is slow: --slow 800ms"),
        (["ann@example.org", "--default", "--quiet", "22-7"], "'22-7' should look like 22:00-07:00"),
        (["ann@example.org", "--default", "--delay", "2"], "'2' has no unit"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_and_secrets_are_not(
    server: FakeMonitord, ctl: Ctl, arguments: list[str], sentence: str
) -> None:
    refused = await ctl("contact", "add", "x", *arguments)
    told = " ".join(refused.stderr.replace("│", " ").split())
    assert (refused.exit_code, sentence in told) == (2, True), told
    assert not any(word in told for word in (HOOK, "secret@", "user@token", "0123456789abcdef", "ABCDEF"))
    assert not server.contacts


async def test_defaults_for_new_monitors(server: FakeMonitord, ctl: Ctl) -> None:
    added = await ctl(
        *("contact", "add", "ann", "ann@example.org", "--time-zone", "Europe/Berlin", "--default"),
        *("--on", "down,up", "--slow", "800ms", "--delay", "2m", "--escalate-after", "10m", "--remind", "1h"),
        *("--quiet", "22:00-07:00", "--off"),
    )
    assert "ann@example.org gets a mail, and is told nothing before it has confirmed" in added.stderr
    settings = server.called("CreateContact")[0].contact.default_settings
    assert list(settings.kinds) == [pb.ALERT_KIND_DOWN, pb.ALERT_KIND_UP, pb.ALERT_KIND_SLOW]
    assert (settings.slow_threshold.ToMilliseconds(), settings.delay.seconds) == (800, 120)
    assert (settings.escalate_after.seconds, settings.reminder_interval.seconds) == (600, 3600)
    assert (settings.quiet_hours.start, settings.quiet_hours.end, settings.active) == ("22:00", "07:00", False)
    told = (await ctl("contact", "list")).stdout
    assert (
        "OFF; down, up, slow; slow above 800ms; if it lasts 2m; if nobody acknowledges for 10m; again every 1h" in told
    )
    await ctl("contact", "add", "bob", "bob@example.org", "--default")
    assert server.called("CreateContact")[1].contact.HasField("default_settings")


async def test_list_and_show_tell_the_state(server: FakeMonitord, ctl: Ctl) -> None:
    assert "contact add" in (await ctl("contact", "list")).stderr
    await ctl("add", "shop", "https://shop.example/")
    server.meet(ann())
    server.meet(Contact(name="hook\x1b[2J", webhook=WebhookContact(url="https://a.example/")))
    server.meet(ann("gone")).disabled_reason = "hard bounce"
    server.configs[1, 1] = AlertSettings(kinds=[pb.ALERT_KIND_DOWN])
    lines = (await ctl("contact", "list")).stdout.splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["email", "webhook", "email"]
    assert ["UNCONFIRMED" in lines[1], "READY" in lines[2], "OFF: hard bounce" in lines[3]] == [True] * 3
    assert "\x1b" not in lines[2]
    card = (await ctl("contact", "show", "ann")).stdout
    assert "shop: down" in card
    assert json.loads((await ctl("contact", "show", "1", "-o", "json")).stdout)["name"] == "ann"
    assert len(json.loads((await ctl("contact", "list", "-o", "json")).stdout)["contacts"]) == 3


async def test_rename_unsubscribe_and_rm(server: FakeMonitord, ctl: Ctl) -> None:
    server.meet(ann())
    assert (await ctl("contact", "rename", "ann", "anna")).stdout == "ann is now anna\n"
    assert (await ctl("contact", "unsubscribe", "anna")).stdout == "anna: told nothing any more\n"
    unknown = await ctl("contact", "rm", "ann")
    assert (unknown.exit_code, "Did you mean 'anna'?" in unknown.stderr) == (3, True)
    assert (await ctl("contact", "rm", "1")).stdout == "- anna\n"
    assert not server.contacts


async def test_confirm_resend_and_test(server: FakeMonitord, ctl: Ctl) -> None:
    server.meet(ann())
    assert (
        await ctl("contact", "resend", "ann")
    ).stdout == "ann: the mail with the code was taken: smtp.250 - queued\n"
    wrong = await ctl("contact", "confirm", "ann", "00000000")
    assert (wrong.exit_code, wrong.stderr) == (6, "Error: that is not the code\n")
    assert (await ctl("contact", "confirm", "ann", "1234 5678")).stdout == "ann: confirmed\n"
    assert (await ctl("contact", "test", "ann")).exit_code == 0
    server.report.accepted, server.report.code, server.report.detail = False, "smtp.550", "no such user"
    failed = await ctl("contact", "test", "ann")
    assert (failed.exit_code, failed.stdout) == (1, "ann: the test was NOT taken: smtp.550 - no such user\n")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("monitorctl contact show an", ["ann", "anna"]),
        ("monitorctl alert set shop bo", ["bob"]),
        ("monitorctl contact add x tele", ["telegram:"]),
    ],
)
async def test_names_and_targets_complete(
    server: FakeMonitord, ctl: Ctl, monkeypatch: pytest.MonkeyPatch, words: str, offered: list[str]
) -> None:
    for name in ("ann", "anna", "bob"):
        server.meet(ann(name))
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    monkeypatch.setenv("_MONITORCTL_COMPLETE", "complete_bash")
    told = await asyncio.to_thread(CliRunner().invoke, build(), [], prog_name="monitorctl")
    assert sorted(told.stdout.split()) == offered
