"""gRPC checks."""

from monitord.domain.connection import Security
from monitord.domain.errors import Violation
from monitord.domain.kinds.grpc import GrpcCheck
from monitord.rpc.convert_connection import headers_pb, read_headers, read_secure, secure_fields
from monitord.v1 import grpc_check_pb2 as pb

_NO_PORT = 0


def read_grpc(message: pb.GrpcCheck, found: list[Violation]) -> GrpcCheck:
    """Return what a message asks for; what can't be read is told to ``found`` and replaced by a default."""
    return GrpcCheck(
        **read_secure(message, "grpc", _NO_PORT, found, Security.TLS),
        service=message.service,
        metadata=read_headers(message.metadata),
    )


def grpc_pb(check: GrpcCheck) -> pb.GrpcCheck:
    """Return the message of a check, without its secrets (T15)."""
    return pb.GrpcCheck(**secure_fields(check), service=check.service, metadata=headers_pb(check.metadata))
