"""Write-only values: what a user leaves empty stays as it is."""

import msgspec

from monitord.domain.monitor import Check, Header


def keep_secrets(check: Check, stored: Check) -> Check:
    """Return ``check`` with each secret header that came without a value given the one that is stored.

    Users never see a secret again, so an empty one in a change means "as before". Headers are matched by name,
    without regard to case, and by their order where a name occurs more than once.
    """
    if not any(header.secret and not header.value for header in check.headers):
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
