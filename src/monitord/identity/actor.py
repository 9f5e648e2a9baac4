"""Who changes something, for the audit log. Set by the edges alone: never from a request (T10)."""

from contextvars import ContextVar

import msgspec


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who, from where, by which call."""

    user_id: int | None = None
    """None: nobody proved who they are, or it is monitord itself."""
    credential: str = ""
    """``key:<id>``, ``session:<id>`` or ``firebase:<uid>``: never a secret."""
    address: str = ""
    method: str = ""
    """Such as ``/monitord.v1.MonitorService/UpdateMonitor``, or the path of a page."""


current_actor: ContextVar[Actor | None] = ContextVar("current_actor", default=None)
