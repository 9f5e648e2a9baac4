"""Options that complete a contact's channel, and the contact that they and a target make together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from monitord_client.v1.contact_pb2 import Contact

_FIELDS = "Further fields of the channel"


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """Any field of any channel."""

    set: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="As in a file for `apply`: headers='{name: X-Team, value: web}'. Again for each item of a list.",
            rich_help_panel=_FIELDS,
        ),
    ] = field(default_factory=list)
    secret: Annotated[
        list[str],
        typer.Option(
            "--secret",
            metavar="FIELD[=@FILE|=env:NAME]",
            help="webhook_url, bot_token, routing_key, signing_key, headers.Authorization ...: asked for, or read from "
            "there. What a channel can't do without is asked for anyway.",
            rich_help_panel=_FIELDS,
        ),
    ] = field(default_factory=list)

    def fill(self, contact: "Contact", target: str, ask: Callable[[str], str]) -> None:
        """Give a contact the channel of a target; ``ask`` asks a person for a secret of this name.

        Raises CommandError, with what would be right, for a target or an option that is wrong.
        """
        from monitord_client.monitorctl.assignments import Assigner
        from monitord_client.monitorctl.contact_targets import NEEDED, channel_of

        kind, channel, source = channel_of(target)
        assigner = Assigner(kind, channel, ask)
        for assignment in self.set:
            assigner.set(assignment)
        secrets = [*([source] if source else []), *self.secret]
        needed = NEEDED.get(kind, "")
        given = {assignment.partition("=")[0] for assignment in [*secrets, *self.set]}
        if needed and needed not in given:
            secrets.append(needed)
        for assignment in secrets:
            assigner.secret(assignment)
        getattr(contact, kind).CopyFrom(channel)
