"""One HTTP request over HTTP/2, or over whichever version the server prefers: fills an exchange as HTTP/1.1 would.

The HTTP/1.1 of most checks stays in ``http_exchange``, which costs less. Here the connection is a channel; what comes
of it goes through the same ``Response``, so that one place judges statuses, bodies, keywords and redirects.
"""

import time

from monitord.domain.check import Category
from monitord.domain.kinds.http import HttpVersion
from monitord.probes.channel import Channel
from monitord.probes.connect import Attempt
from monitord.probes.deadline import Deadline
from monitord.probes.failure import Failure
from monitord.probes.http2 import ALPN, Categories, Data, End, Headers, Http2Call, not_chosen
from monitord.probes.http2_fields import from_http1, lines_of
from monitord.probes.http_exchange import Exchange
from monitord.probes.http_request import Request
from monitord.probes.trial import StepError, Trial

_CATEGORIES = Categories(
    invalid=Category.HTTP_PROTOCOL,
    headers_too_large=Category.HTTP_HEADERS_TOO_LARGE,
    truncated=Category.BODY_TRUNCATED,
)
_OFFERS = {HttpVersion.AUTO: (ALPN, "http/1.1"), HttpVersion.HTTP2: (ALPN,)}
_OVERHEAD = 1024 * 1024
"""What may come beside a body: headers, and the frames around small pieces."""


def offers(version: HttpVersion) -> tuple[str, ...]:
    """Return what to offer by ALPN for a version of HTTP that a check asks for."""
    return _OFFERS.get(version, ())


def concerns(version: HttpVersion, scheme: str) -> bool:
    """Tell whether a request may have to be made in HTTP/2. Without TLS there is no agreeing: AUTO is HTTP/1.1."""
    return version is HttpVersion.HTTP2 or (version is HttpVersion.AUTO and scheme == "https")


class Http2Exchange:
    """Sends a request and reads the response into ``exchange``, in the version of HTTP that is agreed on."""

    def __init__(self, exchange: Exchange, request: Request, version: HttpVersion, *, max_body_bytes: int) -> None:
        """Take what there is to do.

        Args:
            exchange: what is to be filled; its session offers ``offers(version)``, its response is fresh.
            request: as HTTP/1.1 would write it.
            version: AUTO or HTTP2.
            max_body_bytes: the cap of the response's body.
        """
        self.spoken: float | None = None
        """The version of HTTP that was spoken: 2.0 or 1.1."""
        self._exchange = exchange
        self._request = request
        self._version = version
        self._max_body_bytes = max_body_bytes

    async def run(self, attempt: Attempt, deadline: Deadline) -> Failure | None:
        """Do it on a connection, close that in any case, and return what went wrong, if anything."""
        exchange = self._exchange
        trial = Trial(deadline)
        channel = Channel(attempt, self._request.target, trial, max_received=4 * self._max_body_bytes + _OVERHEAD)
        exchange.started_at = attempt.connected_at or trial.began_at
        failure = None
        try:
            self.spoken = await self._agree(channel)
            if self.spoken == 2.0:
                await self._speak_http2(channel)
            else:
                await self._speak_http1(channel)
        except StepError as error:
            failure = self._in_words_of_http(error.failure)
        finally:
            channel.close()
            exchange.ended_at = time.monotonic()
            exchange.received = trial.received
            exchange.failure = failure
        return failure

    async def _agree(self, channel: Channel) -> float:
        exchange = self._exchange
        if exchange.session is None:
            return 2.0
        await channel.start_tls(exchange.session)
        exchange.in_handshake = False
        exchange.secured_at = time.monotonic()
        chosen = exchange.session.alpn()
        if chosen == ALPN:
            return 2.0
        if self._version is HttpVersion.HTTP2:
            raise StepError(not_chosen(channel, offers(self._version), chosen, Category.HTTP_PROTOCOL))
        return 1.1

    async def _speak_http2(self, channel: Channel) -> None:
        exchange, response = self._exchange, self._exchange.response
        call = Http2Call(channel, _CATEGORIES, window=self._max_body_bytes)
        request = self._request
        await call.request(*from_http1(request.wire, request.target, request.method))
        exchange.sent_at = time.monotonic()
        while not response.is_done:
            event = await call.next()
            exchange.first_byte_at = exchange.first_byte_at or time.monotonic()
            if isinstance(event, End):
                _raise(response.end())
                return
            if isinstance(event, Data):
                _raise(response.feed(event.data))
                await call.allow(self._max_body_bytes - response.body.size)
            elif not event.is_trailing:
                _raise(response.feed(_as_http1(event)))
                if not event.is_interim:
                    response.head = response.head.replace(b"HTTP/1.1", b"HTTP/2", 1)

    async def _speak_http1(self, channel: Channel) -> None:
        exchange, response = self._exchange, self._exchange.response
        await channel.send(self._request.wire)
        exchange.sent_at = time.monotonic()
        while not response.is_done:
            data = await channel.receive()
            if not data:
                closed = channel.closed()
                _raise(closed if closed.category is Category.TLS_CLIENT_CERT else response.end())
                return
            exchange.first_byte_at = exchange.first_byte_at or time.monotonic()
            _raise(response.feed(data))

    def _in_words_of_http(self, failure: Failure) -> Failure:
        """Return what a failure of the channel is called where HTTP is spoken."""
        where = self._request.target.authority
        has_begun = self._exchange.first_byte_at is not None
        end = "its headers" if self._exchange.response.status is None else "its body"
        match failure.category:
            case Category.PROTOCOL_INVALID:
                return Failure(Category.HTTP_PROTOCOL, failure.message, failure.verdict)
            case Category.PROTOCOL_CLOSED if has_begun:
                return Failure(Category.BODY_TRUNCATED, f"{where} closed the connection before the end of its body.")
            case Category.PROTOCOL_CLOSED:
                return Failure(Category.HTTP_EMPTY, "The server closed the connection without an answer.")
            case Category.CONNECT_RESET if has_begun:
                return Failure(Category.BODY_TRUNCATED, f"{where} reset the connection before the end of its body.")
            case Category.TIMEOUT_TTFB | Category.TIMEOUT_TOTAL if not has_begun:
                return Failure(
                    Category.TIMEOUT_TTFB, f"{where} accepted the request but sent no answer within the timeout."
                )
            case Category.TIMEOUT_TOTAL:
                return Failure(
                    Category.TIMEOUT_TOTAL,
                    f"The answer of {where} began but did not reach the end of {end} within the timeout.",
                )
        return failure


def _as_http1(event: Headers) -> bytes:
    return b"HTTP/1.1 " + event.fields[0][1] + b"\r\n" + lines_of(event.fields) + b"\r\n"


def _raise(failure: Failure | None) -> None:
    if failure is not None:
        raise StepError(failure)
