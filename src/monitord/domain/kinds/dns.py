"""A question to a DNS server, and what its answer must be."""

from collections.abc import Hashable, Iterator
from enum import IntEnum

import msgspec

from monitord.domain.connection import NO_TLS_SETTINGS, AddressFamily, Place, TlsSettings
from monitord.domain.target import Endpoint, InvalidTargetError, parse_server


class DnsRecordType(IntEnum):
    """Types of records, by their numbers in the protocol (RFC 1035 and later)."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    MX = 15
    TXT = 16
    AAAA = 28
    SRV = 33
    CAA = 257


class DnsTransport(IntEnum):
    """How a question travels. The numbers are stored and sent: never reuse one."""

    UDP = 1
    TCP = 2
    TLS = 3


class DnsMatch(IntEnum):
    """How the answers must relate to the expected ones. The numbers are stored and sent: never reuse one."""

    ANY = 1
    ALL = 2
    EXACT = 3


DNS_PORT = 53
DNS_TLS_PORT = 853


class DnsCheck(msgspec.Struct, frozen=True, tag="dns", kw_only=True, weakref=True):
    """Ask a server for records of a name."""

    name: str
    record_type: DnsRecordType = DnsRecordType.A
    server: str = ""
    """A name or an address with an optional port; empty: the first one that the system uses."""
    transport: DnsTransport = DnsTransport.UDP
    address_family: AddressFamily = AddressFamily.ANY
    expected_latency_ms: int = 0
    """Slower answers are DEGRADED; 0: no expectation."""
    expected_answers: tuple[str, ...] = ()
    match: DnsMatch = DnsMatch.ALL
    accepted_rcodes: tuple[str, ...] = ("NOERROR",)
    require_authenticated_data: bool = False
    no_recursion: bool = False
    verify_tls: bool = True
    tls: TlsSettings = NO_TLS_SETTINGS

    @property
    def default_port(self) -> int:
        """The port of a server that comes without one."""
        return DNS_TLS_PORT if self.transport is DnsTransport.TLS else DNS_PORT

    @property
    def peer(self) -> str:
        """The server whose checks in flight are counted together."""
        return self.server.lower() or "the system's resolver"

    @property
    def shown(self) -> str:
        """The target as people read it."""
        asked = f"{self.name} {self.record_type.name}"
        return f"{asked} @{self.server}" if self.server else asked

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent; see ``secrets.Holder``."""
        return (self.server.lower(), self.transport)

    def places(self) -> Iterator[Place]:
        """Yield what it will dial."""
        if self.server:
            try:
                server: Endpoint = parse_server(self.server, self.default_port)
            except InvalidTargetError:
                return  # the rules say what is wrong with it
            yield Place("server", server.host, server.port)
