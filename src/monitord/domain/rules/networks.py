"""Lists of networks that calls may come from."""

import ipaddress
from collections.abc import Sequence

from monitord.domain.allow_list import Network
from monitord.domain.errors import Violation
from monitord.domain.rules.wording import quoted

MOST_NETWORKS = 100


def read_networks(texts: Sequence[str], field: str, found: list[Violation]) -> tuple[Network, ...]:
    """Return the networks of a list such as ``192.0.2.0/24``; tell ``found`` of what is none.

    An address alone is a network of one. One with bits beyond its prefix is refused: it would not be what was meant.
    """
    if len(texts) > MOST_NETWORKS:
        found.append(Violation(field, f"must be at most {MOST_NETWORKS}, not {len(texts)}"))
        return ()
    networks: dict[Network, None] = {}
    for index, text in enumerate(texts):
        try:
            networks[ipaddress.ip_network(text)] = None
        except ValueError:
            wish = "must be a network such as 192.0.2.0/24 or 2001:db8::/32, or an address"
            found.append(Violation(f"{field}[{index}]", f"{wish}, not {quoted(text)}"))
    return tuple(networks)
