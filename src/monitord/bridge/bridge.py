"""The routes of the bridge: every call of a browser or of curl becomes one of the gRPC server's, and its answer theirs.

It speaks https://connectrpc.com/docs/protocol: POST, JSON and protobuf, unary calls and streams of the server. It
decides nothing of its own: who calls, what they may, and what is wrong with a request is all said by the server, once
for everybody. Calls by GET, compression, and metadata besides the proof and the organisation are left out; the protocol
lets a server do so.
"""

import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import grpc
import structlog
from aiohttp import web

from monitord.bridge import requests
from monitord.bridge.callers import Presence, Proxies
from monitord.bridge.codec import Codec, JsonCodec, ProtoCodec
from monitord.bridge.cors import Cors
from monitord.bridge.doors import Doors
from monitord.bridge.failure import Errors, Failure, failure_from, failure_of
from monitord.bridge.methods import Method, methods_of
from monitord.domain.errors import (
    DomainError,
    InvalidArgumentError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
    Violation,
)

_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_UNARY, _STREAM = "application/", "application/connect+"
_ROUTE = r"/{service:monitord\.v1\.\w+}/{method:\w+}"

_log = structlog.get_logger(__name__)


class CallLimit(Protocol):
    """Bounds what is in flight."""

    def hold(self, caller: Hashable) -> AbstractContextManager[None]:
        """Count a call while the block runs; raise ResourceExhaustedError beyond a limit."""
        ...


class Bridge:
    """Serves the API to browsers. ``routes`` go to the HTTP listener; ``run`` runs for as long as they are served."""

    def __init__(
        self,
        services: Iterable[str],
        *,
        target: Callable[[], str | None],
        errors: Errors,
        calls: CallLimit,
        streams: CallLimit,
        cors: Cors,
        proxies: Proxies,
    ) -> None:
        """``services`` are the full names of what is served, ``target`` where the server listens privately, if it does.

        ``calls`` and ``streams`` bound what one address has in flight, before anybody knows who that is (T18).
        """
        self._methods = methods_of(services)
        self._doors = Doors(target)
        self._errors = errors
        self._calls, self._streams = calls, streams
        self._cors, self._proxies = cors, proxies
        self._json = JsonCodec()
        self._codecs: dict[str, Codec] = {codec.name: codec for codec in (ProtoCodec(), self._json)}
        self._presence = Presence()

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """Return what is to be served."""
        return [web.route("*", _ROUTE, self._serve)]

    async def run(self) -> None:
        """End the calls whose callers have gone, until cancelled."""
        await self._presence.run()

    async def close(self) -> None:
        """End all connections; safe twice."""
        await self._doors.close()
        self._json.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return self._cors.preflight(request)
        try:
            method, codec = self._chosen(request)
        except Failure as failure:
            return self._refusal(request, failure)
        with self._presence.watched(request):
            if method.streams:
                return await self._answer_stream(request, method, codec)
            return await self._answer_call(request, method, codec)

    def _chosen(self, request: web.Request) -> tuple[Method, Codec]:
        """Return what is called, and how its messages are spelled. Raises Failure where HTTP itself says no."""
        if not self._cors.allows(request):
            raise self._failure(
                PermissionDeniedError(
                    "pages of this origin may not call; the operator lists those that may in MONITORD_CORS_ORIGINS"
                )
            )
        method = self._methods.get(request.path)
        if method is None:
            raise self._unimplemented("this server knows no such method", http_status=404)
        if request.method != "POST":
            raise self._unimplemented("a method is called by POST", http_status=405, Allow="POST, OPTIONS")
        prefix = _STREAM if method.streams else _UNARY
        asked = request.content_type
        codec = self._codecs.get(asked.removeprefix(prefix)) if asked.startswith(prefix) else None
        if codec is None or (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
            good = [f"{prefix}{name}" for name in self._codecs]
            wrong = Violation("Content-Type", f"must be {' or '.join(good)} for this method, not {asked[:80]}")
            error = InvalidArgumentError([wrong])
            raise failure_of(self._errors.status_of(error), http_status=415, Accept_Post=", ".join(good))
        return method, codec

    # One answer

    async def _answer_call(self, request: web.Request, method: Method, codec: Codec) -> web.Response:
        try:
            caller = self._proxies.caller(request)
            with self._calls.hold(caller):
                body = await self._call(request, method, codec, caller)
        except Exception as error:  # the one guard of a call: nothing but an answer leaves it
            return self._refusal(request, self._failed(error, method))
        return web.Response(body=body, headers=self._headers(request, _UNARY + codec.name))

    async def _call(self, request: web.Request, method: Method, codec: Codec, caller: str) -> bytes:
        requests.check_version(request)
        requests.check_encoding(request, "Content-Encoding")
        timeout_s = requests.timeout_s(request)
        metadata = requests.metadata(request, caller)
        raw = await codec.to_wire(method.request, await requests.body_of(request))
        ask = self._doors.unary(method.path)
        if ask is None:
            raise _not_yet()
        return await codec.from_wire(method.response, await ask(raw, metadata=metadata, timeout=timeout_s))

    # Many answers

    async def _answer_stream(self, request: web.Request, method: Method, codec: Codec) -> web.StreamResponse:
        headers = self._headers(request, _STREAM + codec.name)
        response = web.StreamResponse(headers=headers | {"X-Accel-Buffering": "no"})  # nginx would hold messages back
        try:
            await response.write(requests.envelope(await self._pass_on(request, method, codec, response), requests.END))
            await response.write_eof()
        except ConnectionError:
            pass  # nobody is there to be told
        return response

    async def _pass_on(self, request: web.Request, method: Method, codec: Codec, response: web.StreamResponse) -> bytes:
        """Send a stream's messages, and return what is to end it."""
        end: dict[str, Any] = {}
        try:
            caller = self._proxies.caller(request)
            with self._streams.hold(caller):
                async with contextlib.aclosing(self._messages(request, method, codec, caller, response)) as messages:
                    async for message in messages:
                        await response.write(requests.envelope(message))
        except ConnectionError:
            raise
        except Exception as error:  # the one guard of a stream: it ends with a message, whatever happens
            end = {"error": self._failed(error, method).as_json()}
        if not response.prepared:
            await response.prepare(request)
        return json.dumps(end).encode()

    async def _messages(
        self, request: web.Request, method: Method, codec: Codec, caller: str, response: web.StreamResponse
    ) -> AsyncGenerator[bytes, None]:
        """Yield a stream's messages. Ends the stream at the server when its reader stops or leaves."""
        requests.check_version(request)
        requests.check_encoding(request, "Content-Encoding")
        requests.check_encoding(request, "Connect-Content-Encoding")
        timeout_s = requests.timeout_s(request)
        metadata = requests.metadata(request, caller)
        raw = await codec.to_wire(method.request, await requests.enveloped(request))
        async with self._doors.stream(method.path) as ask:
            if ask is None:
                raise _not_yet()
            call = ask(raw, metadata=metadata, timeout=timeout_s)
            try:
                # The headers go out at once: a page knows that its stream is open before there is news.
                await response.prepare(request)
                async for message in call:
                    yield await codec.from_wire(method.response, message)
            finally:
                call.cancel()

    # How it ends when it does not end well

    def _headers(self, request: web.Request, content_type: str) -> dict[str, str]:
        return {**_ALWAYS, **self._cors.headers(request), "Content-Type": content_type}

    def _refusal(self, request: web.Request, failure: Failure) -> web.Response:
        headers = self._headers(request, "application/json") | failure.headers
        return web.Response(status=failure.http_status, body=json.dumps(failure.as_json()).encode(), headers=headers)

    def _failed(self, error: Exception, method: Method) -> Failure:
        """Return what the caller is told of an error."""
        match error:
            case requests.UnsupportedEncodingError():
                return self._unimplemented(error.message)
            case DomainError():
                return self._failure(error)
            case grpc.aio.AioRpcError():
                return failure_from(error) or self._ended_by_grpc(error, method)
        _log.error("bridge.failed", method=method.path, exc_info=error)
        return failure_of(self._errors.status_for(grpc.StatusCode.INTERNAL, "a bug in monitord; its log tells more"))

    def _ended_by_grpc(self, error: grpc.aio.AioRpcError, method: Method) -> Failure:
        """Return what the caller is told of an end that the server did not speak of: its words are of sockets."""
        match error.code():
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
                return self._failure(_not_yet())
            case grpc.StatusCode.DEADLINE_EXCEEDED as code:
                return failure_of(self._errors.status_for(code, "the deadline that the request names has passed"))
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return self._failure(ResourceExhaustedError("the headers or the message are larger than gRPC takes"))
        _log.error("bridge.failed", method=method.path, code=error.code().name, details=error.details())
        return failure_of(self._errors.status_for(grpc.StatusCode.INTERNAL, "a bug in monitord; its log tells more"))

    def _failure(self, error: DomainError) -> Failure:
        return failure_of(self._errors.status_of(error))

    def _unimplemented(self, message: str, *, http_status: int | None = None, **headers: str) -> Failure:
        status = self._errors.status_for(grpc.StatusCode.UNIMPLEMENTED, message)
        return failure_of(status, http_status=http_status, **headers)


def _not_yet() -> UnavailableError:
    return UnavailableError("the gRPC server is starting or stopping")
