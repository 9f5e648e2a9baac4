"""The DNS check against a real server of a zone, and against servers that misbehave on the wire."""

import asyncio
import dataclasses
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.kinds.dns import DnsCheck, DnsMatch, DnsTransport
from monitord.domain.kinds.dns import DnsRecordType as Type
from monitord.probes.dial import Dialler
from monitord.probes.dns import DnsProber
from monitord.probes.dns_client import MAX_STRAYS, DnsClient
from monitord.probes.dns_message import GarbledError, Question, read, records_of
from monitord.probes.dns_system import SystemServers
from monitord.probes.egress import EgressPolicy
from monitord.probes.resolver import SystemResolver
from monitord.probes.tls import Tls
from tests.fuzz.mutation import mutated, rounds
from tests.support.authority import Authority
from tests.support.dns_server import DnsServer, Packets, Zone, serve_dns
from tests.support.targets import Peer, serve, unused_port

ZONE: Zone = {
    ("example.com.", "A"): ["192.0.2.1", "192.0.2.2"],
    ("example.com.", "AAAA"): ["2001:db8::1"],
    ("example.com.", "MX"): ["10 Mail.example.com.", "20 backup.example.com."],
    ("example.com.", "NS"): ["ns1.example.com."],
    ("example.com.", "TXT"): ['"v=spf1 " "-all"', '"binary \\000\\255"'],
    ("example.com.", "SOA"): ["ns1.example.com. admin.example.com. 2026010101 7200 3600 1209600 300"],
    ("example.com.", "CAA"): ['0 issue "ca.example.net"'],
    ("_sip._tcp.example.com.", "SRV"): ["10 5 5060 sip.example.com."],
    ("1.2.0.192.in-addr.arpa.", "PTR"): ["host.example.com."],
    ("www.example.com.", "CNAME"): ["Example.com."],
    ("loop1.example.com.", "CNAME"): ["loop2.example.com."],
    ("loop2.example.com.", "CNAME"): ["loop1.example.com."],
    ("xn--bcher-kva.example.", "A"): ["192.0.2.9"],
}


def make(tls: Tls, resolv_conf: Path = Path("/nonexistent"), policy: EgressPolicy | None = None) -> DnsProber:
    client = DnsClient(Dialler(policy or EgressPolicy("private"), SystemResolver(2)), tls)
    return DnsProber(client, SystemServers(resolv_conf))


@pytest.fixture
def prober(tls: Tls) -> DnsProber:
    return make(tls)


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    async with serve_dns(DnsServer(ZONE)) as running:
        yield running


async def ask(
    prober: DnsProber, server: DnsServer, name: str = "example.com", timeout_s: float = 2.0, **fields: object
) -> Observation:
    check = DnsCheck(name=name, server=f"127.0.0.1:{server.port}", **fields)  # type: ignore[arg-type]
    return await prober(check, timeout_s, trace=True)


@pytest.mark.parametrize(
    ("name", "record_type", "expected"),
    [
        ("example.com", Type.A, ("192.0.2.2", "192.0.2.1")),
        ("EXAMPLE.com.", Type.AAAA, ("2001:DB8:0::1",)),
        ("example.com", Type.MX, ("10 mail.EXAMPLE.com", "20 backup.example.com.")),
        ("example.com", Type.NS, ("NS1.example.com",)),
        ("example.com", Type.TXT, ("v=spf1 -all", '"binary \\000\\255"')),
        ("example.com", Type.SOA, ("ns1.example.com admin.example.com 2026010101 7200 3600 1209600 300",)),
        ("example.com", Type.CAA, ('0 issue "ca.example.net"',)),
        ("_sip._tcp.example.com", Type.SRV, ("10 5 5060 SIP.example.com",)),
        ("192.0.2.1", Type.PTR, ("host.example.com",)),
        ("1.2.0.192.in-addr.arpa", Type.PTR, ("host.example.com",)),
        ("www.example.com", Type.A, ("192.0.2.1", "192.0.2.2")),
        ("www.example.com", Type.CNAME, ("example.com",)),
        ("bücher.example", Type.A, ("192.0.2.9",)),
    ],
)
@pytest.mark.parametrize("transport", [DnsTransport.UDP, DnsTransport.TCP])
async def test_records_of_every_type_are_compared_as_what_they_mean(
    prober: DnsProber,
    server: DnsServer,
    name: str,
    record_type: Type,
    expected: tuple[str, ...],
    transport: DnsTransport,
) -> None:
    seen = await ask(
        prober,
        server,
        name,
        record_type=record_type,
        expected_answers=expected,
        match=DnsMatch.EXACT,
        transport=transport,
    )
    assert (seen.verdict, seen.category, seen.content_ok) == (Verdict.UP, None, True), seen.message
    assert seen.measurements is not None
    assert seen.measurements["dns.answers"] >= 1
    assert seen.evidence is not None
    assert seen.evidence.header_lines


@pytest.mark.parametrize(
    ("match", "expected", "is_right"),
    [
        (DnsMatch.ANY, ("192.0.2.1", "192.0.2.99"), True),
        (DnsMatch.ANY, ("192.0.2.98", "192.0.2.99"), False),
        (DnsMatch.ALL, ("192.0.2.1",), True),
        (DnsMatch.ALL, ("192.0.2.1", "192.0.2.99"), False),
        (DnsMatch.EXACT, ("192.0.2.1",), False),
        (DnsMatch.EXACT, ("192.0.2.2", "192.0.2.1"), True),
    ],
)
async def test_any_all_or_exactly(
    prober: DnsProber, server: DnsServer, match: DnsMatch, expected: tuple[str, ...], is_right: bool
) -> None:
    seen = await ask(prober, server, match=match, expected_answers=expected)
    assert (seen.verdict is Verdict.UP) is is_right
    if not is_right:
        assert seen.category is Category.DNS_MISMATCH
        assert "192.0.2.1, 192.0.2.2" in seen.message


async def test_response_codes(prober: DnsProber, server: DnsServer) -> None:
    """Cases 1 and 2."""
    server.rcodes = {"fail.example.com.": "SERVFAIL", "no.example.com.": "REFUSED"}
    for name, category, word in (
        ("gone.example.com", Category.DNS_NXDOMAIN, "NXDOMAIN"),
        ("fail.example.com", Category.DNS_SERVFAIL, "SERVFAIL"),
        ("no.example.com", Category.DNS_SERVFAIL, "REFUSED"),
    ):
        seen = await ask(prober, server, name)
        assert (seen.verdict, seen.category) == (Verdict.DOWN, category)
        assert word in seen.message
    assert (await ask(prober, server, "gone.example.com", accepted_rcodes=("NXDOMAIN",))).verdict is Verdict.UP
    assert (await ask(prober, server, accepted_rcodes=("NXDOMAIN",))).verdict is Verdict.DOWN
    loop = await ask(prober, server, "loop1.example.com")
    assert (loop.verdict, loop.category) == (Verdict.DOWN, Category.DNS_SERVFAIL)
    none = await ask(prober, server, "_sip._tcp.example.com")
    assert (none.verdict, none.category) == (Verdict.DOWN, Category.DNS_NO_ADDRESS)


async def test_recursion_and_authentication_are_asked_for_as_the_check_says(prober: DnsProber) -> None:
    async with serve_dns(DnsServer(ZONE)) as plain:
        seen = await ask(prober, plain, require_authenticated_data=True)
        assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.DNS_MISMATCH)
        assert "not authenticated" in seen.message
        await ask(prober, plain, no_recursion=True)
    assert plain.questions[0].flags & dns.flags.AD
    assert plain.questions[0].ednsflags & dns.flags.DO
    assert plain.questions[0].flags & dns.flags.RD
    assert not plain.questions[1].flags & dns.flags.RD
    async with serve_dns(DnsServer(ZONE, flags=dns.flags.AD)) as validating:
        seen = await ask(prober, validating, require_authenticated_data=True)
    assert seen.verdict is Verdict.UP
    assert seen.measurements is not None
    assert seen.measurements["dns.authenticated"] == 1


async def test_over_tls(prober: DnsProber, authority: Authority) -> None:
    async with serve_dns(DnsServer(ZONE), tls=authority.server("127.0.0.1")) as server:
        seen = await ask(prober, server, transport=DnsTransport.TLS)
    assert (seen.verdict, seen.ssl_ok) == (Verdict.UP, True)
    assert seen.certificate_expires_at is not None
    async with serve_dns(DnsServer(ZONE), tls=authority.server("elsewhere.test")) as server:
        seen = await ask(prober, server, transport=DnsTransport.TLS)
        assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_HOSTNAME)
        assert (await ask(prober, server, transport=DnsTransport.TLS, verify_tls=False)).verdict is Verdict.UP


async def test_what_does_not_fit_into_a_packet_is_asked_for_again_over_tcp(prober: DnsProber) -> None:
    zone: Zone = {("example.com.", "A"): [f"192.0.{i // 250}.{i % 250 + 1}" for i in range(700)]}

    def cut(wire: bytes, answer: dns.message.Message) -> list[bytes]:
        if server.tcp_questions:
            return [answer.to_wire(max_size=65535)]
        answer.answer.clear()
        answer.flags |= dns.flags.TC
        return [answer.to_wire()]

    server = DnsServer(zone, cut)
    async with serve_dns(server):
        seen = await ask(prober, server)
    assert seen.verdict is Verdict.UP
    assert seen.measurements is not None
    assert seen.measurements["dns.answers"] == 700


async def test_silence_and_refusal(prober: DnsProber) -> None:
    """Case 3."""
    silent = DnsServer(ZONE, lambda wire, answer: [])
    async with serve_dns(silent):
        began = time.monotonic()
        seen = await ask(prober, silent, timeout_s=0.3)
        assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.DNS_TIMEOUT)
        assert time.monotonic() - began < 0.3 + 0.5
    gone = dataclasses.make_dataclass("Gone", ["port"])(unused_port())
    seen = await ask(prober, gone)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.CONNECT_REFUSED)


async def test_a_lost_packet_is_sent_again(prober: DnsProber) -> None:
    def lossy(wire: bytes, answer: dns.message.Message) -> list[bytes]:
        return [answer.to_wire()] if len(server.questions) > 1 else []

    server = DnsServer(ZONE, lossy)
    async with serve_dns(server):
        assert (await ask(prober, server, timeout_s=5)).verdict is Verdict.UP
    assert len(server.questions) == 2


async def test_the_systems_own_server_is_our_own_fault(tls: Tls, tmp_path: Path) -> None:
    """(I9)"""
    file = tmp_path / "resolv.conf"
    prober = make(tls, file)
    seen = await prober(DnsCheck(name="example.com"), 1.0)
    assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_UNSUPPORTED)
    file.write_text("# none\nsearch example.com\nnameserver fe80::1%eth0\nnameserver 127.0.0.1\nnameserver 127.0.0.2\n")
    assert SystemServers(file).first() == "127.0.0.1"
    seen = await prober(DnsCheck(name="example.com"), 1.0)
    assert seen.verdict in (Verdict.INCONCLUSIVE, Verdict.DOWN, Verdict.UP)
    if seen.verdict is not Verdict.UP:  # where nothing listens on this machine's port 53
        assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_NETWORK_DOWN)


@pytest.mark.parametrize("transport", DnsTransport)
async def test_a_forbidden_server_is_not_asked(tls: Tls, transport: DnsTransport) -> None:
    """(T1)"""
    async with serve_dns(DnsServer(ZONE)) as server:
        prober = make(tls, policy=EgressPolicy("private", deny=["127.0.0.0/8"]))
        seen = await ask(prober, server, transport=transport)
    assert (seen.verdict, seen.category) == (Verdict.BLOCKED, Category.POLICY_BLOCKED)
    assert server.questions == []


def with_other(change: dict[str, object]) -> Packets:
    """Before the right answer, one that is changed."""

    def packets(wire: bytes, answer: dns.message.Message) -> list[bytes]:
        forged = dns.message.from_wire(answer.to_wire())
        forged.answer = [
            dns.rrset.from_text(answer.question[0].name, 60, dns.rdataclass.IN, dns.rdatatype.A, "198.51.100.66")
        ]
        for field, value in change.items():
            setattr(forged, field, value)
        return [forged.to_wire(), answer.to_wire()]

    return packets


@pytest.mark.parametrize(
    "change",
    [
        {"id": 1},
        {"flags": 0},
        {"question": [dns.rrset.RRset(dns.name.from_text("other.example"), dns.rdataclass.IN, dns.rdatatype.A)]},
        {"question": [dns.rrset.RRset(dns.name.from_text("example.com"), dns.rdataclass.IN, dns.rdatatype.MX)]},
        {"question": []},
    ],
    ids=str,
)
async def test_an_answer_to_another_question_is_not_believed(prober: DnsProber, change: dict[str, object]) -> None:
    server = DnsServer(ZONE, with_other(change))
    async with serve_dns(server):
        seen = await ask(prober, server, expected_answers=("192.0.2.1", "192.0.2.2"), match=DnsMatch.EXACT)
    assert seen.verdict is Verdict.UP, seen.message


async def test_who_guesses_for_long_is_not_listened_to(prober: DnsProber) -> None:
    def flood(wire: bytes, answer: dns.message.Message) -> list[bytes]:
        right = answer.to_wire()
        wrong = (int.from_bytes(right[:2], "big") ^ 1).to_bytes(2, "big") + right[2:]
        return [wrong] * (MAX_STRAYS + 1) + [right]

    server = DnsServer(ZONE, flood)
    async with serve_dns(server):
        seen = await ask(prober, server)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.PROTOCOL_INVALID)


def _resized(size: int) -> Packets:
    return lambda wire, answer: [(wire[:2] + b"\x81\x80" + bytes(size))[:size]]


GARBAGE: dict[str, Packets] = {
    "a loop of pointers": lambda wire, answer: [
        wire[:2] + bytes.fromhex("81800001000100000000") + b"\xc0\x0c\x00\x01\x00\x01" * 4
    ],
    "cut off": lambda wire, answer: [answer.to_wire()[:-5]],
    "a header alone": _resized(12),
    "zeros": _resized(500),
    "counts without records": lambda wire, answer: [wire[:2] + b"\x81\x80" + b"\xff" * 8 + wire[12:]],
    "an SSH banner": lambda wire, answer: [b"SSH-2.0-OpenSSH_9.9\r\n"],
}


@pytest.mark.parametrize("packets", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("transport", [DnsTransport.UDP, DnsTransport.TCP])
async def test_garbage_is_told_as_such(prober: DnsProber, packets: Packets, transport: DnsTransport) -> None:
    server = DnsServer(ZONE, packets)
    async with serve_dns(server):
        seen = await ask(prober, server, timeout_s=0.4, transport=transport)
    assert seen.verdict is Verdict.DOWN
    assert seen.category in (Category.PROTOCOL_INVALID, Category.DNS_NO_ADDRESS), seen.message
    assert "\r" not in seen.message


@pytest.mark.parametrize(
    ("parts", "category"),
    [
        ((b"",), Category.PROTOCOL_CLOSED),
        ((b"\x00\x20" + b"x" * 10,), Category.PROTOCOL_CLOSED),
        ((b"\xff\xff" + b"x" * 100_000,), Category.BODY_TOO_LARGE),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), Category.BODY_TOO_LARGE),
    ],
)
async def test_streams_that_are_none(prober: DnsProber, parts: tuple[bytes, ...], category: Category) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readexactly(2)
        for part in parts:
            await peer.send(part)

    async with serve(script) as target:
        check = DnsCheck(name="example.com", server=f"127.0.0.1:{target.port}", transport=DnsTransport.TCP)
        seen = await prober(check, 1.0)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, category)


async def test_a_stream_that_drips_ends_in_time(prober: DnsProber) -> None:
    async def drip(peer: Peer) -> None:
        await peer.send(b"\x02\x00")
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.02)

    async with serve(drip) as target:
        check = DnsCheck(name="example.com", server=f"127.0.0.1:{target.port}", transport=DnsTransport.TCP)
        seen = await prober(check, 0.3)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TIMEOUT_TOTAL)


async def test_thousands_of_records_are_bounded(prober: DnsProber) -> None:
    zone: Zone = {("example.com.", "TXT"): [f'"{i} \\027[31m"' for i in range(900)]}
    async with serve_dns(DnsServer(zone)) as server:
        tracemalloc.start()
        try:
            seen = await ask(prober, server, record_type=Type.TXT, transport=DnsTransport.TCP, expected_answers=("x",))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 8 << 20
    assert seen.evidence is None or len(seen.evidence.header_lines) <= 40
    assert "\x1b" not in repr(seen.evidence)


def test_no_bytes_break_the_reader_of_answers() -> None:
    server = DnsServer(ZONE)
    for label, chance in rounds("dns", 5_000):
        name, kind = chance.choice(list(ZONE))
        question = Question(dns.name.from_text(name), int(dns.rdatatype.from_text(kind)))
        message_id, wire = question.wire()
        answer = server.answer(dns.message.from_wire(wire)).to_wire(max_size=65535)
        spoilt = answer[:2] + mutated(answer, chance, [b"\xc0\x0c", b"\xc0\x00", b"\x00\x29"])[2:]
        try:
            message = read(spoilt, message_id, question)
            if message is not None:
                found = records_of(message, question)
                assert found is None or str(found)
        except GarbledError:
            continue
        except Exception as error:
            raise AssertionError(f"{label}: {spoilt.hex()}") from error
