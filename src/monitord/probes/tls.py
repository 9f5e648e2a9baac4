"""TLS from memory: rustls as the fast path, OpenSSL as the judge.

TLS is most of the cost of most real monitors. rustls does a verified handshake for half of OpenSSL's CPU time, but it
is stricter and explains less. So a handshake that rustls cannot complete, for whatever reason, is repeated at once with
OpenSSL, whose verdict and explanation count; and OpenSSL is asked first for that server for a while.
"""

import ssl
import time
from pathlib import Path
from typing import Any, Protocol

import rtls
import wassima

from monitord.domain.target import Target

_MAX_REMEMBERED = 4096
_REMEMBER_S = 900.0
_READ = 64 * 1024
_CERTIFICATE = 11
_CERTIFICATE_REQUEST = 13
_HANDSHAKE = 22
_TLS13 = 0x0304


class Session(Protocol):
    """One TLS connection from the client's side, without I/O. Every method may raise ``ssl.SSLError``."""

    established: bool
    closed: bool
    """The server ended the session properly (close_notify)."""
    judge: bool
    """It is OpenSSL's: what it says counts."""

    @property
    def asked_for_certificate(self) -> bool:
        """The server asked for a client certificate (and got none), as far as is known."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the network; return what they decrypt to. ``established`` may have changed afterwards."""

    def send(self, data: bytes) -> None:
        """Encrypt data, once established."""

    def outgoing(self) -> bytes:
        """Return the bytes to be sent now, if any."""

    def leaf(self) -> bytes | None:
        """Return the server's own certificate (DER), if it is known."""

    def chain(self) -> list[bytes]:
        """Return the certificates as the server sent them, its own first, also when verification failed."""

    def describe(self) -> str:
        """Return the version and cipher, for people."""


class _Bio(Protocol):
    def read(self) -> bytes: ...
    def write(self, data: bytes) -> int: ...
    @property
    def pending(self) -> int: ...


class _SessionOverBios:
    """What is the same for both: ``rtls`` has the interface of ``ssl``."""

    judge = False

    def __init__(self, wrapped: Any, incoming: _Bio, outgoing: _Bio) -> None:
        self.established = False
        self.closed = False
        self._tls = wrapped
        self._incoming = incoming
        self._outgoing = outgoing

    def receive(self, data: bytes) -> bytes:
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
            self.closed = self._got_close_notify()
        except ssl.SSLError:
            # What was decrypted before the fault still counts; a fatal fault is followed by the connection's end.
            if not pieces:
                raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _got_close_notify(self) -> bool:
        return False

    def send(self, data: bytes) -> None:
        self._tls.write(data)

    def outgoing(self) -> bytes:
        return self._outgoing.read()

    def leaf(self) -> bytes | None:
        certificate: bytes | None = self._tls.getpeercert(binary_form=True)
        return certificate

    def describe(self) -> str:
        cipher = self._tls.cipher()
        return f"{self._tls.version()} with {cipher[0]}" if cipher else "TLS"


class _FastSession(_SessionOverBios):
    asked_for_certificate = False

    def _got_close_notify(self) -> bool:
        # rtls says "want read" at the end of a session as well; rustls itself then wants nothing more.
        return not self._tls._conn.wants_read()

    def chain(self) -> list[bytes]:
        return [bytes(each.public_bytes()) for each in self._tls.get_unverified_chain() or []]


class _Judged(ssl.SSLObject):
    """Keeps what OpenSSL shows of the handshake while it lasts: a failed one leaves no peer chain behind."""

    presented = b""
    is_tls13 = False
    asked_for_certificate = False


class _JudgeSession(_SessionOverBios):
    """OpenSSL's session, which knows why it failed."""

    judge = True

    def chain(self) -> list[bytes]:
        return _certificates_in(self._tls.presented, self._tls.is_tls13)

    def leaf(self) -> bytes | None:
        chain = self.chain()
        return chain[0] if chain else None

    @property
    def asked_for_certificate(self) -> bool:
        return bool(self._tls.asked_for_certificate)


class Tls:
    """Makes sessions: one shared context for each engine and each way to verify."""

    def __init__(self, engine: str = "auto", ca_file: Path | None = None) -> None:
        """Load the trusted roots: the system's, and those of ``ca_file`` (PEM) besides.

        Args:
            engine: ``auto`` for rustls with OpenSSL as the judge, ``openssl`` for OpenSSL alone.
            ca_file: further roots to trust.

        Raises:
            OSError, ssl.SSLError: the file cannot be read, or holds no certificates.
        """
        extra = ca_file.read_bytes() if ca_file is not None else None
        roots = wassima.root_der_certificates()
        self._judges = {verify: _judge_context(verify, roots, extra) for verify in (True, False)}
        self._fast = (
            {verify: _fast_context(verify, roots, extra) for verify in (True, False)} if engine == "auto" else {}
        )
        self._judge_first: dict[tuple[str, int], float] = {}

    def session(self, target: Target, *, verify: bool, judge: bool = False) -> Session:
        """Begin a session: its ClientHello is in ``outgoing``. OpenSSL's if asked for, or known to be needed."""
        if judge or not self._fast or self._is_judged_first(target):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            wrapped = self._judges[verify].wrap_bio(incoming, outgoing, server_hostname=target.host)
            session = _JudgeSession(wrapped, incoming, outgoing)
            session.receive(b"")
            return session
        fast_in, fast_out = rtls.MemoryBIO(), rtls.MemoryBIO()
        return _FastSession(
            self._fast[verify].wrap_bio(fast_in, fast_out, server_hostname=target.host), fast_in, fast_out
        )

    def remember_judge(self, target: Target) -> None:
        """Ask OpenSSL first for this server for a while: the fast path has just failed with it."""
        if len(self._judge_first) >= _MAX_REMEMBERED:
            del self._judge_first[next(iter(self._judge_first))]
        self._judge_first[target.host, target.port] = time.monotonic() + _REMEMBER_S

    def _is_judged_first(self, target: Target) -> bool:
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


def _judge_context(verify: bool, roots: list[bytes], extra: bytes | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # A name that stands in the subject alone has not been valid since RFC 6125; Python accepts it by default.
    context.hostname_checks_common_name = False
    if verify:
        context.load_default_certs()
        for root in roots:
            context.load_verify_locations(cadata=root)
        if extra is not None:
            context.load_verify_locations(cadata=extra.decode("ascii"))
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.sslobject_class = _Judged
    # Private in the standard library, and the only way to see the certificates of a handshake that failed.
    context._msg_callback = _watch  # type: ignore[attr-defined]
    return context


def _watch(session: _Judged, direction: str, version: int, content: int, message: int, data: bytes) -> None:
    if direction == "read" and content == _HANDSHAKE:
        if message == _CERTIFICATE:
            session.presented = data
            session.is_tls13 = version >= _TLS13
        elif message == _CERTIFICATE_REQUEST:
            session.asked_for_certificate = True


def _fast_context(verify: bool, roots: list[bytes], extra: bytes | None) -> Any:
    context = rtls.SSLContext(rtls.PROTOCOL_TLS_CLIENT)
    if verify:
        for root in roots:
            context.load_verify_locations(cadata=root)
        if extra is not None:
            context.load_verify_locations(cadata=extra)
    else:
        context.check_hostname = False
        context.verify_mode = rtls.CERT_NONE
    return context


def _certificates_in(message: bytes, is_tls13: bool) -> list[bytes]:
    """Take apart a Certificate message (RFC 8446, 4.4.2; RFC 5246, 7.4.2)."""
    position = 4
    if is_tls13 and len(message) > position:
        position += 1 + message[position]
    position += 3
    found: list[bytes] = []
    while position + 3 <= len(message) and len(found) < 20:
        size = int.from_bytes(message[position : position + 3], "big")
        position += 3
        found.append(message[position : position + size])
        position += size
        if is_tls13:
            position += 2 + int.from_bytes(message[position : position + 2], "big")
    return found
