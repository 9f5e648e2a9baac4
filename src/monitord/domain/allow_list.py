"""Networks that calls may come from."""

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def holds(networks: Iterable[Network], address: str) -> bool:
    """Return whether one of the networks has an address; text that is no address is in none."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return any(ip in network for network in networks)


def is_within(inner: Network, outer: Iterable[Network]) -> bool:
    """Return whether all of a network is in one of some others."""
    return any(
        inner.version == each.version and inner.subnet_of(each)  # type: ignore[arg-type]  # of the same version
        for each in outer
    )
