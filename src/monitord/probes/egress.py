"""Which addresses may be dialled (T1, T2): the one policy that every outbound connection passes."""

import ipaddress
from collections.abc import Iterable
from typing import Literal

import msgspec

from monitord.probes.address_space import Address, Network, Space, embedded, mapped, space_of

Mode = Literal["private", "public"]

_ALLOWED = {
    "private": frozenset({Space.GLOBAL, Space.PRIVATE, Space.LOOPBACK}),
    "public": frozenset({Space.GLOBAL}),
}
_MAX_DECISIONS = 8192


class _Rule(msgspec.Struct, frozen=True):
    network: Network
    port: int | None

    def matches(self, address: Address, port: int) -> bool:
        if self.port is not None and self.port != port:
            return False
        return address.version == self.network.version and address in self.network


class EgressPolicy:
    """Decides on addresses, never on names: names are resolved first and every answer is classified.

    ``private`` allows private and loopback targets and denies link-local, metadata, multicast, reserved and unspecified
    ones. ``public`` allows global unicast alone. ``allow`` makes exceptions, ``deny`` beats everything.
    An address that carries an IPv4 address (mapped, NAT64, 6to4, Teredo) is judged by that one as well.
    """

    def __init__(
        self, mode: Mode, allow: Iterable[str] = (), deny: Iterable[str] = (), own_addresses: Iterable[str] = ()
    ) -> None:
        """Make a policy.

        Args:
            mode: ``private`` or ``public``.
            allow: CIDRs, addresses, ``address:port`` or ``[v6]:port`` that are allowed in spite of the mode.
            deny: the same, denied in spite of all else.
            own_addresses: where monitord itself is. ``address:port`` (its database) is denied in both modes, and if it
                is a loopback address, on every other loopback address too; a bare address is denied in ``public``.

        Raises:
            ValueError: the mode or an entry cannot be understood; the text says what would be right.
        """
        if mode not in _ALLOWED:
            raise ValueError(f"the egress mode must be 'private' or 'public', not {mode!r}")
        self._spaces = _ALLOWED[mode]
        self._mode = mode
        self._allow = [_parse(entry) for entry in allow]
        self._deny = [_parse(entry) for entry in deny]
        own = [_parse(entry) for entry in own_addresses]
        self._own_endpoints = [rule for rule in own if rule.port is not None]
        self._own_hosts = [rule for rule in own if rule.port is None] if mode == "public" else []
        self._own_loopback_ports = {rule.port for rule in self._own_endpoints if rule.network[0].is_loopback}
        self._decisions: dict[tuple[str | Address, int], str | None] = {}

    def check(self, ip: str | Address, port: int) -> str | None:
        """Return why an address must not be dialled, or None if it may.

        The reason names the kind of address and nothing else, so that it is the same for open and for closed ports.
        """
        key = (ip, port)
        try:
            return self._decisions[key]
        except KeyError:
            pass
        decision = self._decide(mapped(ipaddress.ip_address(ip) if isinstance(ip, str) else ip), port)
        if len(self._decisions) >= _MAX_DECISIONS:
            self._decisions.clear()
        self._decisions[key] = decision
        return decision

    def _decide(self, address: Address, port: int) -> str | None:
        inner = list(embedded(address)) if isinstance(address, ipaddress.IPv6Address) else []
        every: list[Address] = [address, *inner]
        if any(rule.matches(each, port) for rule in self._deny for each in every):
            return "the operator's policy denies this address"
        if any(self._is_own(each, port) for each in every):
            return "it is an address of monitord's own"
        if any(rule.matches(address, port) for rule in self._allow):
            return None
        return self._by_space(address, inner)

    def _is_own(self, address: Address, port: int) -> bool:
        if port in self._own_loopback_ports and space_of(address) is Space.LOOPBACK:
            return True
        return any(rule.matches(address, port) for rule in (*self._own_endpoints, *self._own_hosts))

    def _by_space(self, address: Address, inner: list[ipaddress.IPv4Address]) -> str | None:
        space = space_of(address)
        if space is Space.TUNNEL:
            # RFC 6052's well-known prefix is globally reachable and means its IPv4 address; a private network may
            # have any of the others, a public service has no business with them.
            if self._mode == "public" and int(address) >> 32 != 0x64FF9B << 64:
                return _refusal(Space.TUNNEL)
            spaces = [space_of(each) for each in inner]
        else:
            spaces = [space]
        return next((_refusal(each) for each in spaces if each not in self._spaces), None)


def _refusal(space: Space) -> str:
    return f"the policy on addresses does not allow {space.value} addresses"


def _parse(entry: str) -> _Rule:
    text, port = entry.strip(), None
    if text.startswith("["):
        text, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _unreadable(entry)
        port = _parse_port(rest[1:], entry) if rest else None
    elif text.count(":") == 1:
        text, _, digits = text.partition(":")
        port = _parse_port(digits, entry)
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        if "has host bits set" in str(error):
            raise ValueError(f"{entry!r} has bits set after its prefix; write the network's first address") from None
        raise _unreadable(entry) from None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen == 128:
        address = mapped(network.network_address)
        network = ipaddress.ip_network(address)
    return _Rule(network, port)


def _parse_port(digits: str, entry: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 1 <= int(digits) <= 65535):
        raise ValueError(f"the port of {entry!r} must be 1 to 65535")
    return int(digits)


def _unreadable(entry: str) -> ValueError:
    return ValueError(
        f"{entry!r} is neither a CIDR nor an address with a port; write 10.0.0.0/8, fd00::/8, 192.0.2.1:5432 "
        "or [2001:db8::1]:5432 (no names)"
    )
