"""Organisations, their members, and what was done in them, for people."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from google.protobuf.json_format import MessageToDict
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from monitord_client.monitorctl.printing import short, visible
from monitord_client.monitorctl.spans import clock_words
from monitord_client.monitorctl.tables import grid
from monitord_client.times import moment_of
from monitord_client.v1.audit_service_pb2 import AuditEvent
from monitord_client.v1.organisation_pb2 import Invitation, Member, Organisation, Role

_NAMES = ("name", "display_name", "email")
"""Fields that say best what an event is about, where they stand in it."""


def role_word(role: int) -> str:
    """Return a role as a word."""
    return short(Role.Name, role).lower()


def a_role(role: int) -> str:
    """Return a role with its article: ``an editor``."""
    word = role_word(role)
    return f"an {word}" if word.startswith(("a", "e", "o")) else f"a {word}"


def organisations_table(organisations: Iterable[Organisation], in_use: int) -> Table:
    """Return one line per organisation; the one in use, given by its id, is marked."""
    table = grid("", "ID", "NAME", "KIND", "YOUR ROLE", "NETWORKS", "CREATED")
    for one in organisations:
        table.add_row(
            "*" if one.id == in_use else "",
            str(one.id),
            Text(visible(one.display_name)),
            "personal" if one.personal else "shared",
            role_word(one.role),
            visible(", ".join(one.allowed_networks)) or "everywhere",
            clock_words(moment_of(one.create_time)),
        )
    return table


def organisation_card(one: Organisation, members: Sequence[Member]) -> RenderableType:
    """Return all there is to know of an organisation."""
    card = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    card.add_column(style="bold")
    card.add_column(overflow="fold")
    card.add_row("Name", Text(visible(one.display_name)))
    card.add_row("Id", str(one.id))
    card.add_row("Kind", "personal" if one.personal else "shared")
    card.add_row("Your role", role_word(one.role))
    card.add_row("Networks", visible(", ".join(one.allowed_networks)) or "calls may come from everywhere")
    card.add_row("Created", clock_words(moment_of(one.create_time)))
    for index, member in enumerate(members):
        card.add_row("" if index else "Members", Text(f"{visible(_who(member))}: {role_word(member.role)}"))
    return card


def _who(member: Member) -> str:
    return f"{member.full_name} <{member.email}>" if member.full_name else member.email


def members_table(members: Iterable[Member]) -> Table:
    """Return one line per member."""
    table = grid("ID", "ADDRESS", "NAME", "ROLE", "SINCE")
    for member in members:
        table.add_row(
            str(member.user_id),
            Text(visible(member.email)),
            Text(visible(member.full_name)),
            role_word(member.role),
            clock_words(moment_of(member.join_time)),
        )
    return table


def invitations_table(invitations: Iterable[Invitation]) -> Table:
    """Return one line per invitation."""
    table = grid("ID", "ADDRESS", "INTO", "ROLE", "BY", "UNTIL")
    for one in invitations:
        table.add_row(
            str(one.id),
            Text(visible(one.email)),
            Text(visible(one.organisation_name)),
            role_word(one.role),
            Text(visible(one.invited_by or "-")),
            clock_words(moment_of(one.expire_time)),
        )
    return table


def audit_table(events: Iterable[AuditEvent], now: datetime) -> Table:
    """Return one line per event, with the fields that changed, or else a name."""
    table = grid("TIME", "WHO", "ACTION", "THING", "DETAIL", "ADDRESS")
    for event in events:
        table.add_row(
            clock_words(moment_of(event.time), now),
            Text(visible(_actor(event))),
            visible(event.action),
            visible(f"{event.kind} {event.thing}"),
            Text(visible(_detail(event))),
            visible(event.address or "-"),
        )
    return table


def _actor(event: AuditEvent) -> str:
    who = event.user_email or (f"user {event.user_id}" if event.user_id else "-")
    kind, _, _ = event.credential.partition(":")
    return f"{who} ({event.credential})" if kind == "key" else who


def _detail(event: AuditEvent) -> str:
    before, after = MessageToDict(event.before), MessageToDict(event.after)
    if event.action == "changed":
        return ", ".join(sorted({*before, *after}))
    told = after or before
    return next((str(told[name]) for name in _NAMES if told.get(name)), "")
