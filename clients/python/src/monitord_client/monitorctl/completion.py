"""What the shell offers for an argument. It must be quick, and must never fail aloud."""

import os
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import typer

from monitord_client.monitorctl import running
from monitord_client.monitorctl.options import Connection
from monitord_client.monitorctl.running import Cli
from monitord_client.monitorctl.schemes import CONTACT_BEGINNINGS, KINDS, beginnings, kind_of

if TYPE_CHECKING:
    from monitord_client import Client

    Listing = Callable[[Client], AsyncIterator[str]]

_PATIENCE_S = 1.0
_MOST = 200

AUDIT_KINDS = (
    *("monitor", "contact", "alert_config", "maintenance_window", "api_key", "user", "incident", "session"),
    *("organisation", "member", "invitation"),
)
"""What events of the audit log are about; a newer server may know more."""

_CONNECTION = ("address", "key_file", "organisation", "tls", "ca", "cert", "cert_key", "insecure")


def complete_monitor(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of monitors that begin with what was typed; none when the server doesn't answer at once."""
    return _names(ctx, incomplete, lambda client: (each.name async for each in client.list_monitors(page_size=1000)))


def complete_contact(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of contacts that begin with what was typed; none when the server doesn't answer at once."""
    return _names(ctx, incomplete, lambda client: (each.name async for each in client.list_contacts(page_size=1000)))


def complete_organisation(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of one's organisations that begin with what was typed, as long as the server answers."""

    def names(client: "Client") -> AsyncIterator[str]:
        return (each.display_name async for each in client.list_organisations())

    return _names(ctx, incomplete, names, in_organisation=False)


def complete_member(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the addresses of members that begin with what was typed; none when the server doesn't answer at once."""
    return _names(ctx, incomplete, lambda client: (each.email async for each in client.list_members()))


def complete_audit_kind(incomplete: str) -> list[str]:
    """Return the kinds of things in the audit log that begin with what was typed."""
    return [kind for kind in AUDIT_KINDS if kind.startswith(incomplete.lower())]


def complete_contact_target(incomplete: str) -> list[str]:
    """Return what targets of contacts begin with, as far as it was typed."""
    return [each for each in CONTACT_BEGINNINGS if each.startswith(incomplete)]


def _names(ctx: typer.Context, incomplete: str, names_of: "Listing", *, in_organisation: bool = True) -> list[str]:
    # gRPC tells of failed connections on stderr, which would be written into the line being typed.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    given = {name: ctx.params.get(name) for name in _CONNECTION}
    found: list[str] = []
    try:
        running.run_coroutine(_collect(Cli(Connection(**given)), incomplete, names_of, found, in_organisation))
    except Exception:  # whatever it is: no suggestion is better than a traceback in the middle of a line
        return []
    return found


def complete_status(incomplete: str) -> list[str]:
    """Return the statuses that begin with what was typed."""
    return [word for word in status_words() if word.startswith(incomplete.lower())]


def status_words() -> list[str]:
    """Return all statuses as words."""
    from monitord_client.v1.monitor_pb2 import MonitorStatus

    return [name.removeprefix("MONITOR_STATUS_").lower() for name, number in MonitorStatus.items() if number]


def complete_target(incomplete: str) -> list[str]:
    """Return what targets begin with, as far as it was typed."""
    return [each for each in beginnings() if each.startswith(incomplete)]


def complete_target_or_monitor(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return what targets begin with, and the names of monitors."""
    return complete_target(incomplete) + complete_monitor(ctx, incomplete)


def complete_kind(incomplete: str) -> list[str]:
    """Return the kinds of check that begin with what was typed."""
    return [kind for kind in KINDS if kind.startswith(incomplete.lower())]


def complete_assignment(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the fields of the target's kind, ready for their value."""
    return [f"{name}=" for name in _fields(ctx, incomplete)]


def complete_secret(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the secret fields of the target's kind."""
    from monitord_client.monitorctl.assignments import SECRETS

    return [name for name in _fields(ctx, incomplete) if name.rpartition(".")[2] in SECRETS]


def _fields(ctx: typer.Context, prefix: str) -> list[str]:
    from monitord_client.monitorctl.assignments import field_paths

    # An option that still lacks its value leaves the arguments before it unassigned.
    typed = [ctx.params.get("target") or "", *ctx.args]
    kind = next((kind for kind in map(kind_of, typed) if kind), "")
    return [path for path in field_paths(kind) if path.startswith(prefix)] if kind else []


async def _collect(cli: Cli, prefix: str, names_of: "Listing", found: list[str], in_organisation: bool) -> int:
    async with cli.connect(timeout_s=_PATIENCE_S, in_organisation=in_organisation) as client:
        async for name in names_of(client):
            if name.startswith(prefix):
                found.append(name)
            if len(found) >= _MOST:
                break
    return 0
