"""Builds the bridge for browsers from the settings."""

import structlog

from monitord.bridge.bridge import Bridge
from monitord.bridge.callers import Proxies
from monitord.bridge.cors import Cors
from monitord.rpc import errors
from monitord.rpc.limits import CallLimit
from monitord.rpc.private_door import PrivateDoor
from monitord.rpc.server import SERVICE_NAMES
from monitord.settings import Settings

_IN_ALL = 1000
"""Calls, and streams: fewer than one connection to the gRPC server carries, so that none waits for another's end."""

_log = structlog.get_logger(__name__)


def bridge_to(door: PrivateDoor, settings: Settings) -> Bridge | None:
    """Return the bridge to the server behind a door; None where the settings want none, which is said once."""
    if not settings.bridge_on:
        if settings.bridge == "auto":
            _log.info("bridge_off", reason="MONITORD_PING_HOST is open to others; MONITORD_BRIDGE=on lets browsers in")
        return None
    return Bridge(
        SERVICE_NAMES,
        target=lambda: door.target,
        errors=errors,
        calls=CallLimit("calls", per_caller=256, in_all=_IN_ALL),
        streams=CallLimit("streams", per_caller=128, in_all=_IN_ALL),
        cors=Cors(settings.cors_origins, settings.public_url),
        proxies=Proxies(settings.trusted_proxies),
    )
