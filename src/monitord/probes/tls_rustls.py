"""The fast path of TLS: rustls, driven by hand.

``rtls`` offers rustls in the shape of the ``ssl`` module. What stands beneath that shape is used here: going through
its memory BIOs and their locks costs about a tenth of a handshake.
"""

import contextlib
import ssl
from collections.abc import Iterable, Sequence
from typing import Any

from rtls._rustls import RustlsConfigBuilder

from monitord.probes.certificates import load_certificate

_READ = 64 * 1024
_MAX_KNOWN = 65_536
_MAX_NARROW = 1024
_VERSIONS = {0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}


class RustlsEngine:
    """Makes sessions.

    Beginning a session copies the trusted roots, and the system trusts well over a hundred: a good part of the whole
    handshake. After the first verified handshake with a server, sessions with it therefore trust only those roots that
    its chain can lead to. That is a subset of what is trusted: nothing passes that would not have passed before, and
    what fails because of it is decided by the judge.
    """

    def __init__(self, roots: Sequence[bytes]) -> None:
        """Trust ``roots`` (DER)."""
        self._all = _configuration(roots)
        self._unverified = RustlsConfigBuilder()
        self._unverified.set_verify_mode(ssl.CERT_NONE)
        self._unverified.set_check_hostname(False)
        self._roots_by_subject: dict[bytes, list[bytes]] = {}
        for root in roots:
            with contextlib.suppress(ValueError):
                subject = load_certificate(root).subject.public_bytes()
                self._roots_by_subject.setdefault(subject, []).append(root)
        self._narrow: dict[tuple[bytes, ...], RustlsConfigBuilder] = {}
        self._known: dict[tuple[str, int], RustlsConfigBuilder] = {}

    def session(self, host: str, port: int, *, verify: bool) -> "RustlsSession":
        """Begin a session with a server known as ``host``."""
        if not verify:
            return RustlsSession(self._unverified.build_client_connection(host), host)
        known = self._known.get((host, port))
        if known is not None:
            return RustlsSession(known.build_client_connection(host), host)
        return RustlsSession(self._all.build_client_connection(host), host, learner=(self, host, port))

    def forget(self, host: str, port: int) -> None:
        """Trust all roots again for this server: a session with it failed."""
        self._known.pop((host, port), None)

    def learn(self, host: str, port: int, chain: Iterable[bytes]) -> None:
        """Remember to which roots a verified chain can lead."""
        if len(self._known) >= _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        candidates: set[bytes] = set()
        with contextlib.suppress(ValueError):
            for der in chain:
                issuer = load_certificate(der).issuer.public_bytes()
                candidates.update(self._roots_by_subject.get(issuer, ()))
        if not candidates:
            return
        key = tuple(sorted(candidates))
        narrow = self._narrow.get(key)
        if narrow is None:
            if len(self._narrow) >= _MAX_NARROW:
                return
            narrow = self._narrow[key] = _configuration(key)
        self._known[host, port] = narrow


class RustlsSession:
    """See ``tls.Session``."""

    judge = False
    asked_for_certificate = False
    shows_certificate = False

    def __init__(self, connection: Any, server_name: str, learner: tuple[RustlsEngine, str, int] | None = None) -> None:
        """Begin the handshake on a fresh connection; tell ``learner`` about its chain once it is verified."""
        self.server_name = server_name
        self.established = False
        self.closed = False
        self._connection = connection
        self._learner = learner

    def receive(self, data: bytes) -> bytes:
        """See ``tls.Session``."""
        connection = self._connection
        if not self.established:
            while data:
                taken = connection.read_tls(data)
                connection.process_new_packets()
                data = data[taken:]
                if not taken:
                    break
            if connection.is_handshaking():
                return b""
            self.established = True
            if self._learner is not None:
                engine, host, port = self._learner
                engine.learn(host, port, self.chain())
        return self._decrypt(data)

    def _decrypt(self, data: bytes) -> bytes:
        connection = self._connection
        pieces: list[bytes] = []
        try:
            while data:
                before = len(data)
                piece, data = connection.decrypt_incoming(data, _READ)
                if piece:
                    pieces.append(piece)
                elif len(data) == before:
                    break
            while piece := connection.read_plaintext(_READ):
                pieces.append(piece)
        except ssl.SSLError:
            # What was decrypted before the fault still counts; a fatal fault is followed by the connection's end.
            if not pieces:
                raise
        # With nothing left to be read or sent, rustls wants to read on until the server has said that it is done.
        self.closed = not connection.wants_read() and not connection.wants_write()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def send(self, data: bytes) -> None:
        """See ``tls.Session``."""
        while data:
            data = data[self._connection.write_plaintext(data) :]

    def outgoing(self) -> bytes:
        """See ``tls.Session``."""
        connection = self._connection
        out: bytes = connection.write_tls()
        while connection.wants_write():
            out += connection.write_tls()
        return out

    def leaf(self) -> bytes | None:
        """See ``tls.Session``."""
        return next(iter(self.chain()), None)

    def chain(self) -> list[bytes]:
        """See ``tls.Session``."""
        return self._connection.peer_certificates() or []

    def version(self) -> str:
        """See ``tls.Session``."""
        return _VERSIONS.get(self._connection.protocol_version(), "")

    def alpn(self) -> str:
        """See ``tls.Session``. Nothing is offered here."""
        return ""

    def describe(self) -> str:
        """See ``tls.Session``."""
        return f"{self.version() or 'TLS'} with {self._connection.negotiated_cipher_suite()}"


def _configuration(roots: Iterable[bytes]) -> RustlsConfigBuilder:
    builder = RustlsConfigBuilder()
    builder.set_verify_mode(ssl.CERT_REQUIRED)
    builder.set_check_hostname(True)
    for root in roots:
        # Some systems trust roots in forms that rustls does not read; the judge does.
        with contextlib.suppress(ssl.SSLError, ValueError):
            builder.add_root_cert_from_der(root)
    return builder
