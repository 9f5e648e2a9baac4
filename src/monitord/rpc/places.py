"""Judges the places that stand in a request: a friendly error long before anything is dialled (T1)."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from monitord.domain.connection import Place
from monitord.domain.errors import Violation
from monitord.domain.target import InvalidTargetError, parse_endpoint


class EgressPolicy(Protocol):
    """Knows which addresses may be dialled."""

    def check(self, ip: IPv4Address | IPv6Address, port: int) -> str | None:
        """Return why an address must not be dialled, or None if it may."""
        ...


def refusals(places: Iterable[Place], prefix: str, policy: EgressPolicy) -> list[Violation]:
    """Return which addresses the policy forbids; names are judged when they are resolved."""
    refused = []
    for place in places:
        try:
            literal = parse_endpoint(place.host, max(place.port, 1)).literal
        except InvalidTargetError:
            continue  # the rules say what is wrong with it
        reason = None if literal is None else policy.check(literal, place.port)
        if reason is not None:
            refused.append(Violation(f"{prefix}{place.field}", reason))
    return refused
