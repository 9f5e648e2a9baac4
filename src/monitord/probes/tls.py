"""TLS from memory: rustls as the fast path, OpenSSL as the judge.

TLS is most of the cost of most real monitors. rustls does a verified handshake for half of OpenSSL's CPU time, but it
is stricter and explains less. So a handshake that rustls cannot complete, for whatever reason, is repeated at once with
OpenSSL, whose verdict and explanation count; and OpenSSL is asked first for that server for a while.
"""

import time
from pathlib import Path
from typing import Protocol

import wassima
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from monitord.domain.connection import NO_TLS_SETTINGS, TlsSettings
from monitord.domain.target import parse_endpoint
from monitord.probes.dial import Peer
from monitord.probes.tls_openssl import Alpn, OpensslEngine
from monitord.probes.tls_rustls import RustlsEngine

_MAX_REMEMBERED = 4096
_REMEMBER_S = 900.0

TLS_VERSIONS = {"TLSv1.2": 1.2, "TLSv1.3": 1.3}
"""The versions that are spoken here, as figures (``tls.version``)."""


class Session(Protocol):
    """One TLS connection from the client's side, without I/O. Every method may raise ``ssl.SSLError``."""

    established: bool
    closed: bool
    """The server ended the session properly (close_notify)."""
    judge: bool
    """It is OpenSSL's: what it says counts."""
    server_name: str
    """Who the server must be by its certificate: what is asked for (SNI) where it is a name."""
    shows_certificate: bool
    """A client certificate is shown to a server that asks for one."""

    @property
    def asked_for_certificate(self) -> bool:
        """The server asked for a client certificate, as far as is known."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the network; return what they decrypt to. ``established`` may have changed afterwards."""

    def send(self, data: bytes) -> None:
        """Encrypt data, once established."""

    def outgoing(self) -> bytes:
        """Return the bytes to be sent now, if any: at the beginning the ClientHello."""

    def leaf(self) -> bytes | None:
        """Return the server's own certificate (DER), if it is known."""

    def chain(self) -> list[bytes]:
        """Return the certificates as the server sent them, its own first, also when OpenSSL refused them."""

    def version(self) -> str:
        """Return the version agreed to, such as ``TLSv1.3``; empty before that."""

    def alpn(self) -> str:
        """Return the protocol that the server chose of those offered, such as ``h2``; empty if it chose none."""

    def describe(self) -> str:
        """Return the version and cipher, for people."""


class Tls:
    """Makes sessions. Trusts the system's roots, read once."""

    def __init__(self, engine: str = "auto", ca_file: Path | None = None) -> None:
        """Load what is trusted.

        Args:
            engine: ``auto`` for rustls with OpenSSL as the judge, ``openssl`` for OpenSSL alone.
            ca_file: further roots to trust (PEM).

        Raises:
            OSError, ValueError: the file cannot be read, or holds no certificates.
        """
        roots = list(wassima.root_der_certificates())
        if ca_file is not None:
            extra = x509.load_pem_x509_certificates(ca_file.read_bytes())
            roots += [certificate.public_bytes(Encoding.DER) for certificate in extra]
        self._openssl = OpensslEngine(roots)
        self._rustls = RustlsEngine(roots) if engine == "auto" else None
        self._judge_first: dict[tuple[str, int], float] = {}

    def session(
        self,
        target: Peer,
        *,
        verify: bool,
        settings: TlsSettings = NO_TLS_SETTINGS,
        judge: bool = False,
        alpn: Alpn = (),
    ) -> Session:
        """Begin a session: OpenSSL's if asked for, or known to be needed, as it is to offer protocols (``alpn``).

        Raises:
            ValueError: the settings hold what OpenSSL can't use; the text says what.
        """
        if settings is not NO_TLS_SETTINGS and settings != NO_TLS_SETTINGS:
            host = parse_endpoint(settings.server_name, target.port).host if settings.server_name else target.host
            return self._openssl.session(host, verify=verify, settings=settings, alpn=alpn)
        if self._rustls is None or judge or alpn or self._is_judged_first(target):
            return self._openssl.session(target.host, verify=verify, alpn=alpn)
        return self._rustls.session(target.host, target.port, verify=verify)

    def remember_judge(self, target: Peer) -> None:
        """Ask OpenSSL first for this server for a while: the fast path has just failed with it."""
        if self._rustls is not None:
            self._rustls.forget(target.host, target.port)
        if len(self._judge_first) >= _MAX_REMEMBERED:
            del self._judge_first[next(iter(self._judge_first))]
        self._judge_first[target.host, target.port] = time.monotonic() + _REMEMBER_S

    def _is_judged_first(self, target: Peer) -> bool:
        if not self._judge_first:
            return False
        key = target.host, target.port
        until = self._judge_first.get(key)
        if until is None:
            return False
        if until > time.monotonic():
            return True
        del self._judge_first[key]
        return False
