"""One request and its response on one connected socket.

Driven by the readiness of the socket, without a transport, a stream or a task: one future is all that a check waits
for. Each readiness is one bounded read, so that no target can keep the loop from the others.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
import time

from monitord.domain.check import Category
from monitord.domain.target import Target
from monitord.probes import tls_failure
from monitord.probes.connect import Attempt, connect_failure
from monitord.probes.deadline import Deadline
from monitord.probes.failure import Failure, ours
from monitord.probes.http_response import Response, State
from monitord.probes.readiness import Readiness
from monitord.probes.tls import Session

_FIRST_READ = 4096
_READ = 64 * 1024
_ONE_SEGMENT = 1200
_MAX_HANDSHAKE_BYTES = 256 * 1024
_RESET = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)


class Exchange:
    """Sends a request and reads the response, over TLS if given a session. Times are of ``time.monotonic``."""

    def __init__(self, target: Target, request: bytes, response: Response, session: Session | None) -> None:
        self.failure: Failure | None = None
        self.response = response
        self.session = session
        self.received = 0
        """Bytes of the response, after TLS."""
        self.in_handshake = session is not None
        self.started_at = 0.0
        self.secured_at: float | None = None
        self.sent_at: float | None = None
        self.first_byte_at: float | None = None
        self.ended_at = 0.0
        self._target = target
        self._request = request
        self._requested = False
        self._opening = b""
        self._out = b""
        self._writing = False

    def opening(self) -> bytes:
        """Return the first bytes to be sent: the request, or the ClientHello. To be called once, when connecting."""
        if self.session is None:
            self._requested = True
            self._opening = self._request
        else:
            self._opening = self.session.outgoing()
        return self._opening

    async def run(self, attempt: Attempt, readiness: Readiness, deadline: Deadline) -> Failure | None:
        """Do it on a connection, close that in any case, and return what went wrong, if anything."""
        loop = self._loop = asyncio.get_running_loop()
        self._sock = attempt.sock
        self._fd = fd = attempt.sock.fileno()
        self._done: asyncio.Future[None] = loop.create_future()
        self.started_at = attempt.connected_at or 0.0
        try:
            self._send_opening(attempt.sent)
            readiness.watch(fd, self._readable)
            if not await deadline.wait(self._done) and not self.ended_at:
                self._finish(self._timeout(deadline))
        finally:
            readiness.forget(fd)
            if self._writing:
                loop.remove_writer(fd)
            self._sock.close()
        return self.failure

    # Writing

    def _send_opening(self, already: int) -> None:
        opening = self._opening or self.opening()
        if len(opening) > _ONE_SEGMENT:
            # With Nagle's algorithm the last piece of a long request would wait for the acknowledgement of the others.
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if already < len(opening):
            self._send(opening[already:] if already else opening)
        elif self._requested:
            self.sent_at = self.started_at

    def _send_request(self, session: Session) -> None:
        self._requested = True
        session.send(self._request)
        self._send(session.outgoing())

    def _send(self, data: bytes) -> None:
        if self._writing:
            self._out += data
            return
        try:
            sent = self._sock.send(data) if data else 0
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            # The server has closed. Whether it answered before that, reading will tell.
            sent = len(data)
        if sent < len(data):
            self._out = data[sent:]
            self._writing = True
            self._loop.add_writer(self._fd, self._writable)
        elif self._requested and self.sent_at is None:
            self.sent_at = time.monotonic()

    def _writable(self) -> None:
        self._loop.remove_writer(self._fd)
        self._writing = False
        data, self._out = self._out, b""
        self._send(data)

    # Reading

    def _readable(self) -> None:
        if self.ended_at:
            return
        try:
            data = self._sock.recv(_READ if self.received else _FIRST_READ)
            if not data:
                self._finish(self._ended())
            elif self.session is None:
                self._take(data)
            else:
                self._take_tls(data, self.session)
        except (BlockingIOError, InterruptedError):
            return
        except ssl.SSLError as error:
            self._finish(self._tls_failure(error))
        except OSError as error:
            self._finish(self._broken(error))
        except Exception as error:  # nobody awaits a callback: whoever awaits the exchange gets it
            if not self._done.done():
                self._done.set_exception(error)

    def _take(self, data: bytes) -> None:
        if self.first_byte_at is None:
            self.first_byte_at = time.monotonic()
        self.received += len(data)
        failure = self.response.feed(data)
        if failure is not None or self.response.state is State.DONE:
            self._finish(failure)

    def _take_tls(self, data: bytes, session: Session) -> None:
        if self.in_handshake:
            if self.received == 0 and not tls_failure.is_tls_record(data):
                self._finish(tls_failure.not_tls(self._target, data))
                return
            self.received += len(data)
            if self.received > _MAX_HANDSHAKE_BYTES:
                self._finish(
                    Failure(
                        Category.TLS_PROTOCOL,
                        f"The TLS handshake of {self._target.authority} is longer than "
                        f"{_MAX_HANDSHAKE_BYTES // 1024} KiB.",
                    )
                )
                return
        plain = session.receive(data)
        if self.in_handshake and session.established:
            self.in_handshake = False
            self.received = 0
            self.secured_at = time.monotonic()
            self._send_request(session)
        else:
            self._send(session.outgoing())
        if plain:
            self._take(plain)
        if session.closed and not self.ended_at:
            self._finish(self._ended())

    # The end

    def _finish(self, failure: Failure | None) -> None:
        self.ended_at = time.monotonic()
        self.failure = failure
        if not self._done.done():
            self._done.set_result(None)

    def _ended(self) -> Failure | None:
        """Judge the end of the connection by where it comes."""
        # A server's demand for a client certificate may show as nothing but this, with TLS 1.3 only now.
        if self.first_byte_at is None and self.session is not None and self.session.asked_for_certificate:
            return tls_failure.client_certificate(self.session, self._target)
        if self.in_handshake:
            return tls_failure.closed_in_handshake(self._target)
        return self.response.end()

    def _broken(self, error: OSError) -> Failure | None:
        if error.errno not in _RESET:
            ip, port = self._sock.getpeername()[:2]
            return connect_failure(error.errno or 0, ip, port)
        where = self._target.authority
        if self.first_byte_at is not None and self.response.state is not State.HEAD:
            return Failure(
                Category.BODY_TRUNCATED, f"{where} reset the connection before the end of {self.response.state.value}."
            )
        if self.session is not None and self.session.asked_for_certificate:
            return tls_failure.client_certificate(self.session, self._target)
        during = "during the TLS handshake" if self.in_handshake else "instead of answering"
        return Failure(Category.CONNECT_RESET, f"{where} reset the connection {during}.")

    def _tls_failure(self, error: ssl.SSLError) -> Failure:
        assert self.session is not None
        # The alert that tells the server why, as a courtesy to whoever reads its log.
        with contextlib.suppress(OSError):
            self._sock.send(self.session.outgoing())
        return tls_failure.explain(self.session, error, self._target)

    def _timeout(self, deadline: Deadline) -> Failure:
        where = self._target.authority
        if deadline.late:
            return ours(Category.ENGINE_OVERLOAD, f"monitord was too busy to read the answer of {where} in time.")
        if self.in_handshake:
            return Failure(Category.TLS_TIMEOUT, f"{where} did not finish the TLS handshake within the timeout.")
        if self.first_byte_at is None:
            return Failure(
                Category.TIMEOUT_TTFB, f"{where} accepted the request but sent no answer within the timeout."
            )
        return Failure(
            Category.TIMEOUT_TOTAL,
            f"The answer of {where} began but did not reach the end of {self.response.state.value} within the timeout.",
        )
