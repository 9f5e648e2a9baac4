"""What the ways of reaching a target may be, for all kinds that have them."""

from collections.abc import Iterator

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from monitord.domain.connection import SecureCheck, Security, ServiceCheck, TlsSettings
from monitord.domain.errors import Violation
from monitord.domain.rules.wording import duration, quoted
from monitord.domain.target import InvalidTargetError, parse_endpoint, parse_server

MAX_PEM_BYTES = 64 * 1024
MAX_KEY_BYTES = 16 * 1024
MAX_CERTIFICATE_DAYS = 365
MAX_SECRET_BYTES = 1024
DNS_PORT = 53


class Context(msgspec.Struct, frozen=True):
    """What a rule of a kind has to know of the rest."""

    timeout_ms: int
    secrets_may_be_kept: bool = False
    """Whether a secret may come without its value, as one is stored."""


def of_service(check: ServiceCheck, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with the host, the port and the way to them."""
    yield from of_host(check.host)
    if not 1 <= check.port <= 65535:
        yield Violation("port", f"must be 1 to 65535, not {check.port}")
    yield from of_resolver(check.resolver)
    yield from of_latency(check.expected_latency_ms, context)


def of_secure(check: SecureCheck, context: Context, allowed: tuple[Security, ...]) -> Iterator[Violation]:
    """Yield what is wrong with a service that may be spoken to over TLS, in one of the ``allowed`` ways."""
    yield from of_service(check, context)
    if check.security not in allowed:
        names = ", ".join(each.name for each in allowed)
        yield Violation("security", f"must be one of {names}, not {check.security.name}")
    yield from of_tls_settings(check.tls, context)
    yield from of_certificate_days(check.min_certificate_days)


def of_host(host: str, field: str = "host") -> Iterator[Violation]:
    """Yield what is wrong with a host."""
    try:
        parse_endpoint(host, 1)
    except InvalidTargetError as error:
        yield Violation(field, str(error))


def of_resolver(resolver: str, field: str = "resolver") -> Iterator[Violation]:
    """Yield what is wrong with the DNS server that is to be asked: it is an address, or else who would resolve it?"""
    if not resolver:
        return
    try:
        if parse_server(resolver, DNS_PORT).literal is not None:
            return
    except InvalidTargetError as error:
        yield Violation(field, str(error))
        return
    yield Violation(
        field,
        f"must be an address with an optional port, such as 192.0.2.53 or [2001:db8::53]:5353, not {quoted(resolver)}",
    )


def of_latency(expected_ms: int, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with the latency that is expected."""
    if expected_ms < 0 or expected_ms >= max(context.timeout_ms, 1):
        yield Violation(
            "expected_latency",
            f"must be more than 0 and shorter than the timeout of {duration(context.timeout_ms)}, "
            f"not {duration(expected_ms)}",
        )


def of_certificate_days(days: int) -> Iterator[Violation]:
    """Yield what is wrong with the days that a certificate must have left."""
    if not 0 <= days <= MAX_CERTIFICATE_DAYS:
        yield Violation("min_certificate_days", f"must be 0 to {MAX_CERTIFICATE_DAYS}, not {days}")


def of_tls_settings(tls: TlsSettings, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with whose certificates are trusted, and which one is shown."""
    if tls.server_name:
        yield from of_host(tls.server_name, "tls.server_name")
    if tls.ca_pem:
        yield from _of_certificates(tls.ca_pem, "tls.ca_pem")
    if tls.client_certificate_pem:
        yield from _of_certificates(tls.client_certificate_pem, "tls.client_certificate_pem")
        if tls.client_key_pem:
            yield from _of_key(tls)
        elif not context.secrets_may_be_kept:
            yield Violation("tls.client_key_pem", "must be given: a client certificate needs its private key")
    elif tls.client_key_pem:
        yield Violation("tls.client_certificate_pem", "must be given: a private key needs its certificate")


def of_secret(value: str, field: str, limit: int = MAX_SECRET_BYTES) -> Iterator[Violation]:
    """Yield what is wrong with a password or the like, without showing it."""
    if len(value.encode("utf-8", "surrogatepass")) > limit:
        yield Violation(field, f"must have at most {limit} bytes")
    if "\0" in value:
        yield Violation(field, "must contain no NUL")
    if not _is_text(value):
        yield Violation(field, _NO_TEXT)


def of_length(value: str | bytes, field: str, limit: int) -> Iterator[Violation]:
    """Yield what is wrong with the length of a text, counted in bytes of UTF-8, or with a NUL in it."""
    size = len(value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass"))
    if size > limit:
        yield Violation(field, f"must have at most {limit} bytes, not {size}")
    if isinstance(value, str) and "\0" in value:
        yield Violation(field, "must contain no NUL")
    if isinstance(value, str) and not _is_text(value):
        yield Violation(field, _NO_TEXT)


_NO_TEXT = "must be text that can be written as UTF-8: it holds half of a surrogate pair"


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)


def _of_certificates(pem: str, field: str) -> Iterator[Violation]:
    if len(pem) > MAX_PEM_BYTES:
        yield Violation(field, f"must have at most {MAX_PEM_BYTES // 1024} KiB, not {len(pem)} bytes")
        return
    try:
        if "\0" in pem:
            raise ValueError
        x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        yield Violation(field, "must be certificates in PEM form (-----BEGIN CERTIFICATE-----)")


def _of_key(tls: TlsSettings) -> Iterator[Violation]:
    field, pem = "tls.client_key_pem", tls.client_key_pem.value.encode("utf-8", "surrogatepass")
    if len(pem) > MAX_KEY_BYTES:
        yield Violation(field, f"must have at most {MAX_KEY_BYTES // 1024} KiB, not {len(pem)} bytes")
        return
    try:
        key = load_pem_private_key(pem, password=None)
        leaf = x509.load_pem_x509_certificates(tls.client_certificate_pem.encode())[0]
        if key.public_key() != leaf.public_key():
            yield Violation(field, "must be the private key of the client certificate, and is another's")
    except TypeError:
        yield Violation(field, "must not be encrypted: there is nobody to type its password")
    except (ValueError, UnsupportedAlgorithm):
        yield Violation(field, "must be a private key in PEM form (-----BEGIN PRIVATE KEY-----)")
