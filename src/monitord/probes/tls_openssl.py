"""OpenSSL's view of TLS: talks to nearly everything, and knows why it failed."""

import contextlib
import os
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from monitord.domain.connection import NO_TLS_SETTINGS, TlsSettings

_READ = 64 * 1024
_CERTIFICATE = 11
_CERTIFICATE_REQUEST = 13
_HANDSHAKE = 22
_TLS13 = 0x0304
_MAX_CERTIFICATES = 20
_MAX_CONTEXTS = 64
"""A context of its own may hold a megabyte of roots."""

Alpn: TypeAlias = tuple[str, ...]
"""Protocols to be offered within the handshake (RFC 7301); none: the extension is left out."""


class OpensslEngine:
    """Makes sessions from shared contexts, and from monitors' own ones.

    Shared are one that verifies and one that does not; and further ones for the protocols to be offered (ALPN), made
    when they are first needed, as each holds the roots once more.
    """

    def __init__(self, roots: Sequence[bytes]) -> None:
        """Trust ``roots`` (DER), and what OpenSSL itself is set up to trust."""
        self._roots = roots
        self._contexts: dict[tuple[bool, Alpn], ssl.SSLContext] = {
            (verify, ()): _context(verify, roots) for verify in (True, False)
        }
        self._own: OrderedDict[tuple[bool, TlsSettings, Alpn], ssl.SSLContext] = OrderedDict()

    def session(
        self, host: str, *, verify: bool, settings: TlsSettings = NO_TLS_SETTINGS, alpn: Alpn = ()
    ) -> "OpensslSession":
        """Begin a session with a server known as ``host``.

        Args:
            host: what is asked for (SNI), and verified.
            verify: whether the certificate counts.
            settings: a monitor's own.
            alpn: the protocols to offer, in the order of preference. Each offer that is ever made keeps its contexts:
                it comes from the code, never from a user.

        Raises:
            ValueError: the settings hold what OpenSSL can't use; the text says what.
        """
        if not settings.ca_pem and not settings.client_certificate_pem:
            return OpensslSession(self._shared(verify, alpn), host)
        key = (verify, settings, alpn)
        context = self._own.get(key)
        if context is None:
            context = self._own[key] = self._make(verify, settings)
            _offer(context, alpn)
            if len(self._own) > _MAX_CONTEXTS:
                self._own.popitem(last=False)
        else:
            self._own.move_to_end(key)
        return OpensslSession(context, host, shows_certificate=bool(settings.client_certificate_pem))

    def _shared(self, verify: bool, alpn: Alpn) -> ssl.SSLContext:
        context = self._contexts.get((verify, alpn))
        if context is None:
            context = self._contexts[verify, alpn] = _context(verify, self._roots)
            _offer(context, alpn)
        return context

    def _make(self, verify: bool, settings: TlsSettings) -> ssl.SSLContext:
        try:
            # Roots take 20 ms to load, and for a key that can't be used each check would come here.
            _show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), settings)
            if settings.ca_pem:
                context = _context(verify, (), only=True)
                context.load_verify_locations(cadata=_der(settings.ca_pem))
            else:
                context = _context(verify, self._roots)
            _show(context, settings)
        except (OSError, ValueError) as error:  # OpenSSL's errors are an OSError; so is the lack of a descriptor
            reason = getattr(error, "reason", None) or error
            raise ValueError(f"the certificates or the key of this monitor can't be used: {reason}") from None
        return context


def _show(context: ssl.SSLContext, settings: TlsSettings) -> None:
    """Let a context show the client certificate of a monitor, if it has one."""
    if settings.client_certificate_pem:
        with _pem_file(settings.client_certificate_pem + "\n" + settings.client_key_pem.value) as path:
            # A password is never asked for: OpenSSL would read it from the terminal.
            context.load_cert_chain(path, password=lambda: "")


def _der(pem: str) -> bytes:
    """Return certificates as OpenSSL's wrapper takes them whatever stands between them."""
    return b"".join(
        certificate.public_bytes(Encoding.DER) for certificate in x509.load_pem_x509_certificates(pem.encode())
    )


@contextlib.contextmanager
def _pem_file(pem: str) -> Iterator[str]:
    """Yield the path of a file with a certificate and its key: OpenSSL's wrapper takes them from files alone.

    On Linux the file is memory without a name; elsewhere it is for us alone, and gone after the block (T15).
    """
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("monitord-client-certificate", os.MFD_CLOEXEC)
        with os.fdopen(fd, "wb") as file:
            file.write(pem.encode())
            file.flush()
            yield f"/proc/self/fd/{fd}"
        return
    with tempfile.NamedTemporaryFile() as named:
        named.write(pem.encode())
        named.flush()
        yield named.name


class _Watched(ssl.SSLObject):
    """Keeps what OpenSSL shows of the handshake while it lasts: a failed one leaves no peer chain behind."""

    presented = b""
    is_tls13 = False
    asked_for_certificate = False


class OpensslSession:
    """See ``tls.Session``."""

    judge = True

    def __init__(self, context: ssl.SSLContext, host: str, *, shows_certificate: bool = False) -> None:
        """Begin the handshake."""
        self.established = False
        self.closed = False
        self.server_name = host
        self.shows_certificate = shows_certificate
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        assert isinstance(tls, _Watched)
        self._tls = tls
        self.receive(b"")

    @property
    def asked_for_certificate(self) -> bool:
        """See ``tls.Session``."""
        return self._tls.asked_for_certificate

    def receive(self, data: bytes) -> bytes:
        """See ``tls.Session``."""
        if data:
            self._incoming.write(data)
        if not self.established:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return b""
            self.established = True
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(_READ):
                pieces.append(piece)
            self.closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            # What was decrypted before the fault still counts; a fatal fault is followed by the connection's end.
            if not pieces:
                raise
        return b"".join(pieces)

    def send(self, data: bytes) -> None:
        """See ``tls.Session``."""
        self._tls.write(data)

    def outgoing(self) -> bytes:
        """See ``tls.Session``."""
        return self._outgoing.read()

    def leaf(self) -> bytes | None:
        """See ``tls.Session``."""
        return next(iter(self.chain()), None)

    def chain(self) -> list[bytes]:
        """See ``tls.Session``."""
        return certificates_in(self._tls.presented, self._tls.is_tls13)

    def version(self) -> str:
        """See ``tls.Session``."""
        return self._tls.version() or ""

    def alpn(self) -> str:
        """See ``tls.Session``."""
        return self._tls.selected_alpn_protocol() or ""

    def describe(self) -> str:
        """See ``tls.Session``."""
        cipher = self._tls.cipher()
        return f"{self._tls.version()} with {cipher[0]}" if cipher else "TLS"


def _context(verify: bool, roots: Sequence[bytes], *, only: bool = False) -> ssl.SSLContext:
    """Return a context that trusts ``roots``, and unless these ``only``, what OpenSSL is set up to trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # A name that stands in the subject alone has not been valid since RFC 6125; Python accepts it by default.
    context.hostname_checks_common_name = False
    if verify:
        if not only:
            context.load_default_certs()
        known = set(context.get_ca_certs(binary_form=True))
        for root in roots:
            if root in known:
                continue  # most are the system's, and so are OpenSSL's own
            context.load_verify_locations(cadata=root)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.sslobject_class = _Watched
    # Private in the standard library, and the only way to see the certificates of a handshake that failed.
    context._msg_callback = _watch  # type: ignore[attr-defined]
    return context


def _offer(context: ssl.SSLContext, alpn: Alpn) -> None:
    if alpn:
        context.set_alpn_protocols(alpn)


def _watch(session: _Watched, direction: str, version: int, content: int, message: int, data: bytes) -> None:
    if direction == "read" and content == _HANDSHAKE:
        if message == _CERTIFICATE:
            session.presented = data
            session.is_tls13 = version >= _TLS13
        elif message == _CERTIFICATE_REQUEST:
            session.asked_for_certificate = True


def certificates_in(message: bytes, is_tls13: bool) -> list[bytes]:
    """Take apart a Certificate message (RFC 8446, 4.4.2; RFC 5246, 7.4.2)."""
    position = 4
    if is_tls13 and len(message) > position:
        position += 1 + message[position]
    position += 3
    found: list[bytes] = []
    while position + 3 <= len(message) and len(found) < _MAX_CERTIFICATES:
        size = int.from_bytes(message[position : position + 3], "big")
        position += 3
        found.append(message[position : position + size])
        position += size
        if is_tls13:
            position += 2 + int.from_bytes(message[position : position + 2], "big")
    return found
