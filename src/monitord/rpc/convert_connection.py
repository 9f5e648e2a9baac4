"""How a target is reached: what the messages of most kinds have in common, to the domain and back.

The messages share these fields by name, not by type: they are read as ``Any``, and tests walk every kind's fields.
"""

from typing import Any

from monitord.domain.connection import (
    NO_TLS_SETTINGS,
    AddressFamily,
    SecureCheck,
    Security,
    ServiceCheck,
    TlsSettings,
)
from monitord.domain.errors import Violation
from monitord.domain.secrets import Header, Secret
from monitord.rpc.convert_time import millis_of, millis_pb
from monitord.rpc.enums import read_enum, read_flag
from monitord.v1 import connection_pb2 as pb

_VERIFY: dict[int, bool] = {
    pb.TLS_VERIFICATION_UNSPECIFIED: True,
    pb.TLS_VERIFICATION_FULL: True,
    pb.TLS_VERIFICATION_NONE: False,
}


def read_service(message: Any, kind: str, default_port: int, found: list[Violation]) -> dict[str, Any]:
    """Return the fields of ``ServiceCheck``; what can't be read is told to ``found`` and replaced by a default."""
    return {
        "host": message.host,
        "port": message.port or default_port,
        "address_family": read_family(message, kind, found),
        "resolver": message.resolver,
        "expected_latency_ms": read_latency_ms(message, kind, found),
    }


def read_secure(
    message: Any, kind: str, default_port: int, found: list[Violation], default: Security = Security.PLAIN
) -> dict[str, Any]:
    """Return the fields of ``SecureCheck``, as ``read_service`` does."""
    return read_service(message, kind, default_port, found) | {
        "security": read_enum(Security, pb.Security, message.security, default, f"{kind}.security", found),
        "verify_tls": read_verification(message, kind, found),
        "tls": read_tls(message.tls),
        "min_certificate_days": message.min_certificate_days,
    }


def read_family(message: Any, kind: str, found: list[Violation]) -> AddressFamily:
    """Return which addresses may be dialled."""
    number, field = message.address_family, f"{kind}.address_family"
    return read_enum(AddressFamily, pb.AddressFamily, number, AddressFamily.ANY, field, found)


def read_verification(message: Any, kind: str, found: list[Violation]) -> bool:
    """Return whether certificates are verified."""
    field = f"{kind}.tls_verification"
    return read_flag(_VERIFY.get, pb.TlsVerification, message.tls_verification, field, found)


def read_latency_ms(message: Any, kind: str, found: list[Violation]) -> int:
    """Return the latency that is expected, in milliseconds; 0 where none is."""
    field = f"{kind}.expected_latency"
    if not message.HasField("expected_latency"):
        return 0
    millis = millis_of(message.expected_latency, field, found)
    if millis == 0:
        found.append(Violation(field, "must be more than 0; leave it out for no expectation"))
    return millis or 0


def read_tls(message: pb.TlsSettings) -> TlsSettings:
    """Return whose certificates are trusted, and which one is shown."""
    made = TlsSettings(
        server_name=message.server_name,
        ca_pem=message.ca_pem,
        client_certificate_pem=message.client_certificate_pem,
        client_key_pem=Secret(message.client_key_pem),
    )
    return made if made != NO_TLS_SETTINGS else NO_TLS_SETTINGS  # one object for nearly all


def read_headers(messages: Any) -> tuple[Header, ...]:
    """Return headers."""
    return tuple(Header(one.name, one.value, one.secret) for one in messages)


def service_fields(check: ServiceCheck) -> dict[str, Any]:
    """Return the fields of the message of a service."""
    return {
        "host": check.host,
        "port": check.port,
        "address_family": check.address_family,
        "resolver": check.resolver,
        "expected_latency": latency_pb(check.expected_latency_ms),
    }


def secure_fields(check: SecureCheck) -> dict[str, Any]:
    """Return the fields of the message of a service that may be spoken to over TLS."""
    return service_fields(check) | {
        "security": check.security,
        "tls_verification": verification_pb(check.verify_tls),
        "tls": tls_pb(check.tls),
        "min_certificate_days": check.min_certificate_days,
    }


def verification_pb(verify: bool) -> pb.TlsVerification.ValueType:
    """Return what is done with the server's certificate."""
    return pb.TLS_VERIFICATION_FULL if verify else pb.TLS_VERIFICATION_NONE


def latency_pb(millis: int) -> Any:
    """Return the latency that is expected; None where none is."""
    return millis_pb(millis) if millis else None


def tls_pb(tls: TlsSettings) -> pb.TlsSettings | None:
    """Return TLS settings without the private key (T15); None where all is as usual."""
    if tls == NO_TLS_SETTINGS:
        return None
    return pb.TlsSettings(
        server_name=tls.server_name, ca_pem=tls.ca_pem, client_certificate_pem=tls.client_certificate_pem
    )


def headers_pb(headers: tuple[Header, ...]) -> list[pb.HttpHeader]:
    """Return headers without the values of secret ones (T15)."""
    return [pb.HttpHeader(name=one.name, value="" if one.secret else one.value, secret=one.secret) for one in headers]
