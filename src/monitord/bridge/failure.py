"""How a call fails, as the Connect protocol tells it: a code, a message and the same details that gRPC's callers get.

The tables are those of https://connectrpc.com/docs/protocol#error-codes.
"""

import base64
import math
from collections.abc import Mapping
from typing import Any, Protocol

import grpc
from google.protobuf import any_pb2, descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from monitord.domain.errors import DomainError

_DETAILS_KEY = "grpc-status-details-bin"

_HTTP: Mapping[StatusCode, int] = {
    StatusCode.CANCELLED: 499,
    StatusCode.UNKNOWN: 500,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.ABORTED: 409,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.INTERNAL: 500,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DATA_LOSS: 500,
    StatusCode.UNAUTHENTICATED: 401,
}
_NAMES: Mapping[StatusCode, str] = {
    **{code: code.name.lower() for code in _HTTP},
    StatusCode.CANCELLED: "canceled",  # Connect spells it with one l
}
_CODES = {code.value[0]: code for code in _HTTP}


class Errors(Protocol):
    """Turns errors into the statuses that gRPC's callers see: one place for both (``rpc.errors``)."""

    def status_of(self, error: DomainError) -> grpc.Status:
        """Return the status of an error of the domain."""
        ...

    def status_for(self, code: StatusCode, message: str) -> grpc.Status:
        """Return a status for what no error of the domain stands for."""
        ...


class Failure(Exception):  # noqa: N818 (what the protocol calls an Error is this value's JSON)
    """The end of a call that did not succeed."""

    def __init__(self, status: status_pb2.Status, *, http_status: int | None = None, **headers: str) -> None:
        """``http_status`` replaces that of the table; ``headers`` come with it, with underscores for dashes."""
        self.code = _CODES.get(status.code, StatusCode.UNKNOWN)
        super().__init__(f"{self.code.name}: {status.message}")
        self._status = status
        self.http_status = http_status or _HTTP[self.code]
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()} | self._retry_after()

    def as_json(self) -> dict[str, Any]:
        """Return the protocol's Error."""
        told: dict[str, Any] = {"code": _NAMES[self.code]}
        if self._status.message:
            told["message"] = self._status.message
        if self._status.details:
            told["details"] = [_detail(detail) for detail in self._status.details]
        return told

    def _retry_after(self) -> dict[str, str]:
        """Return RetryInfo's delay as HTTP tells it: in whole seconds."""
        info = error_details_pb2.RetryInfo()
        for detail in self._status.details:
            if detail.Unpack(info):
                delay = info.retry_delay
                return {"Retry-After": str(max(1, math.ceil(delay.seconds + delay.nanos / 1e9)))}
        return {}


def failure_of(status: grpc.Status, *, http_status: int | None = None, **headers: str) -> Failure:
    """Return the failure that says what a status says."""
    return Failure(_parsed(status.code, status.details, status.trailing_metadata), http_status=http_status, **headers)


def failure_from(error: grpc.aio.AioRpcError) -> Failure | None:
    """Return how the server ended a call; None when gRPC itself did, which knows none of our details."""
    trailers = error.trailing_metadata()
    if not any(key == _DETAILS_KEY for key, _ in trailers or ()):
        return None
    return Failure(_parsed(error.code(), error.details() or "", trailers))


def _parsed(code: StatusCode, message: str, trailers: Any) -> status_pb2.Status:
    for key, value in trailers or ():
        if key == _DETAILS_KEY:
            status = status_pb2.Status.FromString(value)
            if status.code == code.value[0]:
                return status
    return status_pb2.Status(code=code.value[0], message=message)


def _detail(packed: any_pb2.Any) -> dict[str, Any]:
    name = packed.type_url.rpartition("/")[2]
    told: dict[str, Any] = {"type": name, "value": base64.b64encode(packed.value).decode().rstrip("=")}
    try:
        message = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))()
    except KeyError:
        return told  # a kind of detail that this process does not know; whoever does has its bytes
    packed.Unpack(message)
    # For people who look at it; clients read the value.
    told["debug"] = json_format.MessageToDict(message)
    return told
