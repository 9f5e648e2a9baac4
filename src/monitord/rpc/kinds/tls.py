"""TLS checks."""

from monitord.domain.connection import Security
from monitord.domain.errors import Violation
from monitord.domain.kinds.tls import TlsCheck, TlsVersion
from monitord.rpc.convert_connection import read_secure, secure_fields
from monitord.rpc.enums import read_enum
from monitord.v1 import tls_check_pb2 as pb

DEFAULT_PORT = 443
DEFAULT_DAYS = 14


def read_tls_check(message: pb.TlsCheck, found: list[Violation]) -> TlsCheck:
    """Return what a message asks for; what can't be read is told to ``found`` and replaced by a default."""
    fields = read_secure(message, "tls", DEFAULT_PORT, found, Security.TLS)
    fields["min_certificate_days"] = (
        message.min_certificate_days if message.HasField("min_certificate_days") else DEFAULT_DAYS
    )
    return TlsCheck(
        **fields,
        names=tuple(message.names),
        min_version=read_enum(TlsVersion, pb.TlsVersion, message.min_version, TlsVersion.ANY, "tls.min_version", found),
        fingerprints_sha256=tuple(text.replace(":", "").lower() for text in message.fingerprints_sha256),
    )


def tls_check_pb(check: TlsCheck) -> pb.TlsCheck:
    """Return the message of a check, without its secrets (T15)."""
    return pb.TlsCheck(
        **secure_fields(check),
        names=check.names,
        min_version=check.min_version,  # type: ignore[arg-type]  # the same numbers; a test holds them together
        fingerprints_sha256=check.fingerprints_sha256,
    )
