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

_READ = 64 * 1024
_EXCERPT = 1024
_MAX_HANDSHAKE_BYTES = 256 * 1024
_RESET = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)


class Channel:
    """Talks with one peer. Whatever goes wrong is raised as ``StepError``; the owner closes it."""

    def __init__(self, attempt: Attempt, peer: Peer, trial: Trial, *, max_received: int = MAX_RECEIVED) -> None:
        """Take a connection; more than ``max_received`` bytes on it end the check."""
        self.peer = peer
        self._max_received = max_received
        self._sock = attempt.sock
        self._trial = trial
        self._deadline = trial.deadline
        self._session: Session | None = None
        self._buffer = b""
        self._ended = False
        self._reset: OSError | None = None
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
            # RFC 3207 and its kin: what came before the handshake in plain text could be anybody's.
            raise StepError(
                Failure(
                    Category.PROTOCOL_INVALID,
                    f"{self.peer.authority} went on in plain text after it had agreed to begin TLS: "
                    f"{shown(self._buffer[:32])!r}.",
                )
            )
        trial = self._trial
        trial.session, trial.secured = session, False
        with trial.phase("tls"):
            try:
                await self._handshake(session)
            except ssl.SSLError as error:
                with contextlib.suppress(OSError):
                    self._sock.send(session.outgoing())
                raise StepError(tls_failure.explain(session, error, self.peer)) from None
        self._session, trial.secured = session, True
        trial.note("tls", f"TLS handshake done: {session.describe()}.")

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        if self._session is not None:
            self._session.send(data)
            data = self._session.outgoing()
        await self._send_wire(data)

    async def receive(self, limit: int = _READ) -> bytes:
        """Return what comes next, 1 to ``limit`` bytes; nothing at the end of the connection."""
        if not self._buffer and not self._ended:
            self._buffer = await self._receive_some()
            self._ended = not self._buffer
        data, self._buffer = self._buffer[:limit], self._buffer[limit:]
        return data

    async def exactly(self, count: int) -> bytes:
        """Return the next ``count`` bytes. An earlier end of the connection is a failure."""
        if count > self._max_received:
            raise StepError(self.too_much())
        while len(self._buffer) < count:
            self._buffer += await self._more()
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    async def line(self, limit: int = 4096) -> bytes:
        """Return the next line without its end (LF, or CRLF); of at most ``limit`` bytes, or the check fails."""
        while (end := self._buffer.find(b"\n", 0, limit + 2)) < 0:
            if len(self._buffer) > limit:
                raise StepError(
                    Failure(
                        Category.PROTOCOL_INVALID,
                        f"{self.peer.authority} sent a line of more than {limit} bytes: "
                        f"{shown(self._buffer[:32])!r} ...",
                    )
                )
            self._buffer += await self._more()
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return line.removesuffix(b"\r")

    def too_much(self) -> Failure:
        """Return the failure of a server that sends without end."""
        return Failure(
            Category.BODY_TOO_LARGE,
            f"{self.peer.authority} sent more than {self._max_received // 1024} KiB; no more was read.",
        )

    async def pause(self) -> None:
        """Let others have their turn: whoever takes apart much that came at once. Raises when time is over."""
        await asyncio.sleep(0)
        if self._deadline.expired:
            raise StepError(self._timeout())

    # Within

    async def _more(self) -> bytes:
        data = b"" if self._ended else await self._receive_some()
        if not data:
            self._ended = True
            raise StepError(self.closed())
        return data

    async def _receive_some(self) -> bytes:
        trial = self._trial
        session = self._session
        while True:
            data = await self._receive_wire()
            if session is not None and data:
                try:
                    data = session.receive(data)
                except ssl.SSLError as error:
                    raise StepError(tls_failure.explain(session, error, self.peer)) from None
                if pending := session.outgoing():
                    await self._send_wire(pending)
                if not data and not session.closed:
                    continue
            trial.received += len(data)
            if len(trial.excerpt) < _EXCERPT:
                trial.excerpt += data[: _EXCERPT - len(trial.excerpt)]
            return data

    async def _handshake(self, session: Session) -> None:
        received = 0
        while True:
            if outgoing := session.outgoing():
                await self._send_wire(outgoing)
            if session.established:
                return
            data = await self._receive_wire()
            if not data:
                refused = session.asked_for_certificate
                raise StepError(
                    tls_failure.client_certificate(self.peer) if refused else tls_failure.closed_in_handshake(self.peer)
                )
            if not received and not tls_failure.is_tls_record(data):
                raise StepError(tls_failure.not_tls(self.peer, data))
            received += len(data)
            if received > _MAX_HANDSHAKE_BYTES:
                raise StepError(
                    Failure(
                        Category.TLS_PROTOCOL,
                        f"The TLS handshake of {self.peer.authority} is longer than "
                        f"{_MAX_HANDSHAKE_BYTES // 1024} KiB.",
                    )
                )
            # What follows the handshake in the same packets belongs to the conversation.
            plain = session.receive(data)
            self._trial.received += len(plain)
            self._buffer += plain

    async def _send_wire(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except (BlockingIOError, InterruptedError):
                await self._until(writable(self._sock, self._deadline))
            except OSError as error:
                # The server has closed. Whether it answered before that, reading will tell; but not that it reset the
                # connection: the system tells that once.
                self._reset = error if error.errno == errno.ECONNRESET else None
                return

    async def _receive_wire(self) -> bytes:
        if self._trial.received > self._max_received:
            raise StepError(self.too_much())
        while True:
            try:
                data = self._sock.recv(_READ)
                if not data and self._reset is not None:
                    raise self._reset
                return data
            except (BlockingIOError, InterruptedError):
                await self._until(readable(self._sock, self._deadline))
            except OSError as error:
                raise StepError(self._broken(error)) from None

    async def _until(self, ready: Awaitable[bool]) -> None:
        if not await ready:
            raise StepError(self._timeout())

    # How it ends

    @property
    def _in_handshake(self) -> bool:
        return self._trial.secured is False and self._session is None and self._trial.session is not None

    def closed(self) -> Failure:
        """Return the failure of a server that hung up before it had said what it should."""
        where = self.peer.authority
        session = self._session
        if session is not None and session.asked_for_certificate and not self._trial.received:
            # With TLS 1.3 the demand for a client certificate may show as nothing but this.
            return tls_failure.client_certificate(self.peer)
        if not self._trial.received:
            return Failure(Category.PROTOCOL_CLOSED, f"{where} closed the connection without an answer.")
        return Failure(Category.PROTOCOL_CLOSED, f"{where} closed the connection in the middle of the conversation.")

    def _broken(self, error: OSError) -> Failure:
        if error.errno not in _RESET:
            ip = self._trial.dialled.ip if self._trial.dialled is not None else None
            return connect_failure(error.errno or 0, ip or self.peer.host, self.peer.port)
        if self._session is not None and self._session.asked_for_certificate:
            return tls_failure.client_certificate(self.peer)
        during = "during the TLS handshake" if self._in_handshake else "instead of answering"
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
