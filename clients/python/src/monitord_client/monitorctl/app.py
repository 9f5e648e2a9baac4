"""monitorctl's commands, put together."""

import inspect
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

import typer

from monitord_client.monitorctl import (
    account_commands,
    alert_commands,
    audit_commands,
    check_commands,
    contact_commands,
    heartbeat_commands,
    incident_commands,
    key_commands,
    maintenance_commands,
    membership_commands,
    monitor_commands,
    organisation_commands,
    set_commands,
)
from monitord_client.monitorctl.commands import group_parameters
from monitord_client.monitorctl.options import Connection

_HELP = """Watch websites and services with monitord.

Monitors, contacts and organisations are named by their name or id. Exit codes: 0 ok, 1 the target of `check` or `test`
is DOWN, or a contact did not take its message, 2 wrong usage
or input, 3 not found, 4 not authenticated or not permitted, 5 server unavailable, 6 conflict, 7 limit reached,
8 nothing can be said of the target, 70 bug, 130 interrupted.
"""


def build() -> typer.Typer:
    """Return the whole command."""
    app = typer.Typer(name="monitorctl", help=_HELP, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(_root())
    for module in (
        monitor_commands,
        check_commands,
        heartbeat_commands,
        maintenance_commands,
        contact_commands,
        alert_commands,
        incident_commands,
        set_commands,
        account_commands,
        key_commands,
        organisation_commands,
        membership_commands,
        audit_commands,
    ):
        module.register(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"monitorctl {version('monitord-client')}\n")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and leave.")
]


def _root() -> Callable[..., None]:
    """Return the callback that keeps connection options given before the command's name."""

    def root(ctx: typer.Context, **values: Any) -> None:
        values.pop("version")
        ctx.obj = Connection(**values)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("ctx", keyword, annotation=typer.Context),
        inspect.Parameter("version", keyword, default=False, annotation=VersionOption),
        *group_parameters(Connection),
    ]
    root.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    root.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return root
