"""How a check reaches its target, whatever it says there."""

import sys
from collections.abc import Hashable, Iterator
from enum import IntEnum

import msgspec

from monitord.domain.secrets import Secret


class AddressFamily(IntEnum):
    """Which addresses of a name may be dialled."""

    ANY = 1
    IPV4 = 2
    IPV6 = 3


class Security(IntEnum):
    """How a connection is protected. The numbers are stored and sent: never reuse one."""

    PLAIN = 1
    TLS = 2
    STARTTLS_SMTP = 3
    STARTTLS_IMAP = 4
    STARTTLS_POP3 = 5
    STARTTLS_LDAP = 6
    STARTTLS_POSTGRES = 7


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whose certificates are trusted, and which one is shown. Everything empty: the system's, and none."""

    server_name: str = ""
    """Asked for (SNI) and verified in place of the host."""
    ca_pem: str = ""
    """Authorities trusted in place of the system's."""
    client_certificate_pem: str = ""
    client_key_pem: Secret = Secret()


NO_TLS_SETTINGS = TlsSettings()


class Place(msgspec.Struct, frozen=True):
    """Something that a check will dial: what the field ``field`` says, judged by the policy when it is an address."""

    field: str
    """Its path within the check, as the API spells it."""
    host: str
    """A name or an address, as entered; IPv6 without brackets."""
    port: int


class ServiceCheck(msgspec.Struct, frozen=True, kw_only=True, weakref=True):
    """A check of something that listens on a port of a host. Fields are validated before they get here."""

    host: str
    port: int
    address_family: AddressFamily = AddressFamily.ANY
    resolver: str = ""
    """The DNS server to ask in place of the system's: an address with an optional port; empty: the system's."""
    expected_latency_ms: int = 0
    """Slower is DEGRADED; 0: no expectation."""

    @property
    def peer(self) -> str:
        """The host whose checks in flight are counted together, interned: many monitors share one."""
        return sys.intern(self.host.lower())

    @property
    def shown(self) -> str:
        """The target as people read it; it never holds a secret."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent; see ``secrets.Holder``."""
        return (self.peer, self.port)

    def places(self) -> Iterator[Place]:
        """Yield what it will dial."""
        yield Place("host", self.host, self.port)


class SecureCheck(ServiceCheck, frozen=True, kw_only=True, weakref=True):
    """A service that may be spoken to over TLS."""

    security: Security = Security.PLAIN
    verify_tls: bool = True
    tls: TlsSettings = NO_TLS_SETTINGS
    min_certificate_days: int = 0
    """DEGRADED when the certificate has fewer whole days left; 0: no condition."""

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent, and whether in the clear; see ``secrets.Holder``."""
        return (self.peer, self.port, self.security)
