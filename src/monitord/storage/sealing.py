"""Keeps the secrets of checks and of contacts apart from their configuration, and sealed (T15)."""

from typing import Protocol

import msgspec

from monitord.domain.contacts import Channel
from monitord.domain.kinds import Check
from monitord.domain.secrets import Secrets, secrets_of, with_secrets

_decode = msgspec.json.Decoder(Secrets | list[str]).decode
_decode_secrets = msgspec.json.Decoder(Secrets).decode


class Sealer(Protocol):
    """Encrypts what must not be readable in the database, bound to the place where it is stored."""

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Return ``plain`` encrypted; it opens in the same context alone."""
        ...

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Return what ``seal`` was given."""
        ...


def sealed(check: Check, sealer: Sealer, org_id: int, monitor_id: int) -> bytes | None:
    """Return a check's secrets, sealed; None where there are none."""
    found = secrets_of(check)
    return sealer.seal(msgspec.json.encode(found), monitor_context(org_id, monitor_id)) if found else None


def unsealed(check: Check, secrets: bytes | None, sealer: Sealer, org_id: int, monitor_id: int) -> Check:
    """Return a stored check with its secrets."""
    if secrets is None:
        return check
    found = _decode(sealer.unseal(secrets, monitor_context(org_id, monitor_id)))
    if isinstance(found, list):
        # As sealed before there were other secrets than headers: their values in order.
        names = (header.name for header in getattr(check, "headers", ()) if header.secret)
        by_name: Secrets = {}
        for name, value in zip(names, found, strict=False):
            by_name.setdefault(f"headers/{name.lower()}", []).append(value)
        found = by_name
    return with_secrets(check, found)


def monitor_context(org_id: int, monitor_id: int) -> bytes:
    """Return the place of a monitor's secrets: what is sealed for another doesn't open there."""
    return b"monitors.secrets:%d:%d" % (org_id, monitor_id)


def sealed_channel(channel: Channel, sealer: Sealer, org_id: int, contact_id: int) -> bytes | None:
    """Return a channel's secrets, sealed; None where there are none."""
    found = secrets_of(channel)
    return sealer.seal(msgspec.json.encode(found), contact_context(org_id, contact_id)) if found else None


def unsealed_channel(channel: Channel, secrets: bytes | None, sealer: Sealer, org_id: int, contact_id: int) -> Channel:
    """Return a stored channel with its secrets."""
    if secrets is None:
        return channel
    found: Secrets = _decode_secrets(sealer.unseal(secrets, contact_context(org_id, contact_id)))
    return with_secrets(channel, found)


def contact_context(org_id: int, contact_id: int) -> bytes:
    """Return the place of a contact's secrets."""
    return b"alert_contacts.secrets:%d:%d" % (org_id, contact_id)
