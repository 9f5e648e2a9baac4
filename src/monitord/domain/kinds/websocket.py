"""A WebSocket handshake, and what is said after it."""

from collections.abc import Hashable, Iterator

import msgspec

from monitord.domain.connection import NO_TLS_SETTINGS, AddressFamily, Place, TlsSettings
from monitord.domain.kinds.http import peer_of_url
from monitord.domain.secrets import Header
from monitord.domain.target import WEBSOCKET, InvalidTargetError, parse_target


class WebsocketCheck(msgspec.Struct, frozen=True, tag="websocket", kw_only=True, weakref=True):
    """Open a WebSocket (RFC 6455); send a message, and expect one."""

    url: str
    headers: tuple[Header, ...] = ()
    subprotocols: tuple[str, ...] = ()
    send: str = ""
    expect: str = ""
    """RE2 that one of the messages must match, within the first 64 KiB of them; empty: nothing is awaited."""
    expected_latency_ms: int = 0
    """Slower is DEGRADED; 0: no expectation."""
    verify_tls: bool = True
    tls: TlsSettings = NO_TLS_SETTINGS
    min_certificate_days: int = 0
    """DEGRADED when the certificate has fewer whole days left; 0: no condition."""
    address_family: AddressFamily = AddressFamily.ANY
    resolver: str = ""
    """The DNS server to ask in place of the system's: an address with an optional port; empty: the system's."""

    @property
    def peer(self) -> str:
        """The host whose checks in flight are counted together."""
        return peer_of_url(self.url)

    @property
    def shown(self) -> str:
        """The URL without its query, in which people put tokens (T15)."""
        return self.url.partition("?")[0]

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent; see ``secrets.Holder``."""
        try:
            return (parse_target(self.url, WEBSOCKET).origin,)
        except InvalidTargetError:
            return (None, self.url)

    def places(self) -> Iterator[Place]:
        """Yield what it will dial."""
        try:
            target = parse_target(self.url, WEBSOCKET)
        except InvalidTargetError:
            return  # the rules say what is wrong with it
        yield Place("url", target.host, target.port)
