"""The dialogue with the operator's mail server: kept connections, TLS demanded, every end sorted by one table."""

import asyncio
import contextlib
import errno
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import aiosmtplib
import msgspec

from monitord.alerting.smtp_outcomes import Phase, accepted, lost, refused
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.notice import clean

CONNECTIONS = 8
"""At once. Mail servers count them; each takes several messages a second."""
IDLE_S = 30.0
"""How long a connection is kept without a message: servers end those that idle, from a minute on."""
MESSAGES = 100
"""How many messages go over one connection: some servers refuse the hundredth."""


class Way(Protocol):
    """The guarded way out; see ``probes.outbound``."""

    @property
    def tls(self) -> ssl.SSLContext:
        """What to verify servers with."""
        ...

    async def connect(self, host: str, port: int, timeout_s: float) -> Any:
        """Return a connected socket. Raises OSError; with EACCES where the policy on addresses forbids it."""
        ...


class MailAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A mail server and how to sign in."""

    host: str
    port: int
    security: str
    """``starttls``, ``tls``, or ``none``; the first two are demanded, never just tried."""
    username: str = ""
    """Empty: without signing in."""
    password: str = ""

    def __repr__(self) -> str:
        """Show the password to nobody (T15)."""
        return f"MailAccount({self.host}:{self.port}, {self.security})"


class _Connection:
    def __init__(self, smtp: aiosmtplib.SMTP) -> None:
        self.smtp = smtp
        self.left = MESSAGES
        self.used_at = time.monotonic()

    @property
    def is_usable(self) -> bool:
        return self.smtp.is_connected and self.left > 0 and time.monotonic() - self.used_at < IDLE_S


class MailServer:
    """Hands messages to a mail server."""

    def __init__(self, account: MailAccount, way: Way, *, local_hostname: str = "localhost") -> None:
        """``local_hostname`` is what we call ourselves in EHLO."""
        self._account = account
        self._way = way
        self._local_hostname = local_hostname
        self._idle: deque[_Connection] = deque()
        self._room = asyncio.Semaphore(CONNECTIONS)

    async def deliver(self, sender: str, recipient: str, message: bytes, timeout_s: float) -> Attempt:
        """Try once to hand a message over; never raises for what the server or the network does."""
        dialogue = _Dialogue(sender, recipient, message)
        try:
            async with asyncio.timeout(timeout_s), self._room:
                return await self._deliver(dialogue)
        except TimeoutError:
            return lost(dialogue.phase, "timeout", f"no answer within {timeout_s:g} s")

    async def close(self) -> None:
        """End the kept connections."""
        while self._idle:
            await _quit(self._idle.pop())

    async def _deliver(self, dialogue: "_Dialogue") -> Attempt:
        while self._idle:
            kept = self._idle.pop()
            if not kept.is_usable:
                await _quit(kept)
                continue
            # A kept connection may have ended meanwhile, which says nothing of the message: nothing was sent yet.
            attempt = await self._over(kept, dialogue)
            if dialogue.phase is not Phase.MAIL or attempt.code not in ("connect.lost", "smtp.421"):
                return attempt
        try:
            fresh = await self._connect(dialogue)
        except (OSError, aiosmtplib.SMTPException) as error:
            return _failed(dialogue.phase, error)
        return await self._over(fresh, dialogue)

    async def _over(self, connection: _Connection, dialogue: "_Dialogue") -> Attempt:
        async with _closed_unless_done(connection.smtp):
            try:
                attempt = await dialogue.run(connection.smtp)
            except (OSError, aiosmtplib.SMTPException) as error:
                attempt = _failed(dialogue.phase, error)
                if not isinstance(error, aiosmtplib.SMTPResponseException) or not await _reset(connection.smtp):
                    connection.smtp.close()
        connection.left -= 1
        connection.used_at = time.monotonic()
        if connection.is_usable:
            self._idle.append(connection)
        else:
            await _quit(connection)
        return attempt

    async def _connect(self, dialogue: "_Dialogue") -> _Connection:
        account = self._account
        dialogue.phase = Phase.CONNECT
        smtp = aiosmtplib.SMTP(
            hostname=account.host,
            port=None,
            sock=await self._way.connect(account.host, account.port, 10.0),
            use_tls=account.security == "tls",
            start_tls=False,  # step by step, so that each failure is known by its phase
            tls_context=self._way.tls,
            local_hostname=self._local_hostname,
            timeout=None,  # ours is over the whole
        )
        async with _closed_unless_done(smtp):
            dialogue.phase = Phase.TLS if account.security == "tls" else Phase.GREETING
            await smtp.connect()
            if account.security == "starttls":
                dialogue.phase = Phase.TLS
                await smtp.starttls(server_hostname=account.host)
            dialogue.phase = Phase.GREETING
            await smtp.ehlo()
            if account.username:
                dialogue.phase = Phase.AUTH
                await smtp.login(account.username, account.password)
        return _Connection(smtp)


class _Dialogue:
    """One message's part of a connection."""

    def __init__(self, sender: str, recipient: str, message: bytes) -> None:
        self.phase = Phase.CONNECT
        self._sender = sender
        self._recipient = recipient
        self._message = message

    async def run(self, smtp: aiosmtplib.SMTP) -> Attempt:
        self.phase = Phase.MAIL
        options = [f"SIZE={len(self._message)}"] if smtp.supports_extension("size") else []
        await smtp.mail(self._sender, options=options)
        self.phase = Phase.RCPT
        await smtp.rcpt(self._recipient)
        self.phase = Phase.DATA
        response = await smtp.data(self._message)
        return accepted(response.code, response.message)


def _failed(phase: Phase, error: Exception) -> Attempt:
    """Return how an attempt ended with an error of the network, of TLS, or of the dialogue."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return refused(phase, error.code, error.message)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            why = getattr(cause, "verify_message", "") or cause.reason or str(cause)
            return lost(Phase.TLS, "tls", f"no TLS with the mail server: {why}")
        cause = cause.__cause__
    if isinstance(error, aiosmtplib.SMTPServerDisconnected | ConnectionResetError | BrokenPipeError):
        return lost(phase, "connect.lost", "the mail server ended the connection")
    if isinstance(error, OSError):
        code = "connect.timeout" if isinstance(error, TimeoutError) else "connect.failed"
        if error.errno == errno.EACCES:  # by the policy on addresses: see MONITORD_EGRESS_ALLOW
            code = "policy.blocked"
        return lost(phase, code, error.strerror or str(error) or type(error).__name__)
    return Attempt(outcome=Outcome.RETRY, code=f"smtp.{phase}", detail=clean(str(error)))


@contextlib.asynccontextmanager
async def _closed_unless_done(smtp: aiosmtplib.SMTP) -> AsyncIterator[None]:
    """Close a connection that is left in the middle, by an error or a cancellation."""
    try:
        yield
    except BaseException:
        smtp.close()
        raise


async def _reset(smtp: aiosmtplib.SMTP) -> bool:
    """Make a connection ready for another message; return whether it is."""
    return await _within_a_second(smtp.rset)


async def _quit(connection: _Connection) -> None:
    if connection.smtp.is_connected:
        await _within_a_second(connection.smtp.quit)
    connection.smtp.close()


async def _within_a_second(command: Callable[[], Awaitable[object]]) -> bool:
    try:
        async with asyncio.timeout(1.0):
            await command()
    except (OSError, aiosmtplib.SMTPException):  # a TimeoutError is an OSError
        return False
    return True
