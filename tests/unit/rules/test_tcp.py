"""What TCP checks may be."""

from typing import Any

import pytest

from monitord.domain.connection import Security, TlsSettings
from monitord.domain.kinds.tcp import TcpCheck
from monitord.domain.rules import tcp
from monitord.domain.rules.connection import Context
from monitord.domain.secrets import Secret


def fields_of(**fields: Any) -> list[str]:
    check = TcpCheck(**({"host": "host.example", "port": 25} | fields))
    return [each.field for each in tcp.violations(check, Context(timeout_ms=10_000))]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"host": "192.0.2.1"},
        {"host": "2001:db8::1"},
        {"host": "[2001:db8::1]"},
        {"host": "bücher.example"},
        {"port": 65535},
        {"send": bytes(4096), "expect": r"^220 .*\x00"},
        {"security": Security.STARTTLS_LDAP, "min_certificate_days": 365},
        {"expected_latency_ms": 9_999},
        {"tls": TlsSettings(server_name="other.example")},
    ],
)
def test_what_is_fine(fields: dict[str, Any]) -> None:
    assert fields_of(**fields) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"host": ""}, ["host"]),
        ({"host": "a b"}, ["host"]),
        ({"host": "host.example:25"}, ["host"]),
        ({"host": "user@host.example"}, ["host"]),
        ({"host": "0x7f.1"}, ["host"]),
        ({"port": 0}, ["port"]),
        ({"port": 65536}, ["port"]),
        ({"port": -1}, ["port"]),
        ({"send": bytes(4097)}, ["send"]),
        ({"expect": "("}, ["expect"]),
        ({"expect": "a" * 1025}, ["expect"]),
        ({"expect": r"(a)\1"}, ["expect"]),
        ({"expect": "\0"}, ["expect"]),
        ({"expect": "\ud800"}, ["expect"]),
        ({"min_certificate_days": 366}, ["min_certificate_days"]),
        ({"min_certificate_days": -1}, ["min_certificate_days"]),
        ({"expected_latency_ms": 10_000}, ["expected_latency"]),
        ({"tls": TlsSettings(server_name="a b")}, ["tls.server_name"]),
        ({"tls": TlsSettings(ca_pem="nobody")}, ["tls.ca_pem"]),
        ({"tls": TlsSettings(client_key_pem=Secret("x"))}, ["tls.client_certificate_pem"]),
        ({"resolver": "dns.example"}, ["resolver"]),
    ],
)
def test_what_is_not(fields: dict[str, Any], expected: list[str]) -> None:
    assert fields_of(**fields) == expected
