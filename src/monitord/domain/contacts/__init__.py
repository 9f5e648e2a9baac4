"""The kinds of contact: one file each, with what a user decides about it."""

from typing import TypeAlias

from monitord.domain.contacts.apprise import AppriseContact
from monitord.domain.contacts.discord import DiscordContact
from monitord.domain.contacts.email import EmailContact
from monitord.domain.contacts.pagerduty import PagerDutyContact
from monitord.domain.contacts.slack import SlackContact
from monitord.domain.contacts.teams import TeamsContact
from monitord.domain.contacts.telegram import TelegramContact
from monitord.domain.contacts.webhook import WebhookContact

__all__ = [
    "AppriseContact",
    "Channel",
    "DiscordContact",
    "EmailContact",
    "PagerDutyContact",
    "SlackContact",
    "TeamsContact",
    "TelegramContact",
    "WebhookContact",
    "channel_of",
]

Channel: TypeAlias = (
    EmailContact
    | WebhookContact
    | SlackContact
    | TeamsContact
    | DiscordContact
    | TelegramContact
    | PagerDutyContact
    | AppriseContact
)
"""Every way to reach a contact. Each has these beside its fields:

* ``shown``: where it leads, as people read it, without secrets;
* ``origins()``: where its secrets are sent, which decides whether stored ones may be kept;
* ``places()``: what it will dial, for the policy on addresses to judge when a contact is added.
"""


def channel_of(channel: Channel) -> str:
    """Return what the database, the metrics and the API call the kind, such as ``email``."""
    return str(channel.__struct_config__.tag)
