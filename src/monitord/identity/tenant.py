"""For whom a call reads and writes. Set by the edge alone: never from a request (T10).

Beside the organisation that storage functions are given, and independent of it: the database holds each against the
other (T9, ``storage.tenancy``).
"""

from contextvars import ContextVar

import msgspec


class Tenant(msgspec.Struct, frozen=True):
    """An organisation, and the user who acts in it."""

    org_id: int
    user_id: int


current_tenant: ContextVar[Tenant | None] = ContextVar("current_tenant", default=None)
