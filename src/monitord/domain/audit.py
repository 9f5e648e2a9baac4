"""What was done, by whom, and what it was before."""

from typing import Any

import msgspec

from monitord.domain.instant import Instant


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One change, or a sign-in. Never changed itself."""

    id: int
    at: Instant
    user_id: int | None
    """Who; None: nobody proved who they are, or it was monitord itself."""
    user_email: str
    """As it is now; empty: gone, or none."""
    credential: str
    address: str
    method: str
    action: str
    """``created``, ``changed``, ``deleted``, ``signed_in``, ``signed_out``, ``sign_in_failed``; ``rotated``,
    ``retired``."""
    kind: str
    """``monitor``, ``contact``, ``alert_config``, ``maintenance_window``, ``api_key``, ``user``, ``incident``,
    ``session`` or ``master_key``."""
    thing_id: str
    before: dict[str, Any] | None
    """What it was; of a change, the fields that changed. Secrets are ``***`` (T15)."""
    after: dict[str, Any] | None


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events, newest first. All conditions must hold."""

    limit: int = 50
    before_id: int | None = None
    user_id: int | None = None
    kinds: tuple[str, ...] = ()
    thing_id: str = ""
    start: Instant | None = None
    end: Instant | None = None
