"""From what a user types as a contact's target to the channel that its scheme chooses."""

import re
from difflib import get_close_matches
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from google.protobuf.message import Message

from monitord_client.monitorctl.exits import CommandError
from monitord_client.v1.contact_pb2 import Contact, PagerDutyRegion

FORMS = {
    "email": "mailto:ann@example.org",
    "webhook": "https://HOST/PATH",
    "slack": "slack",
    "teams": "teams",
    "discord": "discord",
    "telegram": "telegram:CHAT_ID[/TOPIC]",
    "pagerduty": "pagerduty[:us|:eu]",
    "apprise": "apprise",
}
"""How a target looks, by the kind of channel, for sentences and help."""
NEEDED = {
    "slack": "webhook_url",
    "teams": "webhook_url",
    "discord": "webhook_url",
    "telegram": "bot_token",
    "pagerduty": "routing_key",
    "apprise": "url",
}
"""The secret that a channel can't do without."""

_SCHEMES = {"mailto": "email", "http": "webhook", "https": "webhook"}
_OWN_HOSTS = {
    "hooks.slack.com": "slack",
    "discord.com": "discord",
    "discordapp.com": "discord",
    "webhook.office.com": "teams",
    "logic.azure.com": "teams",
    "api.powerplatform.com": "teams",
}


class Target(NamedTuple):
    """What a target alone says."""

    kind: str
    """The field of ``Contact.channel``."""
    channel: Message
    secret: str
    """An assignment as ``--secret`` takes it; empty: it says nothing of secrets."""


def channel_of(target: str) -> Target:
    """Return the channel of a target.

    Raises CommandError with a sentence that says what would be right; it never repeats what may be a secret.
    """
    scheme, mark, rest = target.partition(":")
    kind = _SCHEMES.get(scheme.lower(), scheme.lower())
    if not mark and "@" in target and "/" not in target:
        kind, rest = "email", target
    if kind not in FORMS:
        raise CommandError(_unknown(scheme if mark or "@" not in target else ""))
    channel: Any = getattr(Contact(), kind)
    secret = ""
    match kind:
        case "email":
            channel.address = _address(rest)
        case "webhook":
            channel.url = _url(target)
        case "telegram":
            channel.chat_id, channel.topic_id = _chat(rest)
        case "pagerduty":
            channel.region = _region(rest)
        case _:
            secret = _source(kind, rest)
    return Target(kind, channel, secret)


def _unknown(scheme: str) -> str:
    known = ", ".join(FORMS.values())
    near = get_close_matches(scheme.lower(), [*FORMS, *_SCHEMES], n=1) if scheme else []
    hint = f"did you mean {near[0]!r}? T" if near else "t"
    return f"the target does not say how the contact is reached: {hint}here is {known}"


def _address(text: str) -> str:
    if not text or "?" in text:
        raise CommandError(f"write the address alone: {FORMS['email']}")
    return text


def _url(target: str) -> str:
    try:
        parts = urlsplit(target)
        host = parts.hostname or ""
    except ValueError as error:
        raise CommandError(f"the URL cannot be read: {error}") from None
    if "@" in parts.netloc:
        raise CommandError(
            "a password must not stand in a URL, where your shell's history would keep it: leave out what stands "
            "before the @, and write --secret headers.Authorization; it is asked for, or =@FILE or =env:NAME after "
            "that says where it is"
        )
    for own, kind in _OWN_HOSTS.items():
        if host == own or host.endswith(f".{own}"):
            raise CommandError(f"{host} is not a webhook of your own: {_hidden(kind)}")
    return target


def _chat(rest: str) -> tuple[str, int]:
    chat, slash, topic = rest.partition("/")
    if re.fullmatch(r"[0-9]+:[A-Za-z0-9_-]{20,}", rest):
        raise CommandError(
            "a bot's token on the command line would stay in your shell's history: write the chat, "
            f"{FORMS['telegram']}, and --secret bot_token"
        )
    if not chat:
        raise CommandError(f"the chat is missing: write {FORMS['telegram']}, such as telegram:-1001234567890")
    if slash and not (topic.isascii() and topic.isdecimal() and len(topic) < 19):
        raise CommandError(f"the topic must be a number, not {topic!r}: write {FORMS['telegram']}")
    return chat, int(topic or 0)


def _region(rest: str) -> "PagerDutyRegion.ValueType":
    if rest.lower() not in ("", "us", "eu"):
        raise CommandError(
            "say where the account lives, pagerduty:us or pagerduty:eu; the routing key goes into --secret routing_key"
        )
    return PagerDutyRegion.Value(f"PAGER_DUTY_REGION_{rest.upper() or 'US'}")


def _source(kind: str, rest: str) -> str:
    """Return where the secret URL of a channel is, if the target says it; never the URL itself."""
    if not rest:
        return ""
    if rest.startswith("@") or re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*", rest):
        return f"{NEEDED[kind]}={rest}"
    raise CommandError(f"whoever knows this URL can post: {_hidden(kind)}")


def _hidden(kind: str) -> str:
    return (
        f"a secret on the command line would stay in your shell's history: write {kind} (the URL is asked for), "
        f"{kind}:@FILE ({kind}:@- is stdin) or {kind}:env:NAME"
    )
