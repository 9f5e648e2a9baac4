"""The gRPC check: one call of grpc.health.v1.Health/Check (gRPC's health checking protocol) over our own HTTP/2."""

from functools import partial

from monitord import __version__
from monitord.domain.check import Category, Observation
from monitord.domain.connection import Security
from monitord.domain.kinds.grpc import GrpcCheck
from monitord.domain.target import InvalidTargetError, parse_endpoint
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure
from monitord.probes.grpc_message import (
    MAX_MESSAGE_BYTES,
    PREFIX_BYTES,
    MessageError,
    framed_request,
    serving_status,
    unframed,
)
from monitord.probes.grpc_status import NOT_FOUND, SERVICE_UNKNOWN, Status, judge_serving, judge_status, status_of
from monitord.probes.http2 import ALPN, Categories, Data, End, Headers, Http2Call, not_chosen
from monitord.probes.http2_fields import Fields, lines_of
from monitord.probes.service import ServiceChecks
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial

_PATH = b"/grpc.health.v1.Health/Check"
_CATEGORIES = Categories(
    invalid=Category.PROTOCOL_INVALID,
    headers_too_large=Category.PROTOCOL_INVALID,
    truncated=Category.PROTOCOL_INVALID,
)
_OFFERED = (ALPN,)
_WINDOW = PREFIX_BYTES + MAX_MESSAGE_BYTES + 1
"""One byte more than the longest answer: enough to see that there is more."""
_MAX_HEADER_LINES = 40
_MAX_EVENTS = 10_000


class GrpcProber:
    """Runs gRPC checks. One instance serves the process."""

    def __init__(self, services: ServiceChecks, *, operator_url: str = "about:blank") -> None:
        """Make a prober that names the operator in its ``user-agent``."""
        self._services = services
        self._user_agent = f"monitord/{__version__} (+{operator_url})".encode()

    async def __call__(self, check: GrpcCheck, timeout_s: float, *, trace: bool = False) -> Observation:
        """Run one check; see ``probes.table.Prober``."""
        talk = partial(self._talk, timeout_s=timeout_s)
        return await self._services.check(check, timeout_s, talk, trace=trace, alpn=_OFFERED)

    async def _talk(self, channel: Channel, check: GrpcCheck, trial: Trial, *, timeout_s: float) -> Failure | None:
        if trial.session is not None and (chosen := trial.session.alpn()) != ALPN:
            raise StepError(not_chosen(channel, _OFFERED, chosen, Category.PROTOCOL_INVALID))
        answer = _Answer(channel)
        try:
            with trial.phase("ttfb"):
                await self._call(channel, check, trial, timeout_s, answer)
        finally:
            # Frames mean nothing to people; the message and the headers may.
            trial.excerpt, trial.header_lines = answer.data, answer.header_lines()
        return _judge(check, trial, answer)

    async def _call(
        self, channel: Channel, check: GrpcCheck, trial: Trial, timeout_s: float, answer: "_Answer"
    ) -> None:
        call = Http2Call(channel, _CATEGORIES, window=_WINDOW)
        left_ms = max(1, int(timeout_s * 1000 - trial.elapsed_ms))
        fields: Fields = (
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", self._user_agent),
            (b"grpc-timeout", f"{left_ms}m".encode()),
            (b"grpc-accept-encoding", b"identity"),
            *((each.name.encode(), each.value.encode()) for each in check.metadata),
        )
        pseudo = (
            (b":method", b"POST"),
            (b":scheme", b"http" if check.security is Security.PLAIN else b"https"),
            (b":authority", _authority(channel, check)),
            (b":path", _PATH),
        )
        await call.request(pseudo, fields, framed_request(check.service))
        trial.note("ttfb", f"Called grpc.health.v1.Health/Check with {left_ms} ms to answer.")
        for _ in range(_MAX_EVENTS):
            event = await call.next()
            if isinstance(event, End):
                return
            if isinstance(event, Headers):
                answer.take_fields(event)
            else:
                answer.take_data(event)
        raise StepError(answer.invalid("answers without end"))


def _authority(channel: Channel, check: GrpcCheck) -> bytes:
    """Return what the call is addressed to: the name that is verified, where that is another than the host's."""
    try:
        name = parse_endpoint(check.tls.server_name, check.port).authority if check.tls.server_name else ""
    except InvalidTargetError:
        name = ""
    return (name or channel.peer.authority).encode()


class _Answer:
    """What has come of the answer. Raises ``StepError`` for what cannot be one."""

    def __init__(self, channel: Channel) -> None:
        self.data = b""
        self._where = channel.peer.authority
        self._initial: Fields = ()
        self._trailers: Fields = ()

    @property
    def where(self) -> str:
        return self._where

    def take_fields(self, event: Headers) -> None:
        if event.is_trailing:
            self._trailers = event.fields
        elif not event.is_interim:
            self._initial = event.fields
            self._check_initial(dict(event.fields))

    def take_data(self, event: Data) -> None:
        self.data += event.data
        try:
            unframed(self.data)
        except MessageError as error:
            raise StepError(self.invalid(f"sent {error}")) from None

    def status(self) -> Status:
        # A server that has nothing but a status to tell puts it into the only headers it sends (Trailers-Only).
        status = status_of(dict(self._trailers or self._initial))
        if status is None:
            raise StepError(self.invalid("ended the call without saying how (there is no valid grpc-status)"))
        return status

    def serving(self) -> int:
        """Return the HealthCheckResponse.ServingStatus that was told."""
        try:
            message = unframed(self.data)
            if message is None:
                raise MessageError("an answer without a whole message in it")
            return serving_status(message)
        except MessageError as error:
            raise StepError(self.invalid(f"sent {error}")) from None

    def header_lines(self) -> tuple[str, ...]:
        status = dict(self._initial).get(b":status")
        lines = [f"HTTP/2 {shown(status)}"] if status is not None else []
        lines += [shown(line) for line in lines_of(self._initial + self._trailers).split(b"\r\n") if line]
        return tuple(lines[:_MAX_HEADER_LINES])

    def invalid(self, what: str) -> Failure:
        return Failure(Category.PROTOCOL_INVALID, f"{self._where} {what}.")

    def _check_initial(self, fields: dict[bytes, bytes]) -> None:
        if status_of(fields) is not None:
            # gRPC's own word counts, whatever status of HTTP a proxy has put beside it.
            return
        status, kind = fields[b":status"], fields.get(b"content-type", b"")
        if status != b"200":
            raise StepError(
                self.invalid(
                    f"answered the call with HTTP status {shown(status)} and no status of gRPC: "
                    "perhaps a proxy or a web server stands before it"
                )
            )
        if kind.lower().split(b";")[0].strip() not in (b"application/grpc", b"application/grpc+proto"):
            found = f"{shown(kind, 80)!r}" if kind else "none"
            raise StepError(self.invalid(f"does not speak gRPC here: its answer has content-type {found}"))
        if fields.get(b"grpc-encoding", b"identity") != b"identity":
            raise StepError(self.invalid(f"compresses with {shown(fields[b'grpc-encoding'], 40)!r}, unasked"))


def _judge(check: GrpcCheck, trial: Trial, answer: _Answer) -> Failure | None:
    status = answer.status()
    trial.measurements["grpc.status_code"] = float(status.code)
    trial.note("ttfb", f"The call ended with {status.name}{status.said}.")
    if status.code == NOT_FOUND:
        # What the protocol has Check answer where Watch would say so in a message.
        trial.measurements["grpc.serving_status"] = float(SERVICE_UNKNOWN)
    failure = judge_status(status, check, answer.where)
    if failure is not None:
        return failure
    serving = answer.serving()
    trial.measurements["grpc.serving_status"] = float(serving)
    failure = judge_serving(serving, check, answer.where)
    trial.content_ok = failure is None
    return failure
