"""From where a call comes: the address that limits count, whichever door it took.

The bridge for browsers calls through a private unix socket, so gRPC sees no address there; the bridge sends the
browser's along in the metadata. Only what came through that socket is believed, and only this process's user can open
it: to a caller over TCP the key is a word like any other, and nobody reads it (T14).
"""

from typing import Any, TypeAlias
from urllib.parse import unquote

import grpc

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

CALLER_KEY = "x-monitord-caller"
"""The metadata in which the bridge names its caller's address. ``bridge.doors`` spells it the same; a test says so."""

_PRIVATE = "unix"


def caller_address(context: Context) -> str:
    """Return the caller's address without its port, such as ``192.0.2.1``; ``unix`` when none is known."""
    address = address_of(context.peer())
    if address != _PRIVATE:
        return address
    for key, value in context.invocation_metadata() or ():
        if key == CALLER_KEY:
            return str(value)
    return address


def address_of(peer: str) -> str:
    """Return the address in gRPC's name of a peer, such as ``ipv4:192.0.2.1:4711`` or ``ipv6:%5B2001:db8::1%5D:4711``.

    Of a peer without an address, the kind: ``unix``.
    """
    kind, _, rest = peer.partition(":")
    if kind in ("ipv4", "ipv6"):
        return unquote(rest).rpartition(":")[0].strip("[]")
    return kind
