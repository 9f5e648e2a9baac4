"""What a gRPC check may be."""

from typing import Any

import pytest

from monitord.domain.connection import Security
from monitord.domain.kinds.grpc import GrpcCheck
from monitord.domain.rules.connection import Context
from monitord.domain.rules.grpc import violations
from monitord.domain.secrets import Header

CONTEXT = Context(timeout_ms=10_000)


def fields_of(**fields: Any) -> set[str]:
    check = GrpcCheck(**({"host": "grpc.example.com", "port": 443} | fields))
    return {each.field for each in violations(check, CONTEXT)}


def test_what_is_allowed() -> None:
    assert not fields_of()
    assert not fields_of(
        security=Security.PLAIN,
        service="shop.v1.Cart",
        metadata=(Header("x-tenant", "acme"), Header("authorization", "Bearer x", secret=True)),
        min_certificate_days=30,
        expected_latency_ms=500,
    )
    assert not fields_of(host="2001:db8::1", service="größe")


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("security", {"security": Security.STARTTLS_SMTP}),
        ("service", {"service": "s" * 256}),
        ("service", {"service": "a\nb"}),
        ("metadata[0].name", {"metadata": (Header("X-Upper", "a"),)}),
        ("metadata[0].name", {"metadata": (Header("grpc-timeout", "1S"),)}),
        ("metadata[0].name", {"metadata": (Header("data-bin", "AA=="),)}),
        ("metadata[0].name", {"metadata": (Header("te", "trailers"),)}),
        ("metadata[0].name", {"metadata": (Header("content-type", "text/plain"),)}),
        ("metadata[0].name", {"metadata": (Header("host", "a"),)}),
        ("metadata[0].name", {"metadata": (Header(":path", "/"),)}),
        ("metadata[0].value", {"metadata": (Header("a", "é"),)}),
        ("metadata[0].value", {"metadata": (Header("a", "b\tc"),)}),
        ("metadata[0].value", {"metadata": (Header("a", "", secret=True),)}),
        ("metadata", {"metadata": tuple(Header(f"a{n}", "b") for n in range(51))}),
        ("host", {"host": "example.com:443"}),
        ("port", {"port": 0}),
        ("expected_latency", {"expected_latency_ms": 10_000}),
        ("min_certificate_days", {"min_certificate_days": 366}),
    ],
)
def test_what_is_not_allowed(field: str, fields: dict[str, Any]) -> None:
    assert field in fields_of(**fields)
