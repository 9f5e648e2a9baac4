"""What a contact may be, and what it may want to be told."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from monitord.domain.alert import AlertKind
from monitord.domain.contact import CHOICES, AlertSettings, ContactSpec
from monitord.domain.contacts import (
    AppriseContact,
    DiscordContact,
    EmailContact,
    PagerDutyContact,
    SlackContact,
    TeamsContact,
    TelegramContact,
    WebhookContact,
    channel_of,
)
from monitord.domain.errors import Violation
from monitord.domain.rules.address import of_address
from monitord.domain.rules.connection import of_secret
from monitord.domain.rules.headers import of_headers
from monitord.domain.rules.monitor import MAX_NAME_CHARS, MAX_TIMEOUT_MS
from monitord.domain.rules.wording import VISIBLE, has_controls, quoted
from monitord.domain.rules.zone import of_zone
from monitord.domain.secrets import Secret
from monitord.domain.target import InvalidTargetError, parse_target

MAX_DELAY_S = 86_400
MAX_ESCALATION_S = 7 * 86_400
MIN_REMINDER_S = 300
MAX_REMINDER_S = 7 * 86_400

_BOT_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{20,100}")
_CHAT = re.compile(r"-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,63}")
_ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")
_APPRISE = re.compile(r"[a-z][a-z0-9+.-]{0,31}://\S+")


def violations(spec: ContactSpec, prefix: str) -> list[Violation]:
    """Return everything that is wrong with a contact whose secrets are in place; empty when nothing is."""
    kind = channel_of(spec.channel)
    found = [*_of_identity(spec)]
    found += (
        Violation(f"{kind}.{one.field}", one.description) for one in _OF_CHANNEL[type(spec.channel)](spec.channel)
    )
    if spec.default_settings is not None:
        found += of_settings(spec.default_settings, "default_settings.")
    return [Violation(prefix + one.field, one.description) for one in found]


def of_settings(settings: AlertSettings, prefix: str) -> Iterator[Violation]:
    """Yield what is wrong with what a contact wants to be told."""
    for kind in settings.kinds:
        if kind not in CHOICES:
            yield Violation(f"{prefix}kinds", f"{kind.name} follows from the other settings, and can't be chosen")
    if AlertKind.SLOW in settings.kinds and not settings.slow_threshold_ms:
        yield Violation(f"{prefix}slow_threshold", "must be set for SLOW: above which response time is it slow?")
    if not 0 <= settings.slow_threshold_ms <= MAX_TIMEOUT_MS:
        yield Violation(f"{prefix}slow_threshold", f"must be 1 ms to 60 s, not {settings.slow_threshold_ms} ms")
    if not 0 <= settings.delay_s <= MAX_DELAY_S:
        yield Violation(f"{prefix}delay", f"must be 0 s to 24 h, not {settings.delay_s} s")
    if not 0 <= settings.escalate_after_s <= MAX_ESCALATION_S:
        yield Violation(f"{prefix}escalate_after", f"must be 0 s to 7 days, not {settings.escalate_after_s} s")
    if settings.reminder_s and not MIN_REMINDER_S <= settings.reminder_s <= MAX_REMINDER_S:
        yield Violation(
            f"{prefix}reminder_interval", f"must be 5 min to 7 days, or 0 for never, not {settings.reminder_s} s"
        )
    if settings.quiet is not None and settings.quiet.start_min == settings.quiet.end_min:
        yield Violation(f"{prefix}quiet_hours", "must begin and end at different times; leave them out for none")


def _of_identity(spec: ContactSpec) -> Iterator[Violation]:
    if not 1 <= len(spec.name) <= MAX_NAME_CHARS:
        yield Violation("name", f"must have 1 to {MAX_NAME_CHARS} characters, not {len(spec.name)}")
    if has_controls(spec.name):
        yield Violation("name", VISIBLE)
    yield from of_zone(spec.time_zone, "time_zone")


def _of_email(channel: EmailContact) -> Iterator[Violation]:
    yield from of_address(channel.address, "address")


def _of_webhook(channel: WebhookContact) -> Iterator[Violation]:
    yield from _of_url(channel.url, "url")
    yield from of_headers(channel.headers, False)
    yield from of_secret(channel.signing_key.value, "signing_key")


def _of_hook(channel: SlackContact | TeamsContact | DiscordContact) -> Iterator[Violation]:
    if not channel.webhook_url:
        yield Violation("webhook_url", "must be given")
    else:
        yield from _of_url(channel.webhook_url.value, "webhook_url")


def _of_url(url: str, field: str) -> Iterator[Violation]:
    try:
        parse_target(url)
    except InvalidTargetError as error:
        yield Violation(field, str(error))


def _of_telegram(channel: TelegramContact) -> Iterator[Violation]:
    yield from _of_pattern(
        channel.bot_token,
        _BOT_TOKEN,
        "bot_token",
        "must be a bot's token as BotFather gives it, such as 123456:ABC-DEF…",
    )
    if not _CHAT.fullmatch(channel.chat_id):
        yield Violation(
            "chat_id",
            f"must be a number, or a public channel's name such as @status, not {quoted(channel.chat_id)}",
        )
    if channel.message_thread_id < 0:
        yield Violation("topic_id", f"must be 0 or more, not {channel.message_thread_id}")


def _of_pagerduty(channel: PagerDutyContact) -> Iterator[Violation]:
    yield from _of_pattern(
        channel.routing_key,
        _ROUTING_KEY,
        "routing_key",
        "must be the integration key of an Events API v2 integration: 32 letters and digits",
    )


def _of_apprise(channel: AppriseContact) -> Iterator[Violation]:
    yield from of_secret(channel.url.value, "url")
    yield from _of_pattern(
        channel.url, _APPRISE, "url", "must be a URL as apprise writes it, such as pover://user@token"
    )


def _of_pattern(secret: Secret, pattern: re.Pattern[str], field: str, right: str) -> Iterator[Violation]:
    """Judge a secret, without showing it (T15)."""
    if not pattern.fullmatch(secret.value):
        yield Violation(field, right)


_OF_CHANNEL: dict[type, Callable[[Any], Iterator[Violation]]] = {
    EmailContact: _of_email,
    WebhookContact: _of_webhook,
    SlackContact: _of_hook,
    TeamsContact: _of_hook,
    DiscordContact: _of_hook,
    TelegramContact: _of_telegram,
    PagerDutyContact: _of_pagerduty,
    AppriseContact: _of_apprise,
}
