"""Keeps the secrets of a check apart from its configuration, and sealed (T15)."""

from typing import Protocol

import msgspec

from monitord.domain.monitor import Check, Header


class Sealer(Protocol):
    """Encrypts what must not be readable in the database, bound to the place where it is stored."""

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Return ``plain`` encrypted; it opens in the same context alone."""
        ...

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Return what ``seal`` was given."""
        ...


def without_secrets(check: Check) -> Check:
    """Return the check as it may be stored in the clear."""
    if not any(header.secret for header in check.headers):
        return check
    return _with_headers(check, [Header(h.name, "", secret=True) if h.secret else h for h in check.headers])


def sealed(check: Check, sealer: Sealer, org_id: int, monitor_id: int) -> bytes | None:
    """Return the values of the secret headers, in their order, sealed; None where there are none."""
    values = [header.value for header in check.headers if header.secret]
    return sealer.seal(msgspec.json.encode(values), _context(org_id, monitor_id)) if values else None


def unsealed(check: Check, secrets: bytes | None, sealer: Sealer, org_id: int, monitor_id: int) -> Check:
    """Return a stored check with its secrets."""
    if secrets is None:
        return check
    values = iter(msgspec.json.decode(sealer.unseal(secrets, _context(org_id, monitor_id)), type=list[str]))
    return _with_headers(check, [Header(h.name, next(values), secret=True) if h.secret else h for h in check.headers])


def _with_headers(check: Check, headers: list[Header]) -> Check:
    return msgspec.structs.replace(check, headers=tuple(headers))


def _context(org_id: int, monitor_id: int) -> bytes:
    return b"monitors.secrets:%d:%d" % (org_id, monitor_id)
