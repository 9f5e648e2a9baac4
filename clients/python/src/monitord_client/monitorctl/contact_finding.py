"""From what a user calls a contact to the contact, and from ids to names."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from monitord_client.monitorctl.exits import CommandError, ExitCode

if TYPE_CHECKING:
    from monitord_client import Client, Contact

_MAX_ID = 2**63 - 1


async def find_contact(client: "Client", reference: str) -> "Contact":
    """Return the contact with an id or, if there is none, with exactly this name.

    Raises CommandError (not found) with the names that are nearest.
    """
    return (await find_contacts(client, [reference]))[0]


async def find_contacts(client: "Client", references: Iterable[str]) -> "list[Contact]":
    """Return several contacts in the given order, each once. Raises as ``find_contact``."""
    contacts = [contact async for contact in client.list_contacts(page_size=1000)]
    by_name = {contact.name: contact for contact in contacts}
    by_id = {str(contact.id): contact for contact in contacts}
    found: dict[int, Contact] = {}
    for reference in references:
        contact = by_id.get(reference) or by_name.get(reference)
        if contact is None:
            raise CommandError(_not_found(reference, list(by_name)), ExitCode.NOT_FOUND)
        found[contact.id] = contact
    return list(found.values())


def _not_found(reference: str, names: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(reference, names, n=3)
    if near:
        return f"no contact has the name or id {reference!r}. Did you mean {' or '.join(map(repr, near))}?"
    return f"no contact has the name or id {reference!r}. `monitorctl contact list` shows them all."


def number_of(reference: str, what: str) -> int:
    """Return the id that a text stands for; ``what`` is the command that lists them. Raises CommandError for others."""
    text = reference.removeprefix("#")
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= _MAX_ID):
        raise CommandError(f"{reference!r} is not the id of an {what.rstrip('s')}: `monitorctl {what} list` shows them")
    return int(text)


class Names:
    """What contacts and monitors are called; each list is asked for once, when the first name of it is needed."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._contacts: dict[int, str] | None = None
        self._monitors: dict[int, str] | None = None

    async def contact(self, contact_id: int) -> str:
        """Return a contact's name; of one that is gone, its id."""
        if self._contacts is None:
            self._contacts = {each.id: each.name async for each in self._client.list_contacts(page_size=1000)}
        return self._contacts.get(contact_id, f"contact {contact_id} (deleted)")

    async def monitor(self, monitor_id: int) -> str:
        """Return a monitor's name; of one that is gone, its id."""
        if self._monitors is None:
            self._monitors = {each.id: each.name async for each in self._client.list_monitors(page_size=1000)}
        return self._monitors.get(monitor_id, f"monitor {monitor_id} (deleted)")
