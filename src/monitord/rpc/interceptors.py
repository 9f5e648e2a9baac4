"""What every call passes on its way to a handler: who calls, what they may, how many, how long, and how it ends."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from grpc import StatusCode

from monitord.domain.errors import (
    DomainError,
    InvalidArgumentError,
    PermissionDeniedError,
    UnauthenticatedError,
    Violation,
)
from monitord.identity.actor import Actor, current_actor
from monitord.identity.principal import Principal, credential_name
from monitord.identity.tenant import Tenant, current_tenant
from monitord.rpc import errors
from monitord.rpc.callers import caller_address
from monitord.rpc.context import current_peer, current_principal
from monitord.rpc.limits import CallLimit
from monitord.rpc.permissions import Rule, require
from monitord.rpc.rates import CallRates
from monitord.rpc.reach import Reach

ORGANISATION_KEY = "x-monitord-organisation"
"""The metadata that chooses the organisation in which a user acts; without it, their personal one."""

_LONGEST_ID = 19
"""Digits of 2^63."""

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = Any
"""A grpc.RpcMethodHandler, whose published types know the synchronous API only."""

_OVERDUE = errors.DeadlineExceededError("the call took longer than it may; it may have had its effect all the same")

_log = structlog.get_logger(__name__)


class Authenticator(Protocol):
    """Tells who is asking."""

    async def authenticate(self, authorization: str | None, org_id: int | None = None, address: str = "") -> Principal:
        """Return whom the ``authorization`` metadata proves, as they act in an organisation; None: in their own.

        Raises UnauthenticatedError if nobody, NotFoundError if they are no member of it, AddressNotAllowedError if
        they may not call from there.
        """
        ...


class RpcMeter(Protocol):
    """Counts calls."""

    def rpc(self, method: str, code: str, seconds: float) -> None:
        """Note a finished call. ``method`` is one the server has, or ``unknown``; ``code`` is gRPC's name for it."""
        ...


class Edge(grpc.aio.ServerInterceptor):
    """The one interceptor, for unary calls and streams alike.

    It asks the handler of each method once and keeps it wrapped, so a call pays for no chain of layers. Requests reach
    it undecoded: a message that is none is an InvalidArgument like any other, and nobody decodes for strangers.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        meter: RpcMeter,
        rules: dict[str, Rule],
        *,
        unary: CallLimit,
        streams: CallLimit,
        rates: CallRates,
        reach: Reach,
    ) -> None:
        """``rules`` tells what each method asks for; a method that is not there is refused to everyone."""
        self._authenticator = authenticator
        self._meter = meter
        self._rules = rules
        self._unary = unary
        self._streams = streams
        self._rates = rates
        self._reach = reach
        self._wrapped: dict[str, Handler] = {}
        self._unknown: Handler = grpc.stream_stream_rpc_method_handler(self._refuse_unknown)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the handler of a method, wrapped."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return self._unknown  # never kept: there is no end of names that a stranger could ask for
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        rule = self._rules.get(method)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._unary_call(method, rule, handler))
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                self._stream_call(method, rule, handler.unary_stream, handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        # Reflection: it alone takes a stream of its callers. No method of ours does; a test says so.
        return grpc.stream_stream_rpc_method_handler(
            self._stream_call(method, rule, handler.stream_stream, None),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _unary_call(self, method: str, rule: Rule | None, handler: Handler) -> Callable[[bytes, Context], Any]:
        decode, run, encode = handler.request_deserializer, handler.unary_unary, handler.response_serializer

        async def call(raw: bytes, context: Context) -> bytes:
            began = time.perf_counter()
            code = StatusCode.OK
            limit = asyncio.timeout(_own_limit_s(rule, context))
            try:
                async with limit:
                    with self._unary.hold(await self._admit(method, rule, context)):
                        request = await self._judged(rule, _decoded(decode, raw))
                        answer: bytes = encode(await run(request, context))
                        return answer
            except asyncio.CancelledError:
                code = _ended_by_caller(context)
                raise
            except Exception as error:  # the one guard of a call: nothing but a status leaves it
                overdue = isinstance(error, TimeoutError) and limit.expired()
                status = _status_of(_OVERDUE if overdue else error, method)
                code = status.code
                await context.abort_with_status(status)
                raise AssertionError("an aborted call goes on") from error
            finally:
                self._meter.rpc(method, code.name, time.perf_counter() - began)

        return call

    def _stream_call(
        self, method: str, rule: Rule | None, run: Callable[..., Any], decode: Callable[[bytes], Message] | None
    ) -> Callable[[Any, Context], Awaitable[None]]:
        async def call(incoming: Any, context: Context) -> None:
            began = time.perf_counter()
            code = StatusCode.OK
            try:
                with self._streams.hold(await self._admit(method, rule, context)):
                    if decode is not None:
                        incoming = await self._judged(rule, _decoded(decode, incoming))
                    answer = run(incoming, context)
                    if isinstance(answer, AsyncGenerator):
                        async with contextlib.aclosing(answer):
                            async for message in answer:
                                await context.write(message)
                    else:
                        await answer
            except asyncio.CancelledError:
                code = _ended_by_caller(context)
                raise
            except Exception as error:  # the one guard of a call: nothing but a status leaves it
                status = _status_of(error, method)
                code = status.code
                await context.abort_with_status(status)
            finally:
                self._meter.rpc(method, code.name, time.perf_counter() - began)

        return call

    async def _admit(self, method: str, rule: Rule | None, context: Context) -> int | str:
        """Set who calls, and return what their calls are counted by: the user, or without one the address."""
        peer = caller_address(context)
        current_peer.set(peer)
        if rule is None:
            raise PermissionDeniedError("nobody may call this method")
        if rule.scope is None:
            if rule.counted:
                self._rates.count_unproven(peer)
            current_actor.set(Actor(address=peer, method=method))
            return peer
        proof, org_id = _proof(context)
        look_up = self._authenticator.authenticate
        principal = await self._rates.proven(peer, proof, lambda text: look_up(text, org_id, peer))
        rate = await self._rates.rate_in(principal.org_id)
        self._rates.count_proven(credential_name(principal.credential), rate)
        require(rule, principal)
        current_principal.set(principal)
        current_tenant.set(Tenant(principal.org_id, principal.user_id))
        user_id, credential = principal.user_id, credential_name(principal.credential)
        current_actor.set(Actor(user_id=user_id, credential=credential, address=peer, method=method))
        return principal.user_id

    async def _judged(self, rule: Rule | None, request: Message) -> Message:
        """Return a request, unless it is about monitors that the caller's key is not for."""
        if rule is not None and rule.scope is not None:
            principal = current_principal.get()
            if principal.labels:
                await self._reach.judge(rule, principal, request)
        return request

    async def _refuse_unknown(self, incoming: AsyncIterator[bytes], context: Context) -> None:
        self._meter.rpc("unknown", StatusCode.UNIMPLEMENTED.name, 0.0)
        await context.abort_with_status(
            errors.status_for(StatusCode.UNIMPLEMENTED, "this server knows no such method; see its reflection service")
        )


def _proof(context: Context) -> tuple[str | None, int | None]:
    """Return the caller's proof of identity, and the organisation in which they want to act, if they say so."""
    proof: str | None = None
    org_id: int | None = None
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            if proof is not None:
                raise UnauthenticatedError("send the metadata `authorization` once")
            proof = str(value)
        elif key == ORGANISATION_KEY:
            org_id = _organisation(str(value))
    return proof, org_id


def _organisation(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID and 0 < int(text) < 2**63):
        raise InvalidArgumentError([Violation("", f"the metadata `{ORGANISATION_KEY}` must be an organisation's id")])
    return int(text)


def _time_left_s(context: Any) -> float | None:
    """Return how much of the caller's deadline is left; None without one, which the published types leave out."""
    left_s: float | None = context.time_remaining()
    return left_s


def _own_limit_s(rule: Rule | None, context: Context) -> float | None:
    """Return after how many seconds we end the call; None where the caller's own deadline comes first."""
    if rule is None:
        return None
    asked_s = _time_left_s(context)
    if asked_s is None:
        return rule.default_deadline_s
    return rule.longest_deadline_s if asked_s > rule.longest_deadline_s else None


def _decoded(decode: Callable[[bytes], Message], raw: bytes) -> Message:
    try:
        return decode(raw)
    except DecodeError as error:
        violation = Violation("", "the message must be the request type of this method, its texts valid UTF-8")
        raise InvalidArgumentError([violation]) from error


def _ended_by_caller(context: Context) -> StatusCode:
    left_s = _time_left_s(context)
    return StatusCode.DEADLINE_EXCEEDED if left_s is not None and left_s <= 0 else StatusCode.CANCELLED


def _status_of(error: Exception, method: str) -> grpc.Status:
    if isinstance(error, DomainError):
        return errors.status_of(error)
    error_id = uuid.uuid4().hex
    _log.error("rpc.failed", method=method, error_id=error_id, exc_info=error)
    return errors.status_for(
        StatusCode.INTERNAL, f"a bug in monitord; its log tells more under error_id {error_id}", error_id=error_id
    )
