"""Write-only values: what a user leaves empty stays as it is."""

import msgspec

from monitord.domain.monitor import Check, Header
from monitord.domain.target import InvalidTargetError, parse_target


def keep_secrets(check: Check, stored: Check) -> Check:
    """Return ``check`` with each secret header that came without a value given the one that is stored.

    Users never see a secret again, so an empty one in a change means "as before". Headers are matched by name,
    without regard to case, and by their order where a name occurs more than once.

    Nothing is kept when the URL's origin is another: whoever may change a monitor could otherwise have its secrets
    sent to a server of their own, and so read what is write-only (T15).
    """
    if not any(header.secret and not header.value for header in check.headers) or not _same_origin(check, stored):
        return check
    known: dict[str, list[str]] = {}
    for header in stored.headers:
        if header.secret:
            known.setdefault(header.name.lower(), []).append(header.value)
    return msgspec.structs.replace(check, headers=tuple(_filled(header, known) for header in check.headers))


def _filled(header: Header, known: dict[str, list[str]]) -> Header:
    if not header.secret:
        return header
    values = known.get(header.name.lower())
    kept = values.pop(0) if values else ""
    return header if header.value else msgspec.structs.replace(header, value=kept)


def _same_origin(check: Check, stored: Check) -> bool:
    try:
        return parse_target(check.url).origin == parse_target(stored.url).origin
    except InvalidTargetError:
        return False
