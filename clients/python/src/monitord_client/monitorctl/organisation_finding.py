"""From what a user calls an organisation, or one of its members, to that."""

from typing import TYPE_CHECKING

from monitord_client.monitorctl.exits import CommandError, ExitCode

if TYPE_CHECKING:
    from monitord_client import Client, Member, Organisation

_MAX_ID = 2**63 - 1


async def organisation_id(client: "Client", reference: str) -> int:
    """Return the id of an organisation of the caller's: what is a number is one, anything else is looked up.

    Raises CommandError as ``find_organisation`` for names.
    """
    number = _number(reference)
    return number if number is not None else (await _by_name(client, reference)).id


async def find_organisation(client: "Client", reference: str) -> "Organisation":
    """Return the organisation with an id or a name, and let the client act in it.

    Raises CommandError: not found, with the names that are nearest; usage, when several have the name.
    """
    client.organisation = await organisation_id(client, reference)
    return await client.get_organisation()


async def find_member(client: "Client", reference: str) -> "Member":
    """Return the member with an id or an address. Raises CommandError (not found) with the addresses nearest."""
    members = [member async for member in client.list_members()]
    for member in members:
        if reference.lower() == member.email.lower() or reference == str(member.user_id):
            return member
    hint = _nearest(reference, [member.email for member in members], "`monitorctl member list` shows them all.")
    raise CommandError(f"no member has the address or id {reference!r}. {hint}", ExitCode.NOT_FOUND)


def way_in(number: int, *, signed_in: bool) -> str:
    """Return how commands come to act in an organisation that the user has just come into."""
    first = "" if signed_in else " sign in (monitorctl login; an API key acts in its own alone), then:"
    return f"To act in it:{first} monitorctl org use {number}, or --organisation {number} with any command."


async def _by_name(client: "Client", name: str) -> "Organisation":
    from monitord_client.errors import PermissionDeniedError

    try:
        organisations = [each async for each in client.list_organisations()]
    except PermissionDeniedError:
        raise CommandError(
            f"this key may not look up which organisation is called {name!r}: leave it out (a key acts in the one that "
            "it was made in), or give an id",
            ExitCode.DENIED,
        ) from None
    found = [each for each in organisations if each.display_name == name]
    if len(found) > 1:
        ids = ", ".join(str(each.id) for each in found)
        raise CommandError(f"{len(found)} of your organisations are called {name!r}: give an id, one of {ids}")
    if not found:
        names = [each.display_name for each in organisations]
        hint = _nearest(name, names, "`monitorctl org list` shows them all.")
        raise CommandError(f"no organisation of yours has the name or id {name!r}. {hint}", ExitCode.NOT_FOUND)
    return found[0]


def _number(reference: str) -> int | None:
    if reference.isascii() and reference.isdecimal() and 0 < int(reference) <= _MAX_ID:
        return int(reference)
    return None


def _nearest(reference: str, names: list[str], otherwise: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(reference, names, n=3)
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else otherwise
