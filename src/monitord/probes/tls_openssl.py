"""OpenSSL's view of TLS: talks to nearly everything, and knows why it failed."""

import ssl
from collections.abc import Sequence

_READ = 64 * 1024
_CERTIFICATE = 11
_CERTIFICATE_REQUEST = 13
_HANDSHAKE = 22
_TLS13 = 0x0304
_MAX_CERTIFICATES = 20


class OpensslEngine:
    """Makes sessions from two shared contexts: one that verifies, and one that does not."""

    def __init__(self, roots: Sequence[bytes]) -> None:
        """Trust ``roots`` (DER), and what OpenSSL itself is set up to trust."""
        self._contexts = {verify: _context(verify, roots) for verify in (True, False)}

    def session(self, host: str, *, verify: bool) -> "OpensslSession":
        """Begin a session with a server known as ``host``."""
        return OpensslSession(self._contexts[verify], host)


class _Watched(ssl.SSLObject):
    """Keeps what OpenSSL shows of the handshake while it lasts: a failed one leaves no peer chain behind."""

    presented = b""
    is_tls13 = False
    asked_for_certificate = False


class OpensslSession:
    """See ``tls.Session``."""

    judge = True

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        """Begin the handshake."""
        self.established = False
        self.closed = False
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

    def describe(self) -> str:
        """See ``tls.Session``."""
        cipher = self._tls.cipher()
        return f"{self._tls.version()} with {cipher[0]}" if cipher else "TLS"


def _context(verify: bool, roots: Sequence[bytes]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # A name that stands in the subject alone has not been valid since RFC 6125; Python accepts it by default.
    context.hostname_checks_common_name = False
    if verify:
        context.load_default_certs()
        for root in roots:
            context.load_verify_locations(cadata=root)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.sslobject_class = _Watched
    # Private in the standard library, and the only way to see the certificates of a handshake that failed.
    context._msg_callback = _watch  # type: ignore[attr-defined]
    return context


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
