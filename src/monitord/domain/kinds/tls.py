"""A TLS handshake, and what the server's certificate must be like."""

from enum import IntEnum

from monitord.domain.connection import SecureCheck, Security


class TlsVersion(IntEnum):
    """The oldest version that a server may agree to. The numbers are stored and sent: never reuse one."""

    ANY = 0
    TLS_1_2 = 1
    TLS_1_3 = 2


class TlsCheck(SecureCheck, frozen=True, tag="tls", kw_only=True, weakref=True):
    """Make a handshake and judge the certificate."""

    port: int = 443
    security: Security = Security.TLS
    min_certificate_days: int = 14
    """DEGRADED when a certificate of the chain has fewer whole days left; 0: no condition."""
    names: tuple[str, ...] = ()
    """Names that the certificate must be valid for besides the host."""
    min_version: TlsVersion = TlsVersion.ANY
    fingerprints_sha256: tuple[str, ...] = ()
    """Of which the leaf must have one, in lower-case hexadecimal; empty: no condition."""
