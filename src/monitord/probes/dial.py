"""The one guarded dialler: resolve, judge every address, connect to exactly those (T1, T2).

Every outbound connection to a target passes here, redirects included. The address that was judged is the address that
is dialled: nothing resolves a name a second time.
"""

import time
from collections.abc import Callable
from itertools import zip_longest
from typing import Protocol

import msgspec

from monitord.domain.check import Category, Verdict
from monitord.domain.connection import AddressFamily
from monitord.probes.address_space import Address
from monitord.probes.connect import Attempt, Greeting, open_connection, open_datagram, open_echo, race
from monitord.probes.deadline import Deadline
from monitord.probes.failure import Failure
from monitord.probes.resolver import Resolver


class Policy(Protocol):
    """Decides which addresses may be dialled."""

    def check(self, ip: str | Address, port: int) -> str | None:
        """Return why an address must not be dialled, or None."""


class Peer(Protocol):
    """What is dialled: a ``domain.target.Target``, or an ``Endpoint``."""

    @property
    def host(self) -> str:
        """A name in ASCII, or an address in its canonical form."""

    @property
    def port(self) -> int:
        """1 to 65535."""

    @property
    def literal(self) -> Address | None:
        """The address, where there is one in place of a name."""

    @property
    def authority(self) -> str:
        """Host and port as people write them."""


class Dialled(msgspec.Struct):
    """One attempt to reach a target: what was found on the way, and the connection if it succeeded."""

    began_at: float
    """Of ``time.monotonic``."""
    attempt: Attempt | None = None
    failure: Failure | None = None
    ip: str | None = None
    """The address connected to, or the last one tried."""
    resolved: tuple[str, ...] = ()
    dns_ms: float | None = None
    """None for a literal address: nothing was looked up."""
    connect_ms: float | None = None


def _silent() -> bytes:
    return b""


class Dialler:
    """Connects to targets, through the policy on addresses."""

    def __init__(self, policy: Policy, resolver: Resolver) -> None:
        self._policy = policy
        self._resolver = resolver

    async def dial(
        self,
        target: Peer,
        family: AddressFamily,
        deadline: Deadline,
        greeting: Greeting = _silent,
        resolver: Resolver | None = None,
    ) -> Dialled:
        """Connect freshly to a target. The caller closes the socket.

        Args:
            target: where to.
            family: which addresses of it may be used.
            deadline: when to give up.
            greeting: makes what the caller will send first. It is sent right away where that is possible, and
                ``Attempt.sent`` tells how much of it.
            resolver: who resolves the name in place of the system.
        """
        dialled = await self.find(target, family, deadline, resolver)
        if dialled.failure is None:
            addresses = dialled.resolved or (target.host,)
            await self._connect(dialled, addresses, target.port, deadline, greeting)
        return dialled

    async def attach(
        self, target: Peer, family: AddressFamily, deadline: Deadline, resolver: Resolver | None = None
    ) -> Dialled:
        """Open a UDP socket towards the first address of a target. The caller closes it. See ``dial``."""
        return await self._open_first(target, family, deadline, resolver, lambda ip: open_datagram(ip, target.port))

    async def echo(
        self, target: Peer, family: AddressFamily, deadline: Deadline, resolver: Resolver | None = None
    ) -> Dialled:
        """Open a socket for echo requests to the first address of a target, whose port is 0. See ``attach``."""
        return await self._open_first(target, family, deadline, resolver, open_echo)

    async def _open_first(
        self,
        target: Peer,
        family: AddressFamily,
        deadline: Deadline,
        resolver: Resolver | None,
        open_: Callable[[str], Attempt | Failure],
    ) -> Dialled:
        dialled = await self.find(target, family, deadline, resolver)
        if dialled.failure is not None:
            return dialled
        dialled.ip = (dialled.resolved or (target.host,))[0]
        attempt = open_(dialled.ip)
        if isinstance(attempt, Failure):
            dialled.failure = attempt
        else:
            dialled.attempt, dialled.connect_ms = attempt, 0.0
        return dialled

    async def find(
        self, target: Peer, family: AddressFamily, deadline: Deadline, resolver: Resolver | None = None
    ) -> Dialled:
        """Resolve a target and judge every address; connect to none. See ``dial``."""
        dialled = Dialled(time.monotonic())
        if target.literal is not None:
            addresses: tuple[str, ...] = (target.host,)
            if family != AddressFamily.ANY:
                dialled.failure = _wrong_family(target, target.literal, family)
        else:
            answer = await (resolver or self._resolver).resolve(target.host, family, deadline)
            dialled.dns_ms = (time.monotonic() - dialled.began_at) * 1000
            if isinstance(answer, Failure):
                dialled.failure = answer
                return dialled
            dialled.resolved = addresses = answer
        if dialled.failure is None:
            dialled.failure = self._refusal(target, addresses)
        return dialled

    async def again(self, target: Peer, dialled: Dialled, deadline: Deadline, greeting: Greeting) -> Dialled:
        """Connect once more to the very address that a former attempt was connected to."""
        assert dialled.ip is not None
        repeated = Dialled(dialled.began_at, resolved=dialled.resolved, dns_ms=dialled.dns_ms)
        await self._connect(repeated, (dialled.ip,), target.port, deadline, greeting)
        return repeated

    def _refusal(self, target: Peer, addresses: tuple[str, ...]) -> Failure | None:
        # One forbidden address condemns the whole answer: servers rotate the order of their answers, and a verdict that
        # depends on it would flap, or let an attacker choose (T2).
        for ip in addresses:
            reason = self._policy.check(ip, target.port)
            if reason is not None:
                which = ip if target.literal is not None else f"{target.host} ({ip})"
                return Failure(Category.POLICY_BLOCKED, f"{which} was not dialled: {reason}.", Verdict.BLOCKED)
        return None

    async def _connect(
        self, dialled: Dialled, addresses: tuple[str, ...], port: int, deadline: Deadline, greeting: Greeting
    ) -> None:
        began_at = time.monotonic()
        alone = len(addresses) == 1
        ordered = addresses if alone else _interleaved(addresses)
        # With several addresses the greeting waits until one has won.
        attempt = open_connection(ordered[0], port, greeting if alone else None)
        dialled.ip = ordered[0]
        if isinstance(attempt, Failure) or attempt.connected_at is None:
            attempt, dialled.ip = await race(attempt, ordered, port, deadline)
        if isinstance(attempt, Failure):
            dialled.failure = attempt
            dialled.connect_ms = (time.monotonic() - began_at) * 1000
        else:
            dialled.attempt = attempt
            dialled.connect_ms = ((attempt.connected_at or began_at) - began_at) * 1000


def _wrong_family(target: Peer, literal: Address, family: AddressFamily) -> Failure | None:
    version = 6 if family == AddressFamily.IPV6 else 4
    if literal.version == version:
        return None
    return Failure(
        Category.DNS_NO_ADDRESS, f"{target.host} is not an IPv{version} address, the only kind this monitor may use."
    )


def _interleaved(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Alternate the families, beginning with that of the first address (RFC 8305, 4)."""
    six = [ip for ip in addresses if ":" in ip]
    four = [ip for ip in addresses if ":" not in ip]
    first, second = (six, four) if ":" in addresses[0] else (four, six)
    return tuple(ip for pair in zip_longest(first, second) for ip in pair if ip is not None)
