"""Resolvers that monitors bring: the hostile list's first cases, with a server that answers as told."""

from collections.abc import Callable

import dns.message
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.kinds import HttpCheck, TcpCheck
from monitord.probes.assembly import Options, assemble
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.resolver import SystemResolver
from monitord.probes.table import Probes
from tests.support.dns_server import DnsServer, Zone, serve_dns
from tests.support.targets import OK, answering, serve, unused_port

ZONE: Zone = {
    ("here.test.", "A"): ["127.0.0.1"],
    ("alias.test.", "CNAME"): ["here.test."],
    ("loop.test.", "CNAME"): ["loop.test."],
    ("mail.test.", "MX"): ["10 here.test."],
    ("metadata.test.", "A"): ["169.254.169.254"],
    ("mixed.test.", "A"): ["127.0.0.1", "169.254.169.254"],
    ("six.test.", "AAAA"): ["::1"],
    ("dead.test.", "A"): ["127.0.0.77", "127.0.0.1"],
}

MakeProbes = Callable[..., Probes]


@pytest.fixture
def make() -> MakeProbes:
    def build(*deny: str) -> Probes:
        dialler = Dialler(EgressPolicy("private", deny=deny), SystemResolver(2))
        return assemble(dialler, Options(), now=lambda: 0)

    return build


async def check(probes: Probes, server: DnsServer, name: str, port: int, timeout_s: float = 2.0) -> Observation:
    resolver = f"127.0.0.1:{server.port}"
    seen = await probes(HttpCheck(url=f"http://{name}:{port}/", resolver=resolver), timeout_s)
    same = await probes(TcpCheck(host=name, port=port, resolver=resolver), timeout_s)
    assert (seen.verdict, seen.category) == (same.verdict, same.category), "what all kinds have in common"
    return seen


async def test_names_are_found_where_the_monitor_says(make: MakeProbes) -> None:
    async with serve_dns(DnsServer(ZONE)) as server, serve(answering(OK)) as target:
        for name in ("here.test", "alias.test"):
            seen = await check(make(), server, name, target.port)
            assert (seen.verdict, seen.dns_ok) == (Verdict.UP, True), seen.message
            assert seen.phases.dns is not None
    assert {q.question[0].rdtype for q in server.questions} == {dns.rdatatype.A, dns.rdatatype.AAAA}


@pytest.mark.parametrize(
    ("name", "rcode", "category"),
    [
        ("gone.test", None, Category.DNS_NXDOMAIN),
        ("mail.test", None, Category.DNS_NO_ADDRESS),
        ("loop.test", None, Category.DNS_SERVFAIL),
        ("here.test", "SERVFAIL", Category.DNS_SERVFAIL),
        ("here.test", "REFUSED", Category.DNS_SERVFAIL),
        ("metadata.test", None, Category.POLICY_BLOCKED),
        ("mixed.test", None, Category.POLICY_BLOCKED),
    ],
)
async def test_what_the_server_says_decides(make: MakeProbes, name: str, rcode: str | None, category: Category) -> None:
    """Cases 1, 2 and 4: one forbidden address condemns the whole answer."""
    server = DnsServer(ZONE)
    if rcode:
        server.rcodes[f"{name}."] = rcode
    async with serve_dns(server):
        seen = await check(make(), server, name, unused_port())
    assert seen.category is category, seen.message
    assert seen.verdict is (Verdict.BLOCKED if category is Category.POLICY_BLOCKED else Verdict.DOWN)
    assert name in seen.message


async def test_a_server_that_never_answers_is_a_timeout_of_the_names(make: MakeProbes) -> None:
    """Case 3."""
    server = DnsServer(ZONE, lambda wire, answer: [])
    async with serve_dns(server):
        seen = await check(make(), server, "here.test", 1, timeout_s=0.3)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.DNS_TIMEOUT)


async def test_the_server_itself_passes_the_policy(make: MakeProbes) -> None:
    """(T1)"""
    async with serve_dns(DnsServer(ZONE)) as server:
        seen = await check(make(f"127.0.0.1:{server.port}"), server, "here.test", 1)
    assert (seen.verdict, seen.category) == (Verdict.BLOCKED, Category.POLICY_BLOCKED)
    assert server.questions == []


async def test_answers_that_alternate_never_lead_to_the_forbidden_address(make: MakeProbes) -> None:
    """Case 5 (T2): TTL 0, and every second answer leads inside; a loopback address stands in for the inside."""
    asked = 0

    def alternating(wire: bytes, answer: dns.message.Message) -> list[bytes]:
        nonlocal asked
        name, kind = answer.question[0].name, answer.question[0].rdtype
        answer.answer.clear()
        if kind == dns.rdatatype.A:
            ip = "127.0.0.1" if asked % 2 == 0 else "127.0.0.66"
            answer.answer.append(dns.rrset.from_text(name, 0, dns.rdataclass.IN, kind, ip))
            asked += 1
        return [answer.to_wire()]

    server = DnsServer(ZONE, alternating)
    async with (
        serve_dns(server),
        serve(answering(OK)) as allowed,
        serve(answering(OK), host="127.0.0.66", port=allowed.port) as forbidden,
    ):
        probes = make("127.0.0.66/32")
        url = f"http://here.test:{allowed.port}/"
        resolver = f"127.0.0.1:{server.port}"
        verdicts = [(await probes(HttpCheck(url=url, resolver=resolver), 2.0)).verdict for _ in range(10)]
    assert verdicts == [Verdict.UP, Verdict.BLOCKED] * 5
    assert forbidden.connections == 0


async def test_the_first_address_dead_the_second_alive(make: MakeProbes) -> None:
    """Case 6."""
    async with serve_dns(DnsServer(ZONE)) as server, serve(answering(OK)) as target:
        seen = await check(make(), server, "dead.test", target.port)
    assert seen.verdict is Verdict.UP
    assert seen.address == f"127.0.0.1:{target.port}"


async def test_ipv6_too(make: MakeProbes) -> None:
    async with serve_dns(DnsServer(ZONE)) as server, serve(answering(OK), host="::1") as target:
        seen = await check(make(), server, "six.test", target.port)
    assert seen.verdict is Verdict.UP
    assert seen.address == f"[::1]:{target.port}"
