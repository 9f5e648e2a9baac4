"""What each address is for: our own tables from the IANA special-purpose registries.

Python's ``is_private`` and ``is_global`` misjudge shared address space, multicast, NAT64 and 6to4, and change with the
interpreter; the policy on what is dialled must not.
Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries, the IPv6 Global Unicast space (2000::/3), RFC 6052
(NAT64), RFC 3056 (6to4), RFC 4380 (Teredo), and the metadata addresses that cloud providers document.
"""

import ipaddress
from collections.abc import Iterator
from enum import Enum

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Space(Enum):
    """A kind of address; the value is how it is called towards people."""

    GLOBAL = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    METADATA = "cloud metadata"
    MULTICAST = "multicast"
    BROADCAST = "broadcast"
    UNSPECIFIED = "unspecified"
    RESERVED = "reserved"
    TUNNEL = "tunnel"
    """6to4, Teredo and NAT64: what is dialled in truth is the IPv4 address inside."""


# The first prefix that contains an address decides: metadata services and single addresses stand before their ranges.
_IPV4 = (
    ("169.254.169.254/32", Space.METADATA),
    ("169.254.170.2/32", Space.METADATA),  # container credentials, AWS
    ("100.100.100.200/32", Space.METADATA),  # Alibaba Cloud, inside shared address space
    ("168.63.129.16/32", Space.METADATA),  # Azure's host agent, inside public space
    ("192.0.0.192/32", Space.METADATA),  # Oracle Cloud, classic
    ("0.0.0.0/32", Space.UNSPECIFIED),
    ("0.0.0.0/8", Space.RESERVED),
    ("10.0.0.0/8", Space.PRIVATE),
    ("100.64.0.0/10", Space.PRIVATE),  # shared address space, RFC 6598
    ("127.0.0.0/8", Space.LOOPBACK),
    ("169.254.0.0/16", Space.LINK_LOCAL),
    ("172.16.0.0/12", Space.PRIVATE),
    ("192.0.0.9/32", Space.GLOBAL),  # PCP anycast, RFC 7723
    ("192.0.0.10/32", Space.GLOBAL),  # TURN anycast, RFC 8155
    ("192.0.0.0/24", Space.RESERVED),
    ("192.0.2.0/24", Space.RESERVED),  # documentation
    ("192.88.99.0/24", Space.RESERVED),  # 6to4 relay anycast, deprecated
    ("192.168.0.0/16", Space.PRIVATE),
    ("198.18.0.0/15", Space.RESERVED),  # benchmarking
    ("198.51.100.0/24", Space.RESERVED),
    ("203.0.113.0/24", Space.RESERVED),
    ("224.0.0.0/4", Space.MULTICAST),
    ("255.255.255.255/32", Space.BROADCAST),
    ("240.0.0.0/4", Space.RESERVED),
    ("0.0.0.0/0", Space.GLOBAL),
)
_IPV6 = (
    ("fd00:ec2::254/128", Space.METADATA),
    ("fd00:ec2::23/128", Space.METADATA),
    ("fd20:ce::254/128", Space.METADATA),  # Google Cloud
    ("::/128", Space.UNSPECIFIED),
    ("::1/128", Space.LOOPBACK),
    ("::ffff:0:0/96", Space.TUNNEL),  # IPv4-mapped
    ("::/96", Space.TUNNEL),  # IPv4-compatible, deprecated
    ("64:ff9b::/96", Space.TUNNEL),
    ("64:ff9b:1::/48", Space.TUNNEL),
    ("2001::/32", Space.TUNNEL),
    ("2002::/16", Space.TUNNEL),
    ("2001:1::1/128", Space.GLOBAL),  # PCP anycast
    ("2001:1::2/128", Space.GLOBAL),  # TURN anycast
    ("2001:1::3/128", Space.GLOBAL),  # DNS-SD anycast
    ("2001:3::/32", Space.GLOBAL),  # AMT
    ("2001:4:112::/48", Space.GLOBAL),  # AS112
    ("2001:20::/28", Space.GLOBAL),  # ORCHIDv2
    ("2001:30::/28", Space.GLOBAL),  # drone remote identification
    ("2001::/23", Space.RESERVED),
    ("2001:db8::/32", Space.RESERVED),
    ("3fff::/20", Space.RESERVED),
    ("2000::/3", Space.GLOBAL),
    ("fc00::/7", Space.PRIVATE),
    ("fe80::/10", Space.LINK_LOCAL),
    ("fec0::/10", Space.PRIVATE),  # site-local, deprecated
    ("ff00::/8", Space.MULTICAST),
    ("::/0", Space.RESERVED),
)


def _table(rows: tuple[tuple[str, Space], ...]) -> tuple[tuple[int, int, Space], ...]:
    networks = ((ipaddress.ip_network(prefix), space) for prefix, space in rows)
    return tuple((int(n.network_address), int(n.netmask), space) for n, space in networks)


_TABLES = {4: _table(_IPV4), 6: _table(_IPV6)}


def space_of(address: Address) -> Space:
    """Return what an address is for, by its own prefix alone; see ``embedded`` for tunnels."""
    value = int(address)
    return next(space for prefix, mask, space in _TABLES[address.version] if value & mask == prefix)


def embedded(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield every IPv4 address that a packet to a ``TUNNEL`` address may be delivered to."""
    value = int(address)
    top16, top32, top48, top96 = value >> 112, value >> 96, value >> 80, value >> 32
    low = value & 0xFFFFFFFF
    if value <= 1:
        return  # the unspecified and the loopback address, which only look like IPv4-compatible ones
    if top96 in (0, 0xFFFF, 0x64FF9B << 64):
        yield ipaddress.IPv4Address(low)
    elif top48 == 0x64FF9B0001:
        # The local prefix may be /96, or shorter with the address around the reserved octet (RFC 6052, 2.2).
        yield ipaddress.IPv4Address(low)
        yield ipaddress.IPv4Address(((value >> 64 & 0xFFFF) << 16) | (value >> 40 & 0xFFFF))
    elif top32 == 0x20010000:
        yield ipaddress.IPv4Address(value >> 64 & 0xFFFFFFFF)  # the relay
        yield ipaddress.IPv4Address(low ^ 0xFFFFFFFF)  # the client behind it
    elif top16 == 0x2002:
        yield ipaddress.IPv4Address(value >> 80 & 0xFFFFFFFF)


def mapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv4-mapped IPv6 address stands for, else the address without its zone."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.scope_id is not None:
            return ipaddress.IPv6Address(int(address))
    return address
