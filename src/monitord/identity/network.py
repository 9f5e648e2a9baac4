"""What limits take for one caller where an address is all that is known of them."""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=1024)
def network_of(peer: str) -> str:
    """Return what one subscriber has: an IPv4 address, or the 64 bits of an IPv6 network; other text as it is."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
