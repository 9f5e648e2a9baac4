"""The facts of certificates, read from their DER form whether or not they verified."""

import warnings

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from monitord.domain.check import Certificate
from monitord.domain.instant import Instant, from_datetime
from monitord.probes.text import shown

_MAX_CACHED = 2048
_MAX_NAMES = 100


class CertificateFacts:
    """Reads certificates, remembering a bounded number: the same ones come back with every check."""

    def __init__(self) -> None:
        self._expiries: dict[bytes, Instant | None] = {}

    def expires_at(self, der: bytes) -> Instant | None:
        """Return when a certificate expires; None if it cannot be read."""
        try:
            return self._expiries[der]
        except KeyError:
            pass
        facts = read_certificate(der)
        if len(self._expiries) >= _MAX_CACHED:
            del self._expiries[next(iter(self._expiries))]
        expiry = self._expiries[der] = facts.not_after if facts is not None else None
        return expiry


def load_certificate(der: bytes) -> x509.Certificate:
    """Parse a certificate without complaints about what others put into it. Raises ``ValueError``."""
    with warnings.catch_warnings(action="ignore"):
        try:
            certificate = x509.load_der_x509_certificate(der)
            certificate.version  # noqa: B018 - read when it is looked at, and not always one that there is
        except x509.InvalidVersion as error:
            raise ValueError(str(error)) from None
        return certificate


def read_certificate(der: bytes) -> Certificate | None:
    """Return the facts of a certificate, cleaned and capped (T19); None if it is not one."""
    try:
        # Fields are complained of only when they are looked at, such as a serial number that is not positive.
        with warnings.catch_warnings(action="ignore"):
            return _facts(load_certificate(der))
    except (ValueError, TypeError, x509.UnsupportedGeneralNameType):
        # Whatever a server calls a certificate comes here; the parser refuses the malformed ones with these.
        return None


def _facts(certificate: x509.Certificate) -> Certificate:
    return Certificate(
        subject=shown(certificate.subject.rfc4514_string()),
        issuer=shown(certificate.issuer.rfc4514_string()),
        names=_names(certificate),
        not_before=from_datetime(certificate.not_valid_before_utc),
        not_after=from_datetime(certificate.not_valid_after_utc),
        serial=f"{certificate.serial_number:x}",
        fingerprint_sha256=certificate.fingerprint(SHA256()).hex(),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    names = [str(name) for name in extension.get_values_for_type(x509.DNSName)]
    names += [str(address) for address in extension.get_values_for_type(x509.IPAddress)]
    return tuple(shown(name) for name in names[:_MAX_NAMES])
