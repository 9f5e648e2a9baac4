"""The kinds of contact: from their messages to the domain and back, without secrets (T15)."""

from typing import Any

from monitord.domain.contacts import (
    AppriseContact,
    Channel,
    DiscordContact,
    EmailContact,
    PagerDutyContact,
    SlackContact,
    TeamsContact,
    TelegramContact,
    WebhookContact,
)
from monitord.domain.contacts.pagerduty import PagerDutyRegion
from monitord.domain.errors import Violation
from monitord.domain.secrets import Secret
from monitord.rpc.convert_connection import headers_pb, read_headers
from monitord.rpc.enums import read_enum
from monitord.v1 import contact_pb2 as pb

KINDS = tuple(field.name for field in pb.Contact.DESCRIPTOR.oneofs_by_name["channel"].fields)


def read_channel(message: pb.Contact, found: list[Violation]) -> Channel:
    """Return how a contact shall be reached; what can't be read is told to ``found``."""
    match message.WhichOneof("channel"):
        case "email":
            return EmailContact(address=message.email.address)
        case "webhook":
            hook = message.webhook
            return WebhookContact(
                url=hook.url, headers=read_headers(hook.headers), signing_key=Secret(hook.signing_key)
            )
        case "slack":
            return SlackContact(webhook_url=Secret(message.slack.webhook_url))
        case "teams":
            return TeamsContact(webhook_url=Secret(message.teams.webhook_url))
        case "discord":
            return DiscordContact(webhook_url=Secret(message.discord.webhook_url))
        case "telegram":
            chat = message.telegram
            return TelegramContact(
                bot_token=Secret(chat.bot_token), chat_id=chat.chat_id, message_thread_id=chat.topic_id
            )
        case "pagerduty":
            duty = message.pagerduty
            region = read_enum(
                PagerDutyRegion, pb.PagerDutyRegion, duty.region, PagerDutyRegion.US, "pagerduty.region", found
            )
            return PagerDutyContact(routing_key=Secret(duty.routing_key), region=region)
        case "apprise":
            return AppriseContact(url=Secret(message.apprise.url))
        case _:
            found.append(Violation("email", f"must be set, or one of {', '.join(KINDS[1:])}: how it is reached"))
            return EmailContact(address="")


def channel_pb(channel: Channel) -> dict[str, Any]:
    """Return the fields of ``Contact.channel``, without secrets."""
    match channel:
        case EmailContact(address=address):
            return {"email": pb.EmailContact(address=address)}
        case WebhookContact(url=url, headers=headers):
            return {"webhook": pb.WebhookContact(url=url, headers=headers_pb(headers))}
        case SlackContact():
            return {"slack": pb.SlackContact()}
        case TeamsContact():
            return {"teams": pb.TeamsContact()}
        case DiscordContact():
            return {"discord": pb.DiscordContact()}
        case TelegramContact(chat_id=chat_id, message_thread_id=topic_id):
            return {"telegram": pb.TelegramContact(chat_id=chat_id, topic_id=topic_id)}
        case PagerDutyContact(region=region):
            return {"pagerduty": pb.PagerDutyContact(region=region)}  # type: ignore[arg-type]
        case AppriseContact():
            return {"apprise": pb.AppriseContact()}
