"""WebSocket checks."""

from monitord.domain.errors import Violation
from monitord.domain.kinds.websocket import WebsocketCheck
from monitord.rpc.convert_connection import (
    headers_pb,
    latency_pb,
    read_family,
    read_headers,
    read_latency_ms,
    read_tls,
    read_verification,
    tls_pb,
    verification_pb,
)
from monitord.v1 import websocket_check_pb2 as pb


def read_websocket(message: pb.WebsocketCheck, found: list[Violation]) -> WebsocketCheck:
    """Return what a message asks for; what can't be read is told to ``found`` and replaced by a default."""
    return WebsocketCheck(
        url=message.url,
        headers=read_headers(message.headers),
        subprotocols=tuple(message.subprotocols),
        send=message.send,
        expect=message.expect,
        expected_latency_ms=read_latency_ms(message, "websocket", found),
        verify_tls=read_verification(message, "websocket", found),
        tls=read_tls(message.tls),
        min_certificate_days=message.min_certificate_days,
        address_family=read_family(message, "websocket", found),
        resolver=message.resolver,
    )


def websocket_pb(check: WebsocketCheck) -> pb.WebsocketCheck:
    """Return the message of a check, without its secrets (T15)."""
    return pb.WebsocketCheck(
        url=check.url,
        headers=headers_pb(check.headers),
        subprotocols=check.subprotocols,
        send=check.send,
        expect=check.expect,
        expected_latency=latency_pb(check.expected_latency_ms),
        tls_verification=verification_pb(check.verify_tls),
        tls=tls_pb(check.tls),
        min_certificate_days=check.min_certificate_days,
        address_family=check.address_family,  # type: ignore[arg-type]  # the same numbers; a test holds them together
        resolver=check.resolver,
    )
