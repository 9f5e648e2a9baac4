"""gRPC's health check."""

from monitord.domain.connection import SecureCheck, Security
from monitord.domain.secrets import Header


class GrpcCheck(SecureCheck, frozen=True, tag="grpc", kw_only=True, weakref=True):
    """Call grpc.health.v1.Health/Check."""

    security: Security = Security.TLS
    service: str = ""
    """Whose health; empty: the server's as a whole."""
    metadata: tuple[Header, ...] = ()
