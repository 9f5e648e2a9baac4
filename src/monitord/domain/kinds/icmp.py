"""Echo requests (ping)."""

from collections.abc import Hashable, Iterator

import msgspec

from monitord.domain.connection import AddressFamily, Place


class IcmpCheck(msgspec.Struct, frozen=True, tag="icmp", kw_only=True, weakref=True):
    """Send echo requests, and judge how many come back and how fast."""

    host: str
    address_family: AddressFamily = AddressFamily.ANY
    resolver: str = ""
    """The DNS server to ask in place of the system's: an address with an optional port; empty: the system's."""
    expected_latency_ms: int = 0
    """A longer mean round trip is DEGRADED; 0: no expectation."""
    count: int = 3
    packet_interval_ms: int = 200
    payload_bytes: int = 56
    max_loss_percent: int = 99
    """DOWN when more than this goes unanswered."""
    degraded_loss_percent: int = 0
    """DEGRADED when more than this goes unanswered."""

    @property
    def peer(self) -> str:
        """The host whose checks in flight are counted together."""
        return self.host.lower()

    @property
    def shown(self) -> str:
        """The target as people read it."""
        return self.host

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent: it has none."""
        return ()

    def places(self) -> Iterator[Place]:
        """Yield what it will dial. ICMP has no ports: a rule of the policy that names one never means it."""
        yield Place("host", self.host, 0)
