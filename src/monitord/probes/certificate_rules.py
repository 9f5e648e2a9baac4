"""What may be wrong with the certificates of a server that verifies: the names, the keys, the signatures.

Certificates are in DER form, as the server sent them, its own first. What can't be read is not judged here: without
verification anything may come, and with it OpenSSL has refused what it can't read.
"""

import warnings
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1

from monitord.domain.instant import DAY, Instant
from monitord.domain.target import Endpoint
from monitord.probes.certificates import load_certificate, read_certificate
from monitord.probes.text import shown

MIN_RSA_BITS = 2048
MIN_EC_BITS = 224
"""Less is disallowed by NIST SP 800-131A (rev. 2, table 2), and refused by OpenSSL's security level 2."""

_OLDER_SIGNATURES = {"1.2.840.113549.1.1.2": "MD2", "1.2.840.113549.1.1.3": "MD4"}
"""RFC 8017, appendix C; the library has no names for them."""


class Coverage:
    """The names that a certificate is valid for. The subject's common name is none of them (RFC 9525, 2)."""

    def __init__(self, der: bytes) -> None:
        """Read them; there are none in what can't be read."""
        self._names: set[str] = set()
        self._domains: set[str] = set()
        """Of names such as ``*.example.com``: what stands behind the asterisk."""
        self._addresses: set[str] = set()
        for name in _alternative_names(der):
            if isinstance(name, x509.IPAddress):
                self._addresses.add(str(name.value))
            elif isinstance(name, x509.DNSName):
                self._add(name.value.lower())

    def _add(self, name: str) -> None:
        if "*" not in name:
            self._names.add(name)
        # The asterisk is the whole of the left-most label, and not all below a top-level domain is meant.
        elif name.startswith("*.") and name.count("*") == 1 and "." in name[2:]:
            self._domains.add(name[1:])

    def includes(self, name: Endpoint) -> bool:
        """Tell whether it is valid for a name or an address (RFC 6125, 6.4): an asterisk stands for one label."""
        if name.literal is not None:
            return str(name.literal) in self._addresses
        label, dot, domain = name.host.partition(".")
        return name.host in self._names or (bool(label) and dot + domain in self._domains)


def _alternative_names(der: bytes) -> list[x509.GeneralName]:
    try:
        with warnings.catch_warnings(action="ignore"):
            extensions = load_certificate(der).extensions
            return list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (
        ValueError,
        TypeError,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ):
        return []


def weakness(chain: Sequence[bytes]) -> str | None:
    """Return what makes a chain too weak to trust, in words that follow "the server's chain is weak:"."""
    for index, der in enumerate(chain):
        with warnings.catch_warnings(action="ignore"):
            try:
                certificate = load_certificate(der)
            except ValueError:
                continue
            whose = "its certificate" if index == 0 else f"the certificate of {_subject(certificate)}, in its chain,"
            for words in (_weak_key(certificate), _weak_signature(certificate)):
                if words is not None:
                    return f"{whose} {words}"
    return None


def _subject(certificate: x509.Certificate) -> str:
    try:
        return shown(certificate.subject.rfc4514_string(), 80) or "nobody"
    except ValueError:
        return "nobody"


def _weak_key(certificate: x509.Certificate) -> str | None:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    if isinstance(key, dsa.DSAPublicKey):
        return "has a DSA key"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        return f"has an RSA key of {key.key_size} bits; {MIN_RSA_BITS} are the least"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < MIN_EC_BITS:
        return f"has an elliptic-curve key of {key.key_size} bits; {MIN_EC_BITS} are the least"
    return None


def _weak_signature(certificate: x509.Certificate) -> str | None:
    try:
        if certificate.subject == certificate.issuer:
            return None  # nobody relies on the signature of a root: it is trusted for being known
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        name = _OLDER_SIGNATURES.get(certificate.signature_algorithm_oid.dotted_string)
        return f"is signed with {name}" if name else None
    except ValueError:
        return None
    if isinstance(algorithm, (MD5, SHA1)):
        return f"is signed with {'MD5' if isinstance(algorithm, MD5) else 'SHA-1'}"
    return None


def key_bits(der: bytes) -> int | None:
    """Return the size of a certificate's key; None where it has none, or can't be read."""
    try:
        with warnings.catch_warnings(action="ignore"):
            key = load_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    if isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, dsa.DSAPublicKey)):
        return key.key_size
    if isinstance(key, ed25519.Ed25519PublicKey):
        return 256
    return 456 if isinstance(key, ed448.Ed448PublicKey) else None


def days_left(chain: Sequence[bytes], now: Instant) -> int | None:
    """Return how many whole days are left of the certificate that expires first; negative: since when it has."""
    return min(((end - now) // DAY for end in _ends(chain)), default=None)


def _ends(chain: Sequence[bytes]) -> Iterator[Instant]:
    for der in chain:
        facts = read_certificate(der)
        if facts is not None:
            yield facts.not_after
