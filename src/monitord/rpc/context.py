"""Who is calling, for the handler that runs. Set by the interceptor alone: never from a request (T10)."""

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitord.identity.principal import Principal

current_principal: ContextVar["Principal"] = ContextVar("current_principal")
current_peer: ContextVar[str] = ContextVar("current_peer", default="")


def principal() -> "Principal":
    """Return whoever proved their identity for this call.

    Raises LookupError in a call that needs no proof: a handler that asks there is a bug, and must not get anyone.
    """
    return current_principal.get()


def peer() -> str:
    """Return the caller's address without its port, such as ``192.0.2.1`` or ``2001:db8::1``: for limits."""
    return current_peer.get()
