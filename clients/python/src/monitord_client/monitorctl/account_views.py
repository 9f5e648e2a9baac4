"""Who is asking, and where they are signed in, for people."""

from collections.abc import Iterable
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from monitord_client.monitorctl.organisation_views import role_word
from monitord_client.monitorctl.printing import short, visible
from monitord_client.monitorctl.spans import clock_words
from monitord_client.monitorctl.tables import grid
from monitord_client.times import moment_of
from monitord_client.v1.account_service_pb2 import Session
from monitord_client.v1.auth_pb2 import IdentityProvider, User
from monitord_client.v1.organisation_pb2 import Organisation

_PROVIDERS = {
    "PASSWORD": "with a password",
    "FIREBASE_PASSWORD": "with a password, through Firebase",
    "GOOGLE": "with Google",
    "APPLE": "with Apple",
}


def user_card(user: User, organisation: Organisation, *, address: str, proof: str) -> RenderableType:
    """Return who somebody is, where, by what proof, and what they may do in the organisation they act in."""
    card = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    card.add_column(style="bold")
    card.add_column(overflow="fold")
    provider = short(IdentityProvider.Name, user.provider)
    card.add_row("Address", Text(visible(user.email or "-")))
    if user.full_name:
        card.add_row("Name", Text(visible(user.full_name)))
    card.add_row("User", str(user.id))
    card.add_row("Signs in", _PROVIDERS.get(provider, provider.lower()))
    kind = "personal" if organisation.personal else "shared"
    name = visible(organisation.display_name)
    card.add_row("Organisation", Text(f"{name} (id {organisation.id}, {kind})"))
    card.add_row("Role", role_word(organisation.role))
    card.add_row("Server", visible(address))
    card.add_row("Proof", visible(proof))
    return card


def sessions_table(sessions: Iterable[Session], now: datetime) -> Table:
    """Return one line per session."""
    table = grid("", "SESSION", "BEGUN", "UNTIL", "FROM")
    for session in sessions:
        table.add_row(
            "*" if session.current else "",
            visible(session.id),
            clock_words(moment_of(session.create_time), now),
            clock_words(moment_of(session.expire_time), now),
            visible(session.address or "-"),
        )
    return table
