"""Write-only values: told once, kept sealed, never shown again; what a user leaves empty stays as it is (T15)."""

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec


class Secret(msgspec.Struct, frozen=True):
    """A value that is written and never shown. Empty: there is none, or the stored one is meant."""

    value: str = ""

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self.value)

    def __repr__(self) -> str:
        """Show it to nobody, logs and tracebacks included (T15)."""
        return "<secret>" if self.value else "<no secret>"


class Header(msgspec.Struct, frozen=True):
    """A request header. A secret one is write-only: stored sealed, dropped when a redirect leaves the origin."""

    name: str
    value: str
    secret: bool = False

    def __repr__(self) -> str:
        """Show a secret to nobody, logs and tracebacks included (T15)."""
        return f"Header({self.name!r}, {'<secret>' if self.secret else repr(self.value)})"


class Holder(Protocol):
    """A check, whose fields may be secrets, headers, or structures of them."""

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent: they are kept only while that stays the same."""


S = TypeVar("S")
H = TypeVar("H", bound=Holder)

Secrets = dict[str, list[str]]
"""Values by where they stand: the path of a field, or ``headers/name`` for a header, which may occur more than once."""


def secrets_of(check: object) -> Secrets:
    """Return the secrets of a check that are not empty."""
    found: Secrets = {}
    for place in _places(check, ""):
        if place.value:
            found.setdefault(place.path, []).append(place.value)
    return found


def without_secrets(check: S) -> S:
    """Return the check as it may be stored in the clear, or shown."""
    bare: S = _mapped(check, "", lambda path, value, has_use: "")
    return bare


def with_secrets(check: S, secrets: Secrets) -> S:
    """Return the check with each of its secrets that is empty filled in by its place, headers by their order."""
    left = {path: list(values) for path, values in secrets.items()}

    def fill(path: str, value: str, has_use: bool) -> str:
        values = left.get(path)
        stored = values.pop(0) if values else ""
        return value or (stored if has_use else "")

    filled: S = _mapped(check, "", fill)
    return filled


def lacks_secrets(check: object) -> bool:
    """Return whether a secret that the check needs came without its value: one that is to be kept, if it is stored."""
    return any(place.is_needed and not place.value for place in _places(check, ""))


def keep_secrets(check: H, stored: Holder) -> H:
    """Return ``check`` with each secret that came without a value given the one that is stored.

    Users never see a secret again, so an empty one in a change means "as before". Secrets are matched by their field;
    headers by name, without regard to case, and by their order where a name occurs more than once.

    Nothing is kept when the check sends its secrets elsewhere: whoever may change a monitor could otherwise have them
    sent to a server of their own, and so read what is write-only (T15).
    """
    if type(check) is not type(stored) or check.origins() != stored.origins():
        return check
    known = secrets_of(stored)
    return with_secrets(check, known) if known else check


class _Place(msgspec.Struct, frozen=True):
    path: str
    value: str
    is_needed: bool


_PARTNERS = {"client_key_pem": "client_certificate_pem", "password": "user"}
"""A key goes with a certificate, a password with a user; without those, none is missed."""


def _places(value: object, path: str, is_needed: bool = True) -> Iterator[_Place]:
    """Yield each place of a secret. A header's path ends in its name, so that the order of headers is free."""
    if isinstance(value, Secret):
        yield _Place(path, value.value, is_needed)
    elif isinstance(value, Header):
        if value.secret:
            yield _Place(_path_of(value, path), value.value, is_needed)
    elif isinstance(value, tuple):
        for item in value:
            yield from _places(item, path)
    elif isinstance(value, msgspec.Struct):
        for name, field in _fields(value):
            yield from _places(field, f"{path}.{name}" if path else name, _has_partner(value, name))


def _mapped(value: Any, path: str, change: "_Change", has_use: bool = True) -> Any:
    if isinstance(value, Secret):
        after = change(path, value.value, has_use)
        return value if after == value.value else Secret(after)
    if isinstance(value, Header):
        if not value.secret:
            return value
        return msgspec.structs.replace(value, value=change(_path_of(value, path), value.value, has_use))
    if isinstance(value, tuple):
        items = tuple(_mapped(item, path, change) for item in value)
        return items if items != value else value
    if isinstance(value, msgspec.Struct):
        changed: dict[str, Any] = {}
        for name, before in _fields(value):
            # The default user of a Redis has a password and no name: only a key without its certificate has no use.
            has_use = name == "password" or _has_partner(value, name)
            after = _mapped(before, f"{path}.{name}" if path else name, change, has_use)
            if after is not before:
                changed[name] = after
        return msgspec.structs.replace(value, **changed) if changed else value
    return value


_Change: TypeAlias = Callable[[str, str, bool], str]
"""From the path of a secret, its value, and whether there is any use for one, to the value that it shall have."""


def _fields(value: msgspec.Struct) -> list[tuple[str, Any]]:
    return [(name, getattr(value, name)) for name in value.__struct_fields__]


def _has_partner(value: msgspec.Struct, name: str) -> bool:
    partner = _PARTNERS.get(name)
    return partner is None or bool(getattr(value, partner, True))


def _path_of(header: Header, path: str) -> str:
    return f"{path}/{header.name.lower()}"
