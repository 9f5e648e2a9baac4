"""The facts of certificates, read from their DER form whether or not they verified."""

import warnings
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from monitord.domain.check import Category, Certificate, Verdict
from monitord.domain.instant import DAY, Instant, from_datetime
from monitord.probes.failure import Failure
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


def expiring(chain: Sequence[bytes], min_days: int, now: Instant) -> Failure | None:
    """Return that a certificate of a chain (DER, the leaf first) has fewer whole days left, if one has: DEGRADED."""
    read = [facts for der in chain if (facts := read_certificate(der)) is not None]
    if not min_days or not read:
        return None
    first = min(read, key=lambda facts: facts.not_after)
    days = (first.not_after - now) // DAY
    if days >= min_days:
        return None
    left = "has expired" if days < 0 else f"expires in {days} {'day' if days == 1 else 'days'}"
    whose = "The certificate" if first is read[0] else f"The certificate of {first.subject}, in the chain,"
    return Failure(Category.TLS_EXPIRING, f"{whose} {left}; {min_days} are asked for.", Verdict.DEGRADED)


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
