"""What the answer to a call of gRPC says: its status, and what that means for a health check."""

import re
from urllib.parse import unquote_to_bytes

import msgspec

from monitord.domain.check import Category
from monitord.domain.kinds.grpc import GrpcCheck
from monitord.probes.failure import Failure
from monitord.probes.text import shown

OK, NOT_FOUND, PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED = 0, 5, 7, 12, 16
NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""By their numbers ("Status codes and their use in gRPC")."""

UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN = 0, 1, 2, 3
"""HealthCheckResponse.ServingStatus."""

_CODE = re.compile(rb"0|[1-9][0-9]?")
_MAX_MESSAGE = 4096


class Status(msgspec.Struct, frozen=True):
    """How a call ended."""

    code: int
    message: str = ""
    """As the server put it, made fit to be shown; may be empty."""

    @property
    def name(self) -> str:
        """Its name, or its number if it has none."""
        return NAMES[self.code] if self.code < len(NAMES) else f"status {self.code}"

    @property
    def said(self) -> str:
        """Its message as the end of a sentence."""
        return f": {self.message!r}" if self.message else ""


def status_of(fields: dict[bytes, bytes]) -> Status | None:
    """Return the status in headers or trailers; None if there is none that can be understood."""
    code = fields.get(b"grpc-status", b"")
    if not _CODE.fullmatch(code):
        return None
    raw = fields.get(b"grpc-message", b"")[:_MAX_MESSAGE]
    # Percent-encoded UTF-8; what is no such code stands for itself, and nothing may fail here.
    return Status(int(code), shown(unquote_to_bytes(raw)))


def judge_status(status: Status, check: GrpcCheck, where: str) -> Failure | None:
    """Judge how the call ended."""
    if status.code == OK:
        return None
    which = f"the service {shown(check.service, 80)!r}" if check.service else "the server as a whole"
    if status.code == NOT_FOUND:
        text = f"{where} does not know {which} (NOT_FOUND{status.said}): look at the name, or register its health."
    elif status.code == UNIMPLEMENTED:
        text = (
            f"{where} has no health service (UNIMPLEMENTED{status.said}): add grpc.health.v1.Health to it, "
            f"or watch the port with a TCP check."
        )
    elif status.code in (UNAUTHENTICATED, PERMISSION_DENIED):
        hint = "look at the metadata of this monitor" if check.metadata else "set metadata with credentials"
        return Failure(
            Category.AUTH_REFUSED, f"{where} did not let the health check in ({status.name}{status.said}): {hint}."
        )
    else:
        text = f"The health check of {where} ended with {status.name}{status.said}."
    return Failure(Category.GRPC_STATUS, text)


def judge_serving(serving: int, check: GrpcCheck, where: str) -> Failure | None:
    """Judge what a call that ended well has told of the service."""
    if serving == SERVING:
        return None
    whose = f"The service {shown(check.service, 80)!r} of {where}" if check.service else where
    if serving == NOT_SERVING:
        return Failure(Category.GRPC_NOT_SERVING, f"{whose} says that it is not serving (NOT_SERVING).")
    if serving == UNKNOWN:
        return Failure(Category.GRPC_NOT_SERVING, f"{whose} does not say that it is serving (UNKNOWN).")
    if serving == SERVICE_UNKNOWN:
        return Failure(Category.GRPC_STATUS, f"{whose} is not known there (SERVICE_UNKNOWN): look at the name.")
    return Failure(Category.GRPC_NOT_SERVING, f"{whose} tells a status that monitord does not know, {serving}.")
