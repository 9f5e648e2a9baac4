"""What a WebSocket check may be."""

from typing import Any

import pytest

from monitord.domain.connection import TlsSettings
from monitord.domain.kinds.websocket import WebsocketCheck
from monitord.domain.rules.connection import Context
from monitord.domain.rules.websocket import violations
from monitord.domain.secrets import Header

CONTEXT = Context(timeout_ms=10_000)


def fields_of(**fields: Any) -> set[str]:
    check = WebsocketCheck(**({"url": "wss://chat.example.com/live"} | fields))
    return {each.field for each in violations(check, CONTEXT)}


def test_what_is_allowed() -> None:
    assert not fields_of()
    assert not fields_of(
        url="ws://192.0.2.1:8080/",
        headers=(Header("Origin", "https://example.com"), Header("Authorization", "x", secret=True)),
        subprotocols=("graphql-transport-ws", "v1.chat"),
        send='{"type": "ping"}\n',
        expect="pong|größe",
        min_certificate_days=14,
        expected_latency_ms=9_999,
    )


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("url", {"url": "https://chat.example.com/"}),
        ("url", {"url": "wss://user@chat.example.com/"}),
        ("url", {"url": "wss://chat.example.com/#now"}),
        ("headers[0].name", {"headers": (Header("Sec-WebSocket-Key", "x"),)}),
        ("headers[0].name", {"headers": (Header("Upgrade", "h2c"),)}),
        ("headers[0].value", {"headers": (Header("X", "a\r\nb: c"),)}),
        ("subprotocols", {"subprotocols": tuple(f"p{n}" for n in range(11))}),
        ("subprotocols[0]", {"subprotocols": ("a b",)}),
        ("subprotocols[0]", {"subprotocols": ("",)}),
        ("subprotocols[1]", {"subprotocols": ("a", "a")}),
        ("send", {"send": "x" * 4097}),
        ("send", {"send": "a\0b"}),
        ("expect", {"expect": "("}),
        ("expect", {"expect": "x" * 1025}),
        ("expected_latency", {"expected_latency_ms": 10_000}),
        ("resolver", {"resolver": "dns.example"}),
        ("tls.client_key_pem", {"tls": TlsSettings(client_certificate_pem="x")}),
        ("min_certificate_days", {"min_certificate_days": -1}),
    ],
)
def test_what_is_not_allowed(field: str, fields: dict[str, Any]) -> None:
    assert field in fields_of(**fields)
