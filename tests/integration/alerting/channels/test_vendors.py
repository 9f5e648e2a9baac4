"""Each channel against a stand-in that takes only what its vendor would take."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from monitord.alerting.discord import DiscordSender
from monitord.alerting.http_delivery import HttpDelivery
from monitord.alerting.pagerduty import HOSTS, PagerDutySender
from monitord.alerting.slack import SlackSender
from monitord.alerting.teams import TeamsSender
from monitord.alerting.telegram import HOST, TelegramSender
from monitord.domain.contacts import DiscordContact, PagerDutyContact, SlackContact, TeamsContact, TelegramContact
from monitord.domain.contacts.pagerduty import PagerDutyRegion
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.notice import Notice, NoticeKind
from monitord.domain.secrets import Secret
from tests.support.notices import DIGEST, DOWN
from tests.support.vendors import discord, pagerduty, serving, slack, teams, telegram


def of(kind: NoticeKind, **changes: object) -> Notice:
    return msgspec.structs.replace(DOWN, kind=kind, duration_s=90.0, **changes)


EVERY = [DIGEST if kind is NoticeKind.DIGEST else of(kind) for kind in NoticeKind]


@pytest.fixture
async def slack_service() -> AsyncIterator[slack.Slack]:
    async with serving(service := slack.Slack()):
        yield service


@pytest.fixture
async def teams_service() -> AsyncIterator[teams.Teams]:
    async with serving(service := teams.Teams()):
        yield service


@pytest.fixture
async def discord_service() -> AsyncIterator[discord.Discord]:
    async with serving(service := discord.Discord()):
        yield service


@pytest.fixture
async def telegram_service() -> AsyncIterator[telegram.Telegram]:
    async with serving(service := telegram.Telegram()):
        yield service


@pytest.fixture
async def pagerduty_service() -> AsyncIterator[pagerduty.PagerDuty]:
    async with serving(service := pagerduty.PagerDuty()):
        yield service


async def test_slack_takes_every_kind(delivery: HttpDelivery, slack_service: slack.Slack) -> None:
    sender = SlackSender(delivery)
    contact = SlackContact(webhook_url=Secret(slack_service.base + slack.PATH))
    for notice in EVERY:
        assert (await sender.send(contact, notice, 20.0)).accepted
    shown = slack_service.taken[0]
    assert shown["text"] == "[DOWN] Shop - the server answered 503"
    assert shown["blocks"][0]["text"]["text"] == shown["text"]
    assert "Target: https://shop.example/" in shown["blocks"][1]["text"]["text"]
    assert "&lt;h1&gt;sorry&lt;/h1&gt;" in shown["blocks"][2]["text"]["text"]
    assert shown["blocks"][3]["elements"][0]["text"] == (
        "<https://monitord.example/monitors/7?a=1&amp;b=2|Open in monitord> · <https://shots.example/1.png|Screenshot>"
    )


async def test_a_slack_webhook_that_is_gone(delivery: HttpDelivery, slack_service: slack.Slack) -> None:
    contact = SlackContact(webhook_url=Secret(f"{slack_service.base}/services/T0/B0/other"))
    attempt = await SlackSender(delivery).send(contact, DOWN, 20.0)
    assert (attempt.outcome, attempt.code, attempt.disables_contact) == (Outcome.PERMANENT, "slack.no_service", True)


async def test_teams_takes_every_kind(delivery: HttpDelivery, teams_service: teams.Teams) -> None:
    sender = TeamsSender(delivery)
    contact = TeamsContact(webhook_url=Secret(f"{teams_service.base}{teams.PATH}?{teams.QUERY}"))
    for notice in EVERY:
        assert (await sender.send(contact, notice, 20.0)).accepted
    assert teams_service.seen[0].query == teams.QUERY, "a signature is sent as it was written"
    card = teams_service.taken[0]["attachments"][0]["content"]
    assert card["body"][0]["text"] == "\\[DOWN\\] Shop \\- the server answered 503"
    assert card["body"][0]["color"] == "Attention"
    assert card["actions"][0]["url"] == DOWN.link


async def test_a_teams_workflow_that_is_gone(delivery: HttpDelivery, teams_service: teams.Teams) -> None:
    contact = TeamsContact(webhook_url=Secret(f"{teams_service.base}{teams.PATH}?sig=another"))
    attempt = await TeamsSender(delivery).send(contact, DOWN, 20.0)
    assert (attempt.code, attempt.disables_contact) == ("teams.DirectApiAuthorizationRequired", True)


async def test_discord_takes_every_kind(delivery: HttpDelivery, discord_service: discord.Discord) -> None:
    sender = DiscordSender(delivery)
    contact = DiscordContact(webhook_url=Secret(f"{discord_service.base}{discord.PATH}?thread_id=5"))
    for notice in EVERY:
        attempt = await sender.send(contact, notice, 20.0)
        assert (attempt.outcome, attempt.code) == (Outcome.ACCEPTED, "http.200")
    assert discord_service.seen[0].query == "thread_id=5&wait=true"
    embed = discord_service.taken[0]["embeds"][0]
    assert embed["title"] == "\\[DOWN\\] Shop - the server answered 503"
    assert {"name": "Target", "value": "`https://shop.example/`", "inline": True} in embed["fields"]
    assert embed["image"] == {"url": "https://shots.example/1.png"}


async def test_discord_is_asked_to_wait_whatever_the_url_has(
    delivery: HttpDelivery, discord_service: discord.Discord
) -> None:
    contact = DiscordContact(webhook_url=Secret(discord_service.base + discord.PATH))
    assert (await DiscordSender(delivery).send(contact, DOWN, 20.0)).accepted
    assert discord_service.seen[0].query == "wait=true"


async def tell(delivery: HttpDelivery, service: telegram.Telegram, contact: TelegramContact) -> Attempt:
    return await TelegramSender(delivery, host=service.base).send(contact, DOWN, 20.0)


async def test_telegram_takes_every_kind(delivery: HttpDelivery, telegram_service: telegram.Telegram) -> None:
    sender = TelegramSender(delivery, host=telegram_service.base)
    contact = TelegramContact(bot_token=Secret(telegram.TOKEN), chat_id="-100200300", message_thread_id=5)
    for notice in EVERY:
        assert (await sender.send(contact, notice, 20.0)).accepted
    shown = telegram_service.taken[0]
    assert shown["message_thread_id"] == 5
    assert shown["text"].startswith("<b>[DOWN] Shop - the server answered 503</b>\n\nMonitor: Shop\n")
    assert (
        "<pre>0 ms  dns: 192.0.2.1\nHTTP/1.1 503 Service Unavailable\n&lt;h1&gt;sorry&lt;/h1&gt;</pre>" in shown["text"]
    )
    assert "message_thread_id" not in (
        (
            await tell(delivery, telegram_service, TelegramContact(bot_token=contact.bot_token, chat_id="@status"))
        ).accepted
        and telegram_service.taken[-1]
    )


@pytest.mark.parametrize(
    ("token", "chat_id", "thread", "code"),
    [
        (telegram.TOKEN, "-1", 0, "telegram.chat_not_found"),
        (telegram.TOKEN, "-100200300", 6, "telegram.thread_not_found"),
        ("1234567:another-token", "-100200300", 0, "http.401"),
        ("1234567:a/../b?c#d", "-100200300", 0, "http.401"),
    ],
)
async def test_what_telegram_does_not_know(
    delivery: HttpDelivery, telegram_service: telegram.Telegram, token: str, chat_id: str, thread: int, code: str
) -> None:
    contact = TelegramContact(bot_token=Secret(token), chat_id=chat_id, message_thread_id=thread)
    attempt = await tell(delivery, telegram_service, contact)
    assert (attempt.outcome, attempt.code, attempt.disables_contact) == (Outcome.PERMANENT, code, True)
    assert token.partition(":")[2] not in attempt.detail
    assert telegram_service.seen[0].path.endswith("/sendMessage"), "no token leads elsewhere"


async def test_pagerduty_opens_and_closes_one_alert_for_an_outage(
    delivery: HttpDelivery, pagerduty_service: pagerduty.PagerDuty
) -> None:
    sender = PagerDutySender(delivery, hosts=dict.fromkeys(PagerDutyRegion, pagerduty_service.base))
    contact = PagerDutyContact(routing_key=Secret(pagerduty.KEY))
    for kind in (NoticeKind.DOWN, NoticeKind.REMINDER, NoticeKind.ESCALATION, NoticeKind.REMINDER):
        assert (await sender.send(contact, of(kind), 20.0)).accepted
        assert pagerduty_service.open == {"monitord-status-7"}
    assert (await sender.send(contact, of(NoticeKind.UP), 20.0)).accepted
    assert not pagerduty_service.open
    assert pagerduty_service.opened == ["monitord-status-7"]
    trigger = pagerduty_service.taken[0]
    assert trigger["payload"]["summary"] == "[DOWN] Shop - the server answered 503"
    assert trigger["payload"]["source"] == "https://shop.example/"
    assert trigger["payload"]["severity"] == "critical"
    assert trigger["links"][0]["href"] == trigger["client_url"] == DOWN.link


async def test_what_is_over_calls_nobody_and_closes_what_a_lost_answer_left_open(
    delivery: HttpDelivery, pagerduty_service: pagerduty.PagerDuty
) -> None:
    sender = PagerDutySender(delivery, hosts=dict.fromkeys(PagerDutyRegion, pagerduty_service.base))
    contact = PagerDutyContact(routing_key=Secret(pagerduty.KEY))
    assert (await sender.send(contact, of(NoticeKind.OUTAGE_OVER), 20.0)).accepted
    assert not pagerduty_service.opened
    pagerduty_service.open.add("monitord-status-7")
    assert (await sender.send(contact, of(NoticeKind.OUTAGE_OVER), 20.0)).accepted
    assert not pagerduty_service.open


async def test_pagerduty_takes_every_kind(delivery: HttpDelivery, pagerduty_service: pagerduty.PagerDuty) -> None:
    sender = PagerDutySender(delivery, hosts=dict.fromkeys(PagerDutyRegion, pagerduty_service.base))
    contact = PagerDutyContact(routing_key=Secret(pagerduty.KEY))
    for notice in EVERY:
        assert (await sender.send(contact, notice, 20.0)).accepted
    severities = {
        event["payload"]["summary"].partition("]")[0][1:]: event["payload"]["severity"]
        for event in pagerduty_service.taken
        if event["event_action"] == "trigger"
    }
    assert severities == {
        "DOWN": "critical",
        "STILL DOWN": "critical",
        "DIGEST": "critical",
        "FAULTED": "error",
        "MONITORD": "error",
        "DEGRADED": "warning",
        "SLOW": "warning",
        "CERTIFICATE": "warning",
        "TEST": "info",
        "CONFIRM": "info",
    }
    keys = {f"monitord-{topic}-7" for topic in ("status", "slow", "certificate")}
    assert {event["dedup_key"] for event in pagerduty_service.taken} == {*keys, "digest-1"}


async def test_a_routing_key_that_is_none(delivery: HttpDelivery, pagerduty_service: pagerduty.PagerDuty) -> None:
    sender = PagerDutySender(delivery, hosts=dict.fromkeys(PagerDutyRegion, pagerduty_service.base))
    attempt = await sender.send(PagerDutyContact(routing_key=Secret("too-short-a-key")), DOWN, 20.0)
    assert (attempt.code, attempt.disables_contact) == ("pagerduty.invalid_routing_key", True)


def test_the_vendors_own_addresses() -> None:
    assert HOST == "https://api.telegram.org"
    assert HOSTS == {
        PagerDutyRegion.US: "https://events.pagerduty.com",
        PagerDutyRegion.EU: "https://events.eu.pagerduty.com",
    }
