"""Every row of every channel's table, by an answer as its vendor gives it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from monitord.alerting import discord, pagerduty, slack, teams, telegram, webhook
from monitord.alerting.dispatcher import Send
from monitord.alerting.http_delivery import HttpDelivery
from monitord.alerting.outcomes import Outcomes
from monitord.domain.contacts import (
    Channel,
    DiscordContact,
    PagerDutyContact,
    SlackContact,
    TeamsContact,
    TelegramContact,
    WebhookContact,
)
from monitord.domain.contacts.pagerduty import PagerDutyRegion
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.secrets import Secret
from tests.support.notices import DOWN
from tests.support.vendors import Canned, Seen, Vendor, serving

LATER, NEVER, GONE, TAKEN = "later", "never", "gone", "taken"
TOKEN = "1234567:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
KEY = "0123456789abcdef0123456789abcdef"


def teams_error(code: str) -> str:
    return json.dumps({"error": {"code": code, "message": "why"}})


def telegram_error(status: int, description: str, **parameters: int) -> str:
    return json.dumps(
        {
            "ok": False,
            "error_code": status,
            "description": description,
            **({"parameters": parameters} if parameters else {}),
        }
    )


PLAIN: list[tuple[str, int, str, str]] = [
    ("2xx", 204, "", TAKEN),
    ("3xx", 302, "", NEVER),
    ("4xx", 418, "", NEVER),
    ("5xx", 502, "<html>bad gateway</html>", LATER),
    ("408", 408, "", LATER),
    ("425", 425, "", LATER),
    ("429", 429, "", LATER),
]
"""What every table has: the key of a row, an answer that it is for, and what is to follow."""

ROWS: dict[str, list[tuple[str, int, str, str]]] = {
    "webhook": [
        *PLAIN,
        ("401", 401, "", LATER),
        ("403", 403, "", LATER),
        ("404", 404, "", LATER),
        ("409", 409, "", LATER),
        ("410", 410, "", GONE),
    ],
    "slack": [
        *PLAIN,
        ("410", 410, "", GONE),
        ("invalid_payload", 400, "invalid_payload", NEVER),
        ("invalid_blocks", 400, "invalid_blocks", NEVER),
        ("invalid_blocks_format", 400, "invalid_blocks_format", NEVER),
        ("no_text", 400, "no_text", NEVER),
        ("missing_text_or_fallback_or_attachments", 400, "missing_text_or_fallback_or_attachments", NEVER),
        ("too_many_attachments", 400, "too_many_attachments", NEVER),
        ("user_not_found", 400, "user_not_found", GONE),
        ("action_prohibited", 403, "action_prohibited\n", NEVER),
        ("posting_to_general_channel_denied", 403, "posting_to_general_channel_denied", NEVER),
        ("channel_not_found", 404, "channel_not_found", GONE),
        ("channel_is_archived", 410, "channel_is_archived", GONE),
        ("invalid_token", 403, '{"ok": false, "error": "invalid_token"}', GONE),
        ("token_revoked", 403, "token_revoked", GONE),
        ("no_service", 404, "no_service", GONE),
        ("no_service_id", 404, "no_service_id", GONE),
        ("no_active_hooks", 404, "no_active_hooks", GONE),
        ("no_team", 404, "no_team", GONE),
        ("team_disabled", 403, "team_disabled", GONE),
        ("rate_limited", 429, "rate_limited", LATER),
        ("ratelimited", 429, '{"ok": false, "error": "ratelimited"}', LATER),
        ("rollup_error", 500, "rollup_error", LATER),
    ],
    "teams": [
        *PLAIN,
        ("401", 401, "", GONE),
        ("403", 403, "", NEVER),
        ("410", 410, "", GONE),
        ("TriggerInputSchemaMismatch", 400, teams_error("TriggerInputSchemaMismatch"), NEVER),
        ("InvalidRequestContent", 400, teams_error("InvalidRequestContent"), NEVER),
        ("WorkflowTriggerIsNotEnabled", 400, teams_error("WorkflowTriggerIsNotEnabled"), NEVER),
        ("WorkflowNotFound", 404, teams_error("WorkflowNotFound"), GONE),
        ("WorkflowTriggerNotFound", 404, teams_error("WorkflowTriggerNotFound"), GONE),
        ("WorkflowVersionNotFound", 404, teams_error("WorkflowVersionNotFound"), GONE),
        ("DirectApiAuthorizationRequired", 401, teams_error("DirectApiAuthorizationRequired"), GONE),
        ("DirectApiInvalidAuthorizationScheme", 401, teams_error("DirectApiInvalidAuthorizationScheme"), GONE),
        ("AuthorizationFailed", 403, teams_error("AuthorizationFailed"), NEVER),
        ("NoResponse", 502, teams_error("NoResponse"), LATER),
    ],
    "discord": [
        *PLAIN,
        ("401", 401, '{"message": "401: Unauthorized", "code": 0}', GONE),
        ("404", 404, '{"message": "404: Not Found", "code": 0}', NEVER),
        ("410", 410, "", GONE),
        ("10003", 404, '{"message": "Unknown Channel", "code": 10003}', GONE),
        ("10015", 404, '{"message": "Unknown Webhook", "code": 10015}', GONE),
        ("50027", 401, '{"message": "Invalid Webhook Token", "code": 50027}', GONE),
        ("50006", 400, '{"message": "Cannot send an empty message", "code": 50006}', NEVER),
        ("50035", 400, '{"message": "Invalid Form Body", "code": 50035, "errors": {}}', NEVER),
        ("50013", 403, '{"message": "Missing Permissions", "code": 50013}', NEVER),
        ("160005", 400, '{"message": "Thread is locked", "code": 160005}', NEVER),
        ("200000", 400, '{"message": "Message was blocked by automatic moderation", "code": 200000}', NEVER),
        ("200001", 400, '{"message": "Title was blocked by automatic moderation", "code": 200001}', NEVER),
        ("220001", 400, '{"message": "Webhooks posted to forum channels must have a thread", "code": 220001}', NEVER),
        ("240000", 400, '{"message": "Message blocked by harmful links filter", "code": 240000}', NEVER),
        ("20028", 429, '{"message": "The write rate limit was hit", "code": 20028}', LATER),
        ("20029", 429, '{"message": "The write rate limit was hit", "code": 20029}', LATER),
        ("40062", 429, '{"message": "Service resource is being rate limited.", "code": 40062}', LATER),
        ("130000", 400, '{"message": "API resource is currently overloaded", "code": 130000}', LATER),
    ],
    "telegram": [
        *PLAIN,
        ("401", 401, telegram_error(401, "Unauthorized"), GONE),
        ("404", 404, telegram_error(404, "Not Found"), GONE),
        (
            "migrated",
            400,
            telegram_error(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=-1001234567890,
            ),
            GONE,
        ),
        ("blocked", 403, telegram_error(403, "Forbidden: bot was blocked by the user"), GONE),
        ("deactivated", 403, telegram_error(403, "Forbidden: user is deactivated"), GONE),
        ("kicked", 403, telegram_error(403, "Forbidden: bot was kicked from the supergroup chat"), GONE),
        ("not_member", 403, telegram_error(403, "Forbidden: bot is not a member of the channel chat"), GONE),
        ("chat_not_found", 400, telegram_error(400, "Bad Request: chat not found"), GONE),
        ("thread_not_found", 400, telegram_error(400, "Bad Request: message thread not found"), GONE),
        (
            "not_started",
            403,
            telegram_error(403, "Forbidden: bot can't initiate conversation with a user"),
            NEVER,
        ),
        (
            "no_rights",
            400,
            telegram_error(400, "Bad Request: not enough rights to send text messages to the chat"),
            NEVER,
        ),
        (
            "invalid_text",
            400,
            telegram_error(400, "Bad Request: can't parse entities: unsupported start tag"),
            NEVER,
        ),
    ],
    "pagerduty": [
        *PLAIN,
        ("400", 400, '{"status": "invalid event", "message": "x", "errors": ["\'summary\' is missing"]}', NEVER),
        (
            "invalid_routing_key",
            400,
            '{"status": "invalid event", "message": "x", "errors": ["Length of \'routing_key\' is incorrect"]}',
            GONE,
        ),
    ],
}
MODULES: dict[str, Outcomes] = {
    "webhook": webhook.OUTCOMES,
    "slack": slack.OUTCOMES,
    "teams": teams.OUTCOMES,
    "discord": discord.OUTCOMES,
    "telegram": telegram.OUTCOMES,
    "pagerduty": pagerduty.OUTCOMES,
}


class Anyone(Vendor):
    def answer(self, seen: Seen) -> web.Response:
        raise AssertionError("each answer is set by the test")


def channel(kind: str, base: str, delivery: HttpDelivery) -> tuple[Send, Channel]:
    hook = Secret(f"{base}/hooks/s3cret-token-of-the-hook")
    hosts = dict.fromkeys(PagerDutyRegion, base)
    makers: dict[str, Callable[[], tuple[Any, Channel]]] = {
        "webhook": lambda: (webhook.WebhookSender(delivery), WebhookContact(url=hook.value)),
        "slack": lambda: (slack.SlackSender(delivery), SlackContact(webhook_url=hook)),
        "teams": lambda: (teams.TeamsSender(delivery), TeamsContact(webhook_url=hook)),
        "discord": lambda: (discord.DiscordSender(delivery), DiscordContact(webhook_url=hook)),
        "telegram": lambda: (
            telegram.TelegramSender(delivery, host=base),
            TelegramContact(bot_token=Secret(TOKEN), chat_id="1"),
        ),
        "pagerduty": lambda: (
            pagerduty.PagerDutySender(delivery, hosts=hosts),
            PagerDutyContact(routing_key=Secret(KEY)),
        ),
    }
    sender, contact = makers[kind]()
    return sender.send, contact


async def answered(delivery: HttpDelivery, kind: str, *canned: Canned) -> list[Attempt]:
    vendor = Anyone()
    vendor.canned.extend(canned)
    async with serving(vendor):
        send, contact = channel(kind, vendor.base, delivery)
        attempts = [await send(contact, DOWN, 20.0) for _ in canned]
    secret = {"telegram": TOKEN, "pagerduty": KEY}.get(kind, "s3cret-token")
    assert not [attempt for attempt in attempts if secret in attempt.detail]
    return attempts


@pytest.mark.parametrize("kind", ROWS)
def test_every_row_is_tested(kind: str) -> None:
    assert sorted(key for key, *_ in ROWS[kind]) == sorted(str(key) for key in MODULES[kind])


@pytest.mark.parametrize("kind", ROWS)
async def test_rows(delivery: HttpDelivery, kind: str) -> None:
    rows = ROWS[kind]
    attempts = await answered(
        delivery, kind, *(Canned(status=status, body=body.encode()) for _, status, body, _ in rows)
    )
    for (key, status, _, follows), attempt in zip(rows, attempts, strict=True):
        by_status = (key.isdigit() and len(key) == 3) or key.endswith("xx")
        assert attempt.code == (f"http.{status}" if by_status else f"{kind}.{key}")
        expected = {TAKEN: Outcome.ACCEPTED, LATER: Outcome.RETRY}.get(follows, Outcome.PERMANENT)
        assert (attempt.outcome, attempt.disables_contact) == (expected, follows == GONE), key
        assert attempt.accepted or str(status) in attempt.detail


SECRETIVE = (
    "you sent s3cret-token-of-the-hook 1234567:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw 0123456789abcdef0123456789abcdef"
)


@pytest.mark.parametrize("kind", ROWS)
async def test_an_answer_that_repeats_the_secret_is_struck_out(delivery: HttpDelivery, kind: str) -> None:
    """(T15)"""
    bodies = (SECRETIVE, json.dumps({"message": SECRETIVE, "description": SECRETIVE, "errors": [SECRETIVE]}))
    attempts = await answered(delivery, kind, *(Canned(status=500, body=body.encode()) for body in bodies))
    for attempt in attempts:
        assert "***" in attempt.detail


STRANGE = (b"", b"null", b"[]", b'"x"', b"{}", b'{"error": 5, "code": [], "errors": {}, "parameters": 7}', b"\xff" * 99)


@pytest.mark.parametrize("kind", ROWS)
async def test_an_answer_that_no_vendor_gives_is_sorted_by_its_status(delivery: HttpDelivery, kind: str) -> None:
    for attempt in await answered(delivery, kind, *(Canned(status=500, body=body) for body in STRANGE)):
        assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "http.500")
    for attempt in await answered(delivery, kind, *(Canned(status=200, body=body) for body in STRANGE)):
        assert attempt.accepted


@pytest.mark.parametrize(
    ("kind", "canned", "seconds"),
    [
        ("slack", Canned(status=429, body=b"rate_limited", headers={"Retry-After": "30"}), 30.0),
        ("discord", Canned(status=429, body=b'{"message": "x", "retry_after": 0.65, "global": false}'), 0.65),
        ("discord", Canned(status=429, body=b"error code: 1015", headers={"Retry-After": "600"}), 600.0),
        (
            "telegram",
            Canned(status=429, body=telegram_error(429, "Too Many Requests: retry after 17", retry_after=17).encode()),
            17.0,
        ),
        ("pagerduty", Canned(status=429, headers={"Retry-After": "60"}), 60.0),
        ("teams", Canned(status=429, body=b"", headers={"Retry-After": "5"}), 5.0),
        ("webhook", Canned(status=503, headers={"Retry-After": "1"}), 1.0),
    ],
)
async def test_each_vendor_may_ask_to_wait(delivery: HttpDelivery, kind: str, canned: Canned, seconds: float) -> None:
    (attempt,) = await answered(delivery, kind, canned)
    assert (attempt.outcome, attempt.retry_after_s) == (Outcome.RETRY, seconds)


async def test_where_a_group_went_is_told(delivery: HttpDelivery) -> None:
    body = telegram_error(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1001234567890)
    (attempt,) = await answered(delivery, "telegram", Canned(status=400, body=body.encode()))
    assert attempt.detail == "HTTP 400: the group became a supergroup: enter its new id: -1001234567890"


async def test_an_answer_of_endless_brackets(delivery: HttpDelivery) -> None:
    deep = b"[" * 400 + b"]" * 400
    body = (
        b'{"message": ' + deep + b', "description": ' + deep + b', "errors": [' + deep + b'], "error": ' + deep + b"}"
    )
    for kind in ROWS:
        (attempt,) = await answered(delivery, kind, Canned(status=400, body=body))
        assert (attempt.outcome, attempt.code) == (Outcome.PERMANENT, "http.400")
