"""A connection to talk on in sequence, plain or over TLS: every wait ends with the deadline, every read is bounded.

For the kinds whose protocols are a conversation. HTTP, which is most of the checks, has a machine of its own
(``http_exchange``) that costs less.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Awaitable

from monitord.domain.check import Category
from monitord.probes import tls_failure
from monitord.probes.connect import Attempt, connect_failure
from monitord.probes.dial import Peer
from monitord.probes.failure import Failure, ours
from monitord.probes.text import shown
from monitord.probes.tls import Session
from monitord.probes.trial import StepError, Trial
from monitord.probes.waiting import readable, writable

MAX_RECEIVED = 1024 * 1024
"""More than this from one server ends a check, whatever its protocol promised (I16, T8)."""
MAX_HANDSHAKE_BYTES = 256 * 1024
CONFIRM_S = 1.0
"""How long a server that asked for a client certificate is given to say that it won't do without."""

_READ = 64 * 1024
_TURN = 256 * 1024
"""What is there without a wait is read up to this, and then others have their turn."""
_EXCERPT = 1024
_RESET = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)


class Channel:
    """Talks with one peer. Whatever goes wrong is raised as ``StepError``; the owner closes it."""

    def __init__(self, attempt: Attempt, peer: Peer, trial: Trial, *, max_received: int = MAX_RECEIVED) -> None:
        """Take a connection. More than ``max_received`` bytes of conversation end the check."""
        self.peer = peer
        self._sock = attempt.sock
        self._trial = trial
        self._deadline = trial.deadline
        self._max_received = max_received
        # TLS adds to what is said, and records that say nothing at all, or a byte each, could add without end.
        self._max_wire = 2 * max_received + MAX_HANDSHAKE_BYTES
        self._wire = 0
        self._turn_ends = _TURN
        self._session: Session | None = None
        self._buffer = bytearray()
        self._ended = False
        self._was_reset = False
        self._unprotected = 0
        # What is written in small pieces is waited for: Nagle's algorithm would hold back the second one.
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def is_secure(self) -> bool:
        """Whether it is over TLS."""
        return self._session is not None

    def close(self) -> None:
        """Close it; safe twice."""
        self._sock.close()

    async def start_tls(self, session: Session) -> None:
        """Make the TLS handshake, and talk over it from now on."""
        if self._buffer:
            raise StepError(self._injected(bytes(self._buffer)))
        trial = self._trial
        trial.session, trial.secured = session, False
        self._unprotected = trial.received
        with trial.phase("tls"):
            try:
                await self._handshake(session)
            except ssl.SSLError as error:
                with contextlib.suppress(OSError):
                    self._sock.send(session.outgoing())
                raise StepError(tls_failure.explain(session, error, self.peer)) from None
        self._session, trial.secured, self._ended = session, True, session.closed
        trial.note("tls", f"TLS handshake done: {session.describe()}.")

    async def confirm_tls(self) -> None:
        """Give a server that asked for a client certificate the time to refuse; for talks that read nothing else.

        In TLS 1.3 the client is done before the server has seen its certificate, or that it has none (RFC 8446, 2).
        A server that lets it in sends a ticket as a rule, and one that does not an alert; silence is taken as consent.
        """
        session = self._session
        if session is None or not session.asked_for_certificate or session.version() != "TLSv1.3" or self._buffer:
            return
        with self._trial.phase("tls"):
            if not await readable(self._sock, self._deadline, CONFIRM_S):
                raise StepError(self._timeout())
            try:
                wire = self._read()
            except (BlockingIOError, InterruptedError):
                return
            if not wire:
                raise StepError(self.closed())
            self._buffer += self._decrypted(session, wire)
            self._ended = session.closed

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        if self._session is not None:
            try:
                self._session.send(data)
            except ssl.SSLError as error:
                raise StepError(tls_failure.explain(self._session, error, self.peer)) from None
            data = self._session.outgoing()
        await self._send_wire(data)

    async def receive(self, limit: int = _READ) -> bytes:
        """Return what comes next, 1 to ``limit`` bytes; nothing at the end of the connection."""
        if not self._buffer and not self._ended:
            await self._fill()
        return self._shift(min(limit, len(self._buffer)))

    async def exactly(self, count: int) -> bytes:
        """Return the next ``count`` bytes. An earlier end of the connection is a failure."""
        if count > self._max_received:
            raise StepError(self.too_much())
        while len(self._buffer) < count:
            await self._more()
        return self._shift(count)

    async def line(self, limit: int = 4096) -> bytes:
        """Return the next line without its end (LF, or CRLF); of at most ``limit`` bytes, or the check fails."""
        while (end := self._buffer.find(b"\n", 0, limit + 2)) < 0 and len(self._buffer) < limit + 2:
            await self._more()
        if end < 0 or len(line := self._shift(end + 1)[:-1].removesuffix(b"\r")) > limit:
            raise StepError(
                Failure(
                    Category.PROTOCOL_INVALID,
                    f"{self.peer.authority} sent a line of more than {limit} bytes.",
                )
            )
        return line

    async def pause(self) -> None:
        """Let others have their turn: whoever takes apart much that came at once. Raises when time is over."""
        await asyncio.sleep(0)
        if self._deadline.expired:
            raise StepError(self._timeout())

    def too_much(self) -> Failure:
        """Return the failure of a server that sends without end."""
        return Failure(
            Category.BODY_TOO_LARGE,
            f"{self.peer.authority} sent more than {self._max_received // 1024} KiB; no more was read.",
        )

    def closed(self) -> Failure:
        """Return the failure of a server that hung up before it had said what it should."""
        where = self.peer.authority
        session = self._session
        if session is not None and session.asked_for_certificate and self._is_unheard:
            # With TLS 1.3 the demand for a client certificate may show as nothing but this.
            return tls_failure.client_certificate(session, self.peer)
        if not self._trial.received:
            return Failure(Category.PROTOCOL_CLOSED, f"{where} closed the connection without an answer.")
        return Failure(Category.PROTOCOL_CLOSED, f"{where} closed the connection in the middle of the conversation.")

    # Within

    def _shift(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    async def _more(self) -> None:
        if self._ended or not await self._fill():
            raise StepError(self.closed())

    async def _fill(self) -> bool:
        """Add what comes next to the buffer, at least a byte; return False where nothing more comes."""
        session = self._session
        while True:
            wire = await self._receive_wire()
            if session is None or not wire:
                self._buffer += self._counted(wire)
                self._ended = not wire
                return bool(wire)
            plain = self._decrypted(session, wire)
            if pending := session.outgoing():
                await self._send_wire(pending)
            if plain or session.closed:
                self._buffer += plain
                # A server may say goodbye in the same packet as its last words, and leave the connection open.
                self._ended = session.closed
                return bool(plain)

    def _decrypted(self, session: Session, wire: bytes) -> bytes:
        try:
            return self._counted(session.receive(wire))
        except ssl.SSLError as error:
            raise StepError(tls_failure.explain(session, error, self.peer)) from None

    def _counted(self, data: bytes) -> bytes:
        trial = self._trial
        trial.received += len(data)
        if len(trial.excerpt) < _EXCERPT:
            trial.excerpt += data[: _EXCERPT - len(trial.excerpt)]
        return data

    async def _handshake(self, session: Session) -> None:
        before = self._wire
        while True:
            if outgoing := session.outgoing():
                await self._send_wire(outgoing)
            if session.established:
                return
            began = self._wire == before
            data = await self._receive_wire()
            if not data:
                refused = session.asked_for_certificate
                raise StepError(
                    tls_failure.client_certificate(session, self.peer)
                    if refused
                    else tls_failure.closed_in_handshake(self.peer)
                )
            if began and not tls_failure.is_tls_record(data):
                raise StepError(self._injected(data) if before else tls_failure.not_tls(self.peer, data))
            if self._wire - before > MAX_HANDSHAKE_BYTES:
                raise StepError(
                    Failure(
                        Category.TLS_PROTOCOL,
                        f"The TLS handshake of {self.peer.authority} is longer than {MAX_HANDSHAKE_BYTES // 1024} KiB.",
                    )
                )
            # What follows the handshake in the same packets belongs to the conversation.
            self._buffer += self._counted(session.receive(data))

    async def _send_wire(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except (BlockingIOError, InterruptedError):
                await self._until(writable(self._sock, self._deadline))
            except OSError as error:
                # The server has closed. Whether it answered before that, reading will tell; but not that it reset the
                # connection, for the system tells that once.
                self._was_reset = self._was_reset or error.errno == errno.ECONNRESET
                return

    async def _receive_wire(self) -> bytes:
        if self._wire >= self._turn_ends:
            self._turn_ends = self._wire + _TURN
            await self.pause()
        while True:
            try:
                return self._read()
            except (BlockingIOError, InterruptedError):
                self._turn_ends = self._wire + _TURN
                await self._until(readable(self._sock, self._deadline))

    def _read(self) -> bytes:
        """Return what there is on the wire, or nothing at its end; raise ``BlockingIOError`` while there is neither."""
        if self._trial.received > self._max_received or self._wire > self._max_wire:
            raise StepError(self.too_much())
        try:
            data = self._sock.recv(_READ)
        except (BlockingIOError, InterruptedError):
            raise
        except OSError as error:
            raise StepError(self._broken(error.errno or 0)) from None
        if not data and self._was_reset:
            raise StepError(self._broken(errno.ECONNRESET))
        self._wire += len(data)
        return data

    async def _until(self, ready: Awaitable[bool]) -> None:
        if not await ready:
            raise StepError(self._timeout())

    # How it ends

    @property
    def _in_handshake(self) -> bool:
        return self._trial.secured is False and self._session is None and self._trial.session is not None

    @property
    def _is_unheard(self) -> bool:
        """Whether nothing was said yet under the protection of TLS."""
        return self._trial.received == self._unprotected

    def _injected(self, data: bytes) -> Failure:
        # RFC 3207 and its kin: what comes in plain text after that could be anybody's.
        return Failure(
            Category.PROTOCOL_INVALID,
            f"{self.peer.authority} went on in plain text after it had agreed to begin TLS: {shown(data[:32])!r}.",
        )

    def _broken(self, number: int) -> Failure:
        if number not in _RESET:
            ip = self._trial.dialled.ip if self._trial.dialled is not None else None
            return connect_failure(number, ip or self.peer.host, self.peer.port)
        session = self._session or self._trial.session
        if session is not None and session.asked_for_certificate and self._is_unheard:
            return tls_failure.client_certificate(session, self.peer)
        if self._in_handshake:
            during = "during the TLS handshake"
        else:
            during = "in the middle of the conversation" if self._trial.received else "instead of answering"
        return Failure(Category.CONNECT_RESET, f"{self.peer.authority} reset the connection {during}.")

    def _timeout(self) -> Failure:
        where = self.peer.authority
        if self._deadline.late:
            return ours(Category.ENGINE_OVERLOAD, f"monitord was too busy to read the answer of {where} in time.")
        if self._in_handshake:
            return Failure(Category.TLS_TIMEOUT, f"{where} did not finish the TLS handshake within the timeout.")
        if not self._trial.received:
            return Failure(
                Category.TIMEOUT_TTFB, f"{where} accepted the connection but sent nothing within the timeout."
            )
        return Failure(Category.TIMEOUT_TOTAL, f"The conversation with {where} did not come to its end in time.")
