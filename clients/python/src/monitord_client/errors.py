"""Why a call failed, as types: one for each gRPC status that monitord answers with.

Every error of the server carries a ``google.rpc.ErrorInfo``; its reason is kept in ``reason`` as a name of
``ErrorReason`` without the prefix, such as ``INVALID_FIELD``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that is wrong, and a sentence that says what would be right."""

    field: str
    """The field's path in the request, such as ``monitor.http.url``."""
    description: str


class MonitordError(Exception):
    """A call that failed. Catch the subclasses to tell the causes apart."""

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: tuple[Violation, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        """The ``ErrorReason``'s name without its prefix; empty when the answer did not come from monitord itself."""
        self.metadata: Mapping[str, str] = metadata or {}
        self.violations = violations
        """What is wrong with which field; only with InvalidArgumentError."""
        self.retry_after_s = retry_after_s
        """When the server suggests to come back, in seconds; None when it suggests nothing."""
        self.attempts = 1
        """How many times the request was sent. After the first, an earlier attempt may have been the one that acted."""


class InvalidArgumentError(MonitordError):
    """The request itself is wrong: ``violations`` says which fields, and what would be right."""


class NotFoundError(MonitordError):
    """There is no such thing, or it is somebody else's."""


class AlreadyExistsError(MonitordError):
    """Something with this name is there already."""


class AbortedError(MonitordError):
    """Somebody else was faster."""


class EtagMismatchError(AbortedError):
    """The thing was changed since it was read: read it again, then retry."""


class FailedPreconditionError(MonitordError):
    """Not now: the system, or the thing, is not in a state in which this can be done."""


class UnauthenticatedError(MonitordError):
    """No proof of who is asking, or one that is wrong, expired or revoked."""


class PermissionDeniedError(MonitordError):
    """Whoever is asking may not do this."""


class ResourceExhaustedError(MonitordError):
    """A limit is reached; ``retry_after_s`` says when to come back, if ever."""


class UnavailableError(MonitordError):
    """The server, or its database, is away; a retry later may help."""


class DeadlineExceededError(MonitordError):
    """No answer within the deadline. What was asked for may have been done all the same."""


class UnimplementedError(MonitordError):
    """The server is older than this client and does not know the method."""


class InternalError(MonitordError):
    """A bug in monitord; its log has the details under ``error_id``."""

    @property
    def error_id(self) -> str:
        """What to look for in the server's log; empty when the answer did not come from monitord itself."""
        return self.metadata.get("error_id", "")


class InsecureChannelError(ValueError):
    """Keys and passwords would travel in plain text to another machine."""


_TYPES: Mapping[grpc.StatusCode, type[MonitordError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgumentError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgumentError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.ABORTED: AbortedError,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPreconditionError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.UNIMPLEMENTED: UnimplementedError,
    grpc.StatusCode.INTERNAL: InternalError,
}


def error_of(error: grpc.aio.AioRpcError) -> MonitordError:
    """Return the typed error of a failed call. Details that are missing or damaged are left out, never raised."""
    kind = _TYPES.get(error.code(), MonitordError)
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    retry_after_s: float | None = None
    for detail in _details(error):
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(bad_request.DESCRIPTOR):
            detail.Unpack(bad_request)
        elif detail.Is(retry.DESCRIPTOR):
            detail.Unpack(retry)
            retry_after_s = max(0.0, retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
    if info.reason == "ETAG_MISMATCH":
        kind = EtagMismatchError
    return kind(
        error.details() or error.code().name,
        code=error.code(),
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(Violation(v.field, v.description) for v in bad_request.field_violations),
        retry_after_s=retry_after_s,
    )


def _details(error: grpc.aio.AioRpcError) -> "list[status_pb2.Any]":
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            try:
                status.ParseFromString(value)
            except DecodeError:
                return []
    return list(status.details)
