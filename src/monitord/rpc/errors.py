"""How an error reaches the caller: the one place where the domain's errors become a google.rpc.Status.

Every error carries one ErrorInfo whose reason is a value of ErrorReason; invalid input also a BadRequest with the path
of each field; a limit that passes a RetryInfo; one of a plan a QuotaFailure. The details travel in HTTP/2 trailers, of
which clients accept 8 KiB by default, so the whole status is kept well below that whatever a request contained.
"""

import math

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from grpc_status import rpc_status

from monitord.domain import errors

DOMAIN = "monitord"


class DeadlineExceededError(errors.DomainError):
    """What was asked for takes longer than it may."""

    reason = "DEADLINE_EXCEEDED"


_MAX_MESSAGE_BYTES = 480
"""It travels twice: percent-encoded, at worst three times as long, and in the details."""
_MAX_DESCRIPTION_BYTES = 800
_MAX_FIELD_BYTES = 200
_MAX_METADATA_BYTES = 400
_MAX_VIOLATIONS_BYTES = 2400
"""All of them; base64 makes a third more of the details."""

_CODES: dict[type[errors.DomainError], StatusCode] = {
    errors.InvalidArgumentError: StatusCode.INVALID_ARGUMENT,
    errors.NotFoundError: StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: StatusCode.ALREADY_EXISTS,
    errors.EtagMismatchError: StatusCode.ABORTED,
    errors.FailedPreconditionError: StatusCode.FAILED_PRECONDITION,
    errors.RequestIdReusedError: StatusCode.INVALID_ARGUMENT,
    errors.UnauthenticatedError: StatusCode.UNAUTHENTICATED,
    errors.PermissionDeniedError: StatusCode.PERMISSION_DENIED,
    errors.ResourceExhaustedError: StatusCode.RESOURCE_EXHAUSTED,
    errors.UnavailableError: StatusCode.UNAVAILABLE,
    DeadlineExceededError: StatusCode.DEADLINE_EXCEEDED,
}

_AWAY = "monitord can't do this for the moment: its database is away, or it is starting or stopping. Try again"
_AWAY_RETRY_S = 1.0
_ELLIPSIS = "…".encode()

_REASONS = {
    StatusCode.UNIMPLEMENTED: "UNIMPLEMENTED",
    StatusCode.INTERNAL: "INTERNAL",
    StatusCode.DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
}


def status_of(error: errors.DomainError) -> grpc.Status:
    """Return the status that tells a caller of an error of the domain."""
    code = _code_of(error)
    if error.reason == errors.UnavailableError.reason:
        # What the driver says of it names hosts, and is for the operator's log.
        return _status(code, _AWAY, [_error_info(error.reason, {}), _retry_info(_AWAY_RETRY_S)])
    details: list[Message] = [_error_info(error.reason, error.metadata)]
    if isinstance(error, errors.InvalidArgumentError):
        details.append(_bad_request(error.violations))
    if isinstance(error, errors.QuotaExceededError):
        details.append(_quota_failure(error.violations))
    if isinstance(error, errors.ResourceExhaustedError) and error.retry_after_s is not None:
        details.append(_retry_info(error.retry_after_s))
    if isinstance(error, errors.UnavailableError):
        details.append(_retry_info(_AWAY_RETRY_S))
    return _status(code, error.message, details)


def status_for(code: StatusCode, message: str, **metadata: str) -> grpc.Status:
    """Return a status for what no error of the domain stands for: UNIMPLEMENTED, INTERNAL, DEADLINE_EXCEEDED."""
    return _status(code, message, [_error_info(_REASONS[code], metadata)])


def _code_of(error: errors.DomainError) -> StatusCode:
    for kind in type(error).__mro__:
        code = _CODES.get(kind)
        if code is not None:
            return code
    return StatusCode.INTERNAL


def _status(code: StatusCode, message: str, details: list[Message]) -> grpc.Status:
    status = status_pb2.Status(code=code.value[0], message=_cut(message, _MAX_MESSAGE_BYTES))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return rpc_status.to_status(status)


def _error_info(reason: str, metadata: dict[str, str]) -> error_details_pb2.ErrorInfo:
    short = {key: _cut(value, _MAX_METADATA_BYTES) for key, value in metadata.items()}
    return error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=short)


def _bad_request(violations: list[errors.Violation]) -> error_details_pb2.BadRequest:
    request = error_details_pb2.BadRequest()
    room = _MAX_VIOLATIONS_BYTES
    for count, violation in enumerate(violations):
        one = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.field, _MAX_FIELD_BYTES),
            description=_cut(violation.description, _MAX_DESCRIPTION_BYTES),
        )
        room -= one.ByteSize()
        if room < 0 and count:
            break
        request.field_violations.append(one)
    return request


def _quota_failure(violations: list[errors.QuotaViolation]) -> error_details_pb2.QuotaFailure:
    failure = error_details_pb2.QuotaFailure()
    room = _MAX_VIOLATIONS_BYTES
    for count, violation in enumerate(violations):
        one = error_details_pb2.QuotaFailure.Violation(
            subject=_cut(violation.subject, _MAX_FIELD_BYTES),
            description=_cut(violation.description, _MAX_DESCRIPTION_BYTES),
        )
        room -= one.ByteSize()
        if room < 0 and count:
            break
        failure.violations.append(one)
    return failure


def _retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    # Up: who comes back a moment too early is refused again. Not for what is only the rounding of floats.
    millis = max(0, math.ceil(seconds * 1000 - 1e-6))
    delay = duration_pb2.Duration(seconds=millis // 1000, nanos=millis % 1000 * 1_000_000)
    return error_details_pb2.RetryInfo(retry_delay=delay)


def _cut(text: str, limit: int) -> str:
    """Shorten a text to so many bytes of UTF-8.

    What UTF-8 can't hold is replaced: a lone surrogate must not turn an answer into a failure.
    """
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - len(_ELLIPSIS)].decode("utf-8", "ignore") + _ELLIPSIS.decode()
