"""What TLS checks may be."""

from typing import Any

import pytest

from monitord.domain.connection import Security
from monitord.domain.kinds.tls import TlsCheck, TlsVersion
from monitord.domain.rules import tls
from monitord.domain.rules.connection import Context

PRINT = "ab" * 32


def fields_of(**fields: Any) -> list[str]:
    check = TlsCheck(**({"host": "host.example"} | fields))
    return [each.field for each in tls.violations(check, Context(timeout_ms=10_000))]


def test_what_it_is_when_nothing_is_said() -> None:
    check = TlsCheck(host="host.example")
    assert (check.port, check.security, check.min_certificate_days) == (443, Security.TLS, 14)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"security": Security.STARTTLS_SMTP, "port": 587},
        {"names": ("a.example", "bücher.example", "192.0.2.1", "2001:db8::1") * 5},
        {"fingerprints_sha256": (PRINT,) * 10, "min_version": TlsVersion.TLS_1_3},
        {"min_certificate_days": 0},
    ],
)
def test_what_is_fine(fields: dict[str, Any]) -> None:
    assert fields_of(**fields) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"security": Security.PLAIN}, ["security"]),
        ({"names": ("a.example",) * 21}, ["names"]),
        ({"names": ("a.example", "*.example")}, ["names[1]"]),
        ({"names": ("https://a.example",)}, ["names[0]"]),
        ({"names": ("",)}, ["names[0]"]),
        ({"fingerprints_sha256": (PRINT,) * 11}, ["fingerprints_sha256"]),
        ({"fingerprints_sha256": (PRINT, PRINT[:-1])}, ["fingerprints_sha256[1]"]),
        ({"fingerprints_sha256": (PRINT.upper(),)}, ["fingerprints_sha256[0]"]),
        ({"fingerprints_sha256": (PRINT + "\n",)}, ["fingerprints_sha256[0]"]),
    ],
)
def test_what_is_not(fields: dict[str, Any], expected: list[str]) -> None:
    assert fields_of(**fields) == expected
