"""The certificate that monitord itself serves: from files that may be replaced while it runs, without a restart.

The files are looked at once a second, by their facts: a rename over them, another target of a symlink (as Kubernetes
swaps secrets) and a write in place all show there. What they hold is taken as a whole or not at all: half a file, or a
key of another certificate, leaves in service what was there before, and is told once.
"""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from monitord.domain.errors import FailedPreconditionError
from monitord.domain.instant import DAY, Instant, from_datetime, to_datetime

LOOK_S = 1.0
"""How long a new file may go unnoticed, in seconds."""

NOTICE = 14 * DAY
"""How long before its end a certificate is warned of: at the start, at each change, and then once a day."""

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_CURVES = ("secp256r1", "secp384r1")
"""What gRPC's clients take besides RSA. Of other keys they only say that there is no connection."""

_log = structlog.get_logger(__name__)


class CertificateError(FailedPreconditionError):
    """The files can't be served as they are; the message says what to change, and holds nothing of the key."""


class CertificateFiles(msgspec.Struct, frozen=True):
    """Where the PEM files are."""

    certificate: Path
    """With the chain that is sent along, the server's own certificate first."""
    key: Path
    client_ca: Path | None = None
    """Authorities, one of which has to have signed the certificate of a client; None: clients need none."""


class Loaded(msgspec.Struct, frozen=True, eq=False):
    """What the files held when they were read: all of one piece."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext
    """For servers that take one, of TLS 1.2 or newer. It asks for no client certificate."""
    expires_at: Instant

    def __repr__(self) -> str:
        """Leave the key out (T15)."""
        return f"Loaded(until {self.expires_at})"

    def holds(self, other: Self) -> bool:
        """Return whether the same stands in both."""
        return (self.certificate, self.key, self.client_ca) == (other.certificate, other.key, other.client_ca)


class ServedCertificate:
    """Keeps what is served equal to the files. ``current`` may be read from any thread."""

    def __init__(self, files: CertificateFiles, *, now: Callable[[], Instant]) -> None:
        """Read the files for the first time. Raises CertificateError."""
        self.files = files
        self._now = now
        self._facts = _facts(files)
        self._current = _load(files)
        self._trouble = ""
        self._warned_at: Instant | None = None
        # Loaded anew in place, a context would hold a certificate beside the key of another for a moment, or for good
        # where the second file fails: so each handshake is given a whole one.
        self._door = self._current.context
        self._door.sni_callback = self._give
        self._warn_of_the_end()

    @property
    def current(self) -> Loaded:
        """What is served to whoever connects now: another object once the files have changed."""
        return self._current

    @property
    def context(self) -> ssl.SSLContext:
        """The context for a server that takes one for its whole life: each handshake with it gets what is current."""
        return self._door

    def look(self) -> None:
        """Take in what has changed, if that can be served, and say so; else say why not. Blocks for some milliseconds.

        What can't be served is read again with each look: not all that heals it changes the facts of the files.
        """
        facts = _facts(self.files)
        changed, self._facts = facts != self._facts, facts
        if changed or self._trouble:
            self._reload(changed)
        if self._warned_at is None or self._now() - self._warned_at >= DAY:
            self._warn_of_the_end()

    async def run(self) -> None:
        """Look once a second, until cancelled. On a thread: a folder of another machine may not answer."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.look)

    def _reload(self, changed: bool) -> None:
        try:
            loaded = _load(self.files)
        except Exception as error:  # the one guard of this task: whatever a file holds, what is served goes on
            reason = str(error) or type(error).__name__
            if changed or reason != self._trouble:
                _log.warning("certificate_not_reloaded", reason=reason, still_served="the one before")
            self._trouble = reason
            return
        was_in_trouble, self._trouble = bool(self._trouble), ""
        if not loaded.holds(self._current):
            self._current = loaded
            _log.info("certificate_reloaded", file=str(self.files.certificate), expires=_day(loaded.expires_at))
            self._warn_of_the_end()
        elif was_in_trouble:
            _log.info("certificate_well_again", file=str(self.files.certificate))

    def _warn_of_the_end(self) -> None:
        self._warned_at = now = self._now()
        left = self._current.expires_at - now
        if left < NOTICE:
            _log.warning(
                "certificate_expired" if left <= 0 else "certificate_expires_soon",
                file=str(self.files.certificate),
                expires=_day(self._current.expires_at),
                days_left=max(0, left // DAY),
                remedy="put a newer one into its place: it is served within a second, without a restart",
            )

    def _give(self, handshake: ssl.SSLObject, name: str | None, door: ssl.SSLContext) -> None:
        handshake.context = self._current.context


def _day(at: Instant) -> str:
    return to_datetime(at).isoformat(timespec="seconds")


def _facts(files: CertificateFiles) -> tuple[tuple[int, ...] | None, ...]:
    """Return what tells a file from the one that was there before, symlinks followed; None where there is none."""
    return tuple(_facts_of(path) for path in (files.certificate, files.key, files.client_ca) if path is not None)


def _facts_of(path: Path) -> tuple[int, ...] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def _load(files: CertificateFiles) -> Loaded:
    certificate, key = _read(files.certificate), _read(files.key)
    client_ca = None if files.client_ca is None else _read(files.client_ca)
    try:
        chain = _certificates(certificate)
        _require_a_pair(chain[0], key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # With a password, so that OpenSSL asks nobody for one at the terminal.
        context.load_cert_chain(files.certificate, files.key, password="")
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(
            f"the certificate {files.certificate} and the key {files.key} can't be used: {error}. Both must be PEM, "
            "and belong together; see MONITORD_TLS_CERT and MONITORD_TLS_KEY"
        ) from error
    if client_ca is not None:
        try:
            _certificates(client_ca)
        except ValueError as error:
            raise CertificateError(
                f"the authorities of clients in {files.client_ca} can't be used: {error}. See MONITORD_TLS_CLIENT_CA"
            ) from error
    return Loaded(certificate, key, client_ca, context, from_datetime(chain[0].not_valid_after_utc))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"{path} can't be read: {error.strerror}. monitord serves TLS with it; see MONITORD_TLS_CERT, "
            "MONITORD_TLS_KEY and MONITORD_TLS_CLIENT_CA"
        ) from error


def _certificates(pem: bytes) -> list[x509.Certificate]:
    """Return what a file holds, one at least. Raises ValueError; also for a file that ends within a certificate."""
    if _BEGIN not in pem:
        raise ValueError("there is no certificate in PEM form in it")
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        found = []
    # The parser takes what is whole; a line that only begins is the sign of a file that somebody still writes.
    rest = pem.rpartition(_END)[2].strip()
    if not found or len(found) != pem.count(_BEGIN) or rest.startswith(b"-"):
        raise ValueError("a certificate in it is cut off, or damaged")
    return found


def _require_a_pair(certificate: x509.Certificate, pem: bytes) -> None:
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise ValueError("the key is encrypted, and monitord asks nobody for its password: store it without") from None
    except (ValueError, UnsupportedAlgorithm):
        # Not `from` the error: its text may quote what it could not read.
        raise ValueError("there is no private key in PEM form in its file, or it is cut off") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise ValueError("the key is of another certificate")
    curve = key.curve.name if isinstance(key, EllipticCurvePrivateKey) else ""
    if not (isinstance(key, RSAPrivateKey) or curve in _CURVES):
        raise ValueError(
            "gRPC serves RSA keys and those of the curves P-256 and P-384: have it issued for one of these"
        )
