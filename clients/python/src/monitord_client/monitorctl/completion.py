"""What the shell offers for an argument. It must be quick, and must never fail aloud."""

import os

import typer

from monitord_client.monitorctl import running
from monitord_client.monitorctl.options import Connection
from monitord_client.monitorctl.running import Cli

_PATIENCE_S = 1.0
_MOST = 200


def complete_monitor(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of monitors that begin with what was typed; none when the server doesn't answer at once."""
    # gRPC tells of failed connections on stderr, which would be written into the line being typed.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    given = {name: ctx.params.get(name) for name in ("address", "key_file", "tls", "ca", "insecure")}
    found: list[str] = []
    try:
        running.run_coroutine(_collect(Cli(Connection(**given)), incomplete, found))
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


async def _collect(cli: Cli, prefix: str, found: list[str]) -> int:
    async with cli.connect(timeout_s=_PATIENCE_S) as client:
        async for monitor in client.list_monitors(page_size=1000):
            if monitor.name.startswith(prefix):
                found.append(monitor.name)
            if len(found) >= _MOST:
                break
    return 0
