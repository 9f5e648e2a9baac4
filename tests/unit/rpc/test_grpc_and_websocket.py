"""Checks of gRPC and WebSockets through the messages of the API and back."""

import pytest

from monitord.domain.connection import AddressFamily, Security, TlsSettings
from monitord.domain.errors import Violation
from monitord.domain.kinds import Check, HttpCheck
from monitord.domain.kinds.grpc import GrpcCheck
from monitord.domain.kinds.http import HttpVersion
from monitord.domain.kinds.websocket import WebsocketCheck
from monitord.domain.secrets import Header, Secret, secrets_of, with_secrets, without_secrets
from monitord.rpc.convert_check import read_check, write_check
from monitord.v1 import monitor_pb2 as pb

TLS = TlsSettings(
    server_name="inner.example", ca_pem="CA", client_certificate_pem="CERT", client_key_pem=Secret("hush-key")
)
HEADERS = (Header("x-tenant", "acme"), Header("authorization", "hush-token", secret=True))

CHECKS: list[Check] = [
    GrpcCheck(host="grpc.example.com", port=443),
    GrpcCheck(
        host="2001:db8::1",
        port=50051,
        address_family=AddressFamily.IPV6,
        resolver="192.0.2.53",
        expected_latency_ms=250,
        security=Security.PLAIN,
        verify_tls=False,
        tls=TLS,
        min_certificate_days=30,
        service="shop.v1.Cart",
        metadata=HEADERS,
    ),
    WebsocketCheck(url="wss://chat.example.com/live?token=x"),
    WebsocketCheck(
        url="ws://192.0.2.1:8080/",
        headers=HEADERS,
        subprotocols=("b", "a"),
        send="größe\n",
        expect="^pong$",
        expected_latency_ms=250,
        verify_tls=False,
        tls=TLS,
        min_certificate_days=30,
        address_family=AddressFamily.IPV4,
        resolver="[2001:db8::53]:5353",
    ),
    HttpCheck(url="https://example.com/", http_version=HttpVersion.AUTO),
    HttpCheck(url="https://example.com/", http_version=HttpVersion.HTTP2),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: type(check).__name__)
def test_a_check_comes_back_as_it_was_but_for_its_secrets(check: Check) -> None:
    message, found = pb.Monitor(), list[Violation]()
    write_check(message, check)
    assert b"hush" not in message.SerializeToString()
    read = read_check(message, found)
    assert not found
    assert read == without_secrets(check)
    assert with_secrets(read, secrets_of(check)) == check
    assert "hush" not in repr(check)
