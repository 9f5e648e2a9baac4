"""The ICMP check: real pings of this machine, and packets that a scripted network loses, delays and forges."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import AddressFamily
from monitord.domain.kinds import HttpCheck
from monitord.domain.kinds.icmp import IcmpCheck
from monitord.probes.assembly import Options, assemble
from monitord.probes.connect import Attempt, may_ping
from monitord.probes.dial import Dialled, Dialler
from monitord.probes.dns_client import DnsClient
from monitord.probes.dns_resolver import ServerResolvers
from monitord.probes.egress import EgressPolicy
from monitord.probes.icmp import IcmpProber
from monitord.probes.resolver import SystemResolver
from monitord.probes.table import Probes
from monitord.probes.tls import Tls
from tests.unit.probes.test_icmp_packets import replied

needs_rights = pytest.mark.skipif(not may_ping(), reason="this user may not send echo requests")


def make(tls: Tls, *deny: str) -> IcmpProber:
    dialler = Dialler(EgressPolicy("private", deny=deny, own_addresses=["127.0.0.1:5432"]), SystemResolver(2))
    return IcmpProber(dialler, ServerResolvers(DnsClient(dialler, tls)))


@needs_rights
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_this_machine_answers(tls: Tls, host: str) -> None:
    seen = await make(tls)(IcmpCheck(host=host, packet_interval_ms=10), 2.0, trace=True)
    assert (seen.verdict, seen.category) == (Verdict.UP, None), seen.message
    figures = seen.measurements
    assert figures is not None
    assert (figures["icmp.sent"], figures["icmp.received"], figures["icmp.loss_ratio"]) == (3, 3, 0)
    assert 0 < figures["icmp.rtt_min_ms"] <= figures["icmp.rtt_avg_ms"] <= figures["icmp.rtt_max_ms"]
    assert figures["icmp.hop_limit"] == 64
    assert seen.response_ms == seen.phases.ttfb == figures["icmp.rtt_avg_ms"]
    assert seen.address in ("127.0.0.1", "::1"), "without a port"


@needs_rights
@pytest.mark.parametrize("size", [0, 1, 8, 1400])
async def test_payloads_of_every_size(tls: Tls, size: int) -> None:
    seen = await make(tls)(IcmpCheck(host="127.0.0.1", count=1, payload_bytes=size), 2.0)
    assert seen.verdict is Verdict.UP


@needs_rights
async def test_many_at_once_keep_their_replies_apart(tls: Tls) -> None:
    prober = make(tls)
    check = IcmpCheck(host="127.0.0.1", count=2, packet_interval_ms=10)
    seen = await asyncio.gather(*(prober(check, 5.0) for _ in range(20)))
    assert {each.verdict for each in seen} == {Verdict.UP}
    assert all(each.measurements is not None and "icmp.duplicates" not in each.measurements for each in seen)


@pytest.mark.parametrize("deny", ["127.0.0.0/8", "127.0.0.1"])
async def test_the_policy_holds_for_pings_too(tls: Tls, deny: str) -> None:
    """(T1) A rule that names a port is none for what has no ports."""
    seen = await make(tls, deny)(IcmpCheck(host="127.0.0.1"), 1.0)
    assert (seen.verdict, seen.category) == (Verdict.BLOCKED, Category.POLICY_BLOCKED)
    if may_ping():
        assert (await make(tls, "127.0.0.1:80")(IcmpCheck(host="127.0.0.1", count=1), 1.0)).verdict is Verdict.UP


async def test_a_family_that_an_address_is_not_of(tls: Tls) -> None:
    seen = await make(tls)(IcmpCheck(host="127.0.0.1", address_family=AddressFamily.IPV6), 1.0)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.DNS_NO_ADDRESS)


async def test_without_rights_it_is_said_and_never_taken_for_an_outage(
    tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At creation, and if a monitor is there all the same: INCONCLUSIVE (I9)."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    prober = make(tls)
    monkeypatch.setattr(socket, "SocketType", refuse)
    seen = await prober(IcmpCheck(host="127.0.0.1"), 1.0)
    assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_UNSUPPORTED)
    dialler = Dialler(EgressPolicy("private"), SystemResolver(2))
    probes: Probes = assemble(dialler, Options(), now=lambda: 0)
    reason = probes.why_not(IcmpCheck(host="127.0.0.1"))
    assert reason is not None
    assert "CAP_NET_RAW" in reason
    assert probes.unsupported == {"icmp": reason}
    assert probes.why_not(HttpCheck(url="http://127.0.0.1/")) is None
    assert (await probes(IcmpCheck(host="127.0.0.1"), 1.0)).category is Category.ENGINE_UNSUPPORTED


# A network in a pair of sockets: what is sent into one end is seen at the other.

Network = Callable[[int, bytes], list[bytes]]
"""From the number of a request, from 0, and its right reply to the packets that come back."""


class _Through:
    """A dialler that leads to one socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def echo(self, *_: object) -> Dialled:
        return Dialled(0.0, attempt=Attempt(self._sock, "192.0.2.1"), ip="192.0.2.1")  # type: ignore[arg-type]


class _Nobody:
    def at(self, server: str) -> None:
        return None


@contextlib.asynccontextmanager
async def network(behave: Network) -> AsyncIterator[IcmpProber]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    theirs.setblocking(False)
    count = 0

    def carry() -> None:
        nonlocal count
        for packet in behave(count, replied(4, theirs.recv(4096))):
            with contextlib.suppress(BlockingIOError):
                theirs.send(packet)
        count += 1

    loop = asyncio.get_running_loop()
    loop.add_reader(theirs, carry)
    try:
        yield IcmpProber(_Through(ours), _Nobody())  # type: ignore[arg-type]
    finally:
        loop.remove_reader(theirs)
        theirs.close()
        ours.close()


async def ping(behave: Network, timeout_s: float = 0.3, **fields: object) -> Observation:
    check = IcmpCheck(**({"host": "192.0.2.1", "count": 4, "packet_interval_ms": 10} | fields))  # type: ignore[arg-type]
    async with network(behave) as prober:
        return await prober(check, timeout_s, trace=True)


async def test_loss_is_judged_as_the_check_says() -> None:
    def half(number: int, reply: bytes) -> list[bytes]:
        return [reply] if number % 2 else []

    seen = await ping(half)
    assert (seen.verdict, seen.category) == (Verdict.DEGRADED, Category.ICMP_LOSS)
    assert seen.message == "2 of 4 requests to 192.0.2.1 went unanswered."
    assert (await ping(half, degraded_loss_percent=50)).verdict is Verdict.UP
    assert (await ping(half, max_loss_percent=49)).verdict is Verdict.DOWN
    nothing = await ping(lambda number, reply: [])
    assert (nothing.verdict, nothing.category) == (Verdict.DOWN, Category.ICMP_LOSS)
    assert nothing.response_ms is None


async def test_replies_that_are_not_ours_are_not_believed() -> None:
    def forge(number: int, reply: bytes) -> list[bytes]:
        other_token = reply[:8] + bytes(8) + reply[16:]
        other_number = reply[:6] + (int.from_bytes(reply[6:8], "big") + 9).to_bytes(2, "big") + reply[8:]
        return [other_token, other_number, reply[:9], b"", b"\x45" * 30, b"\x08" + reply[1:]]

    seen = await ping(forge)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.ICMP_LOSS)


async def test_duplicates_are_counted_apart() -> None:
    seen = await ping(lambda number, reply: [reply] * 3)
    assert seen.verdict is Verdict.UP
    assert seen.measurements is not None
    assert seen.measurements["icmp.received"] == 4
    assert seen.measurements["icmp.duplicates"] >= 6


async def test_a_flood_of_strangers_is_our_own_trouble() -> None:
    """(I9)"""
    seen = await ping(lambda number, reply: [b"\0" * 40] * 300, timeout_s=5, count=20, packet_interval_ms=10)
    assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_OVERLOAD)


async def test_slow_is_degraded() -> None:
    late: list[bytes] = []

    def delayed(number: int, reply: bytes) -> list[bytes]:
        late.append(reply)
        return late if number == 3 else []

    seen = await ping(delayed, expected_latency_ms=2)
    assert (seen.verdict, seen.category) == (Verdict.DEGRADED, Category.ASSERT_LATENCY)


@needs_rights
async def test_a_check_that_is_cancelled_leaves_nothing_behind(tls: Tls) -> None:
    """(and the fixture of this folder counts the sockets)"""
    check = asyncio.create_task(make(tls)(IcmpCheck(host="127.0.0.1", count=20, packet_interval_ms=1000), 30.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check
