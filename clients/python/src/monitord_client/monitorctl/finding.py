"""From what a user calls a monitor to the monitor."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from monitord_client.monitorctl.exits import CommandError, ExitCode

if TYPE_CHECKING:
    from monitord_client import Client, Monitor

_MAX_ID = 2**63 - 1


async def find_monitor(client: "Client", reference: str) -> "Monitor":
    """Return the monitor with an id or, if there is none, with exactly this name.

    Raises CommandError (not found) with the names that are nearest.
    """
    from monitord_client.errors import NotFoundError

    if reference.isascii() and reference.isdecimal() and int(reference) <= _MAX_ID:
        try:
            return await client.get_monitor(int(reference))
        except NotFoundError:
            pass
    async for monitor in client.list_monitors(names=[reference]):
        return monitor
    raise CommandError(await _not_found(client, reference), ExitCode.NOT_FOUND)


async def find_monitors(client: "Client", references: Iterable[str]) -> "list[Monitor]":
    """Return several monitors in the given order, each once. Raises as ``find_monitor``."""
    found = [await find_monitor(client, reference) for reference in references]
    return list({monitor.id: monitor for monitor in found}.values())


async def _not_found(client: "Client", reference: str) -> str:
    from difflib import get_close_matches

    names = [monitor.name async for monitor in client.list_monitors(page_size=1000)]
    near = get_close_matches(reference, names, n=3)
    if near:
        return f"no monitor has the name or id {reference!r}. Did you mean {' or '.join(map(repr, near))}?"
    return f"no monitor has the name or id {reference!r}. `monitorctl list` shows them all."
