"""One POST, from the channel's document to how it ended: what was never sent is told from what may have arrived."""

import asyncio
import ssl
from collections.abc import Callable
from errno import EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH

import aiohttp
import msgspec
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from monitord.alerting.outcomes import Answer, Outcomes, Said, attempt_of, detail_of, secrets_of_url, text_in
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.instant import Instant
from monitord.domain.target import InvalidTargetError, parse_target

MAX_ANSWER_BYTES = 16 * 1024
"""So much of an answer is read; nothing is ever decompressed (T8)."""
_CertificateError = aiohttp.ClientConnectorCertificateError
_UNREACHABLE = frozenset({EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH})

Read = Callable[[Answer], Said]
"""Finds in an answer what its vendor says."""


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, and where."""

    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    """Beside Content-Type, Accept-Encoding and User-Agent."""
    secrets: tuple[str, ...] = ()
    """What must not be told beside the parts of the URL: answers may repeat it (T15)."""

    def __repr__(self) -> str:
        """Show it to nobody: the URL alone may be all that a stranger needs (T15)."""
        return "Post(...)"


def plain_words(answer: Answer) -> Said:
    """Read an answer that has no structure."""
    return Said(text=text_in(answer.body))


class HttpDelivery:
    """Sends what the channels make; shared by all of them."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        user_agent: str,
        now: Callable[[], Instant],
        refused: type[OSError],
    ) -> None:
        """Take a session whose sockets the policy on addresses passes, and what is raised for those that it does not.

        The session is its owner's to close. It had better not use a connection twice: one that the other side closes
        at the wrong moment looks like a lost answer; and have room for as many as are sent at once: a channel that
        hangs must not keep another from its own. ``now`` is the wall clock, for dates in answers and signatures.
        """
        self._session = session
        self._user_agent = user_agent
        self._refused = refused
        self.now = now

    async def post(
        self, vendor: str, post: Post, outcomes: Outcomes, timeout_s: float, read: Read = plain_words
    ) -> Attempt:
        """Send once, within ``timeout_s`` in all, and sort what comes back by ``outcomes``; never raises for it."""
        try:
            url = parse_target(post.url).url  # the one form of it that is shown, judged and sent, or none (T3)
        except InvalidTargetError:
            return Attempt(outcome=Outcome.PERMANENT, code="url.invalid", detail="the URL is none that can be dialled")
        secrets = (*post.secrets, *secrets_of_url(post.url), *secrets_of_url(url))
        exchange = _Exchange(self._session, post, url, self._user_agent)
        try:
            async with asyncio.timeout(timeout_s):
                await exchange.run()
        except TimeoutError:
            if exchange.answer is None:
                return _timed_out(exchange)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if exchange.answer is None:
                return self._failed(error, exchange, secrets)
        answer = exchange.answer
        assert answer is not None
        return attempt_of(vendor, outcomes, answer, read(answer), secrets, self.now())

    def _failed(self, error: Exception, exchange: "_Exchange", secrets: tuple[str, ...]) -> Attempt:
        """Sort what was raised in place of an answer. Its text may hold the URL, so most of it is not told (T15)."""
        if isinstance(error, aiohttp.ClientConnectorError):
            cause = error.certificate_error if isinstance(error, _CertificateError) else error.os_error
            if isinstance(cause, self._refused):
                detail = detail_of([cause.strerror or "the address may not be dialled"], secrets)
                return Attempt(outcome=Outcome.PERMANENT, code="policy.blocked", detail=detail)
            code, detail = _unconnected(error, cause)
            return Attempt(outcome=Outcome.RETRY, code=code, detail=detail_of([detail], secrets))
        if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
            return Attempt(outcome=Outcome.PERMANENT, code="url.invalid", detail="the URL is none that can be dialled")
        if isinstance(error, ValueError):  # of a header that can't be sent
            return Attempt(outcome=Outcome.PERMANENT, code="request.invalid", detail="a header can't be sent")
        if not exchange.is_sent:
            detail = "the connection ended before the request was sent"
            return Attempt(outcome=Outcome.RETRY, code="connect.reset", detail=detail)
        if isinstance(error, aiohttp.ClientResponseError):
            detail = "the answer is not HTTP"
            return Attempt(outcome=Outcome.AMBIGUOUS, code="answer.invalid", detail=detail)
        detail = "the connection ended after the request and before the answer"
        return Attempt(outcome=Outcome.AMBIGUOUS, code="answer.lost", detail=detail)


class _Exchange:
    """A request and its answer, and how far they got."""

    def __init__(self, session: aiohttp.ClientSession, post: Post, url: str, user_agent: str) -> None:
        self._session = session
        self._url = URL(url, encoded=True)  # as it was written: what is signed must not be spelled anew
        self._body = _Body(post.body)
        self._headers = [
            *post.headers,
            ("Content-Type", "application/json"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", user_agent),
        ]
        self.answer: Answer | None = None

    @property
    def is_begun(self) -> bool:
        """Whether there was a connection to send it by."""
        return self._body.is_begun

    @property
    def is_sent(self) -> bool:
        """Whether all of it was handed to the system: from then on it may have arrived."""
        return self._body.is_sent

    async def run(self) -> None:
        response = await self._session.post(
            self._url,
            data=self._body,
            headers=self._headers,
            allow_redirects=False,
            auto_decompress=False,
            read_bufsize=MAX_ANSWER_BYTES,
            timeout=aiohttp.ClientTimeout(),
        )
        try:
            self.answer = Answer(status=response.status, retry_after=response.headers.get("Retry-After", ""))
            if response.headers.get("Content-Encoding", "identity").lower() == "identity":
                body = await _start_of(response.content)
                self.answer = msgspec.structs.replace(self.answer, body=body)
        finally:
            response.close()  # with the connection: what is left of the body is nobody's


async def _start_of(content: aiohttp.StreamReader) -> bytes:
    """Return what can be had of a body. The status is known by now, and a body that breaks off does not change it."""
    body = b""
    try:
        while len(body) < MAX_ANSWER_BYTES and (chunk := await content.read(MAX_ANSWER_BYTES - len(body))):
            body += chunk
    except (aiohttp.ClientError, OSError):
        pass
    return body


class _Body(aiohttp.BytesPayload):
    """A body that knows whether it was sent."""

    is_begun = False
    is_sent = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self.is_begun = True
        await super().write_with_length(writer, content_length)
        self.is_sent = True


def _timed_out(exchange: _Exchange) -> Attempt:
    if exchange.is_sent:
        detail = "no answer in time; it may have arrived"
        return Attempt(outcome=Outcome.AMBIGUOUS, code="timeout", detail=detail)
    if exchange.is_begun:
        return Attempt(outcome=Outcome.RETRY, code="timeout", detail="it could not be sent in time")
    return Attempt(outcome=Outcome.RETRY, code="connect.timeout", detail="no connection in time")


def _unconnected(error: aiohttp.ClientConnectorError, cause: Exception) -> tuple[str, str]:
    """Return the code and the words for a connection that never was; the words of aiohttp would name more than that."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns", f"its name was not resolved: {cause}"
    if isinstance(cause, ssl.CertificateError):
        return "tls.certificate", f"its certificate is refused: {getattr(cause, 'verify_message', '')}"
    if isinstance(cause, ssl.SSLError):
        return "tls", f"no TLS: {cause.reason or 'the handshake failed'}"
    if isinstance(cause, ConnectionRefusedError):
        return "connect.refused", "nothing listens there"
    if isinstance(cause, TimeoutError):
        return "connect.timeout", "no connection in time"
    if isinstance(cause, ConnectionResetError):
        return "connect.reset", "it ended the connection at once"
    if isinstance(cause, OSError) and cause.errno in _UNREACHABLE:
        return "connect.unreachable", "it can't be reached"
    return "connect.failed", str(getattr(cause, "strerror", "") or type(cause).__name__)
