"""TCP checks over TLS from the first byte: right and wrong certificates, servers that fail, clients that must prove
themselves."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import Security, TlsSettings
from monitord.domain.kinds.tcp import TcpCheck
from monitord.domain.secrets import Secret
from monitord.probes.channel import MAX_HANDSHAKE_BYTES
from monitord.probes.service import ServiceChecks
from monitord.probes.tcp import TcpProber
from tests.integration.probes.conftest import ScriptedResolver, make_services
from tests.support.authority import Authority
from tests.support.targets import Peer, Script, saying, serve

GOOD = saying(b"hello", then="silence")


@pytest.fixture
def prober(services: ServiceChecks) -> TcpProber:
    return TcpProber(services)


async def probe(
    prober: TcpProber, port: int, timeout_s: float = 2.0, *, host: str = "localhost", **fields: object
) -> Observation:
    check = TcpCheck(host=host, port=port, security=Security.TLS, **fields)  # type: ignore[arg-type]
    return await prober(check, timeout_s, trace=True)


async def test_a_right_certificate(prober: TcpProber, authority: Authority) -> None:
    async with serve(GOOD, tls=authority.server("localhost", "127.0.0.1", by_intermediate=True)) as server:
        for host in ("localhost", "127.0.0.1"):
            seen = await probe(prober, server.port, host=host, expect="hello")
            assert (seen.verdict, seen.ssl_ok, seen.content_ok) == (Verdict.UP, True, True), seen
            assert seen.phases.tls is not None
            assert seen.certificate_expires_at is not None
            assert seen.measurements == {"tls.version": 1.3}
            assert seen.bytes_received == 5


async def test_ipv6(prober: TcpProber, authority: Authority) -> None:
    async with serve(GOOD, tls=authority.server("::1"), host="::1") as server:
        seen = await probe(prober, server.port, host="::1", expect="hello")
    assert (seen.verdict, seen.ssl_ok) == (Verdict.UP, True), seen


CERTIFICATES: dict[str, tuple[Callable[[Authority], ssl.SSLContext], Category]] = {
    "expired": (lambda ca: ca.server("localhost", days=(-10, -1)), Category.TLS_EXPIRED),
    "an intermediate has expired": (
        lambda ca: ca.server("localhost", issuer=ca.intermediate(days=(-10, -2))),
        Category.TLS_EXPIRED,
    ),
    "not yet valid": (lambda ca: ca.server("localhost", days=(1, 10)), Category.TLS_NOT_YET_VALID),
    "self-signed": (lambda ca: ca.server("localhost", self_signed=True), Category.TLS_SELF_SIGNED),
    "wrong host": (lambda ca: ca.server("example.com"), Category.TLS_HOSTNAME),
    "a common name alone": (lambda ca: ca.server(common_name="localhost"), Category.TLS_HOSTNAME),
    "missing intermediate": (
        lambda ca: ca.server("localhost", by_intermediate=True, send_chain=False),
        Category.TLS_UNTRUSTED,
    ),
}


@pytest.mark.parametrize("case", CERTIFICATES)
async def test_a_wrong_certificate(prober: TcpProber, authority: Authority, case: str) -> None:
    make, category = CERTIFICATES[case]
    async with serve(GOOD, tls=make(authority)) as server:
        seen = await probe(prober, server.port, expect="hello")
        assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, category, False), seen
        assert seen.evidence is not None
        assert seen.evidence.certificates
        assert seen.certificate_expires_at == seen.evidence.certificates[0].not_after
        anyway = await probe(prober, server.port, expect="hello", verify_tls=False)
    assert (anyway.verdict, anyway.ssl_ok) == (Verdict.UP, True), anyway
    assert anyway.certificate_expires_at == seen.certificate_expires_at


async def test_the_certificate_that_has_expired_is_the_one_told_of(prober: TcpProber, authority: Authority) -> None:
    issuer = authority.intermediate(days=(-10, -2))
    async with serve(GOOD, tls=authority.server("localhost", issuer=issuer)) as server:
        seen = await probe(prober, server.port)
    ended = issuer.certificate.not_valid_after_utc
    assert f"the one of {issuer.name.rfc4514_string()} has expired on {ended:%Y-%m-%d}" in seen.message
    async with serve(GOOD, tls=authority.server("localhost", days=(-10, -1))) as server:
        seen = await probe(prober, server.port)
    assert seen.message.startswith("The certificate of localhost has expired on ")


BROKEN: dict[str, tuple[Script, Category]] = {
    "plain": (saying(b"220 mail.example ESMTP\r\n", then="silence"), Category.TLS_NOT_TLS),
    "silence": (saying(then="silence"), Category.TLS_TIMEOUT),
    "stops in the middle": (saying(b"\x16\x03\x03\x40\x00\x02", then="silence"), Category.TLS_TIMEOUT),
    "hangs up": (saying(), Category.TLS_PROTOCOL),
    "resets": (saying(then="reset"), Category.CONNECT_RESET),
    "an alert": (saying(b"\x15\x03\x03\x00\x02\x02\x28"), Category.TLS_ALERT),
    "says goodbye": (saying(b"\x15\x03\x03\x00\x02\x01\x00"), Category.TLS_PROTOCOL),
    "another version": (saying(b"\x15\x03\x03\x00\x02\x02\x46"), Category.TLS_PROTOCOL),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_handshake_that_fails(prober: TcpProber, case: str) -> None:
    script, category = BROKEN[case]

    async def after_hello(peer: Peer) -> None:
        await peer.reader.read(4096)
        await script(peer)

    async with serve(after_hello) as server:
        seen = await probe(prober, server.port, timeout_s=0.3)
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, category, False), seen
    assert seen.phases.tls is not None
    assert seen.message.endswith(".")
    assert "http" not in seen.message, "nobody entered a URL"
    assert ": ." not in seen.message


async def test_an_endless_handshake(prober: TcpProber) -> None:
    """A flight that never ends: a Certificate message of 16 MiB in records of 16 KiB."""
    record = b"\x16\x03\x03\x40\x00" + b"\x0b\xff\xff\xff" + bytes(16_380)

    async def script(peer: Peer) -> None:
        for _ in range(10_000):
            await peer.send(record)

    async with serve(script) as server:
        seen = await probe(prober, server.port)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_PROTOCOL), seen
    assert MAX_HANDSHAKE_BYTES == 256 * 1024


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("expect", ["", "hello"])
async def test_a_client_certificate(
    prober: TcpProber, authority: Authority, tmp_path: Path, version: ssl.TLSVersion, expect: str
) -> None:
    context = authority.server("localhost")
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    stranger = Authority(tmp_path, "stranger").client("nobody")
    ours = authority.client("monitord")
    ca_pem = authority.ca_file.read_text()

    def shown(pair: tuple[str, str]) -> TlsSettings:
        return TlsSettings(client_certificate_pem=pair[0], client_key_pem=Secret(pair[1]), ca_pem=ca_pem)

    async with serve(GOOD, tls=context) as server:
        none = await probe(prober, server.port, expect=expect)
        wrong = await probe(prober, server.port, expect=expect, tls=shown(stranger))
        right = await probe(prober, server.port, expect=expect, tls=shown(ours))
    assert (none.verdict, none.category, none.ssl_ok) == (Verdict.DOWN, Category.TLS_CLIENT_CERT, False), none
    assert "none is set" in none.message
    assert (wrong.verdict, wrong.category) == (Verdict.DOWN, Category.TLS_CLIENT_CERT), wrong
    assert "does not accept the monitor's client certificate" in wrong.message
    assert (right.verdict, right.ssl_ok) == (Verdict.UP, True), right


async def test_a_server_that_only_asks_for_a_certificate_and_stays_silent_is_up(
    prober: TcpProber, authority: Authority
) -> None:
    context = authority.server("localhost")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(authority.ca_file)
    context.num_tickets = 0
    async with serve(saying(then="silence"), tls=context) as server:
        seen = await probe(prober, server.port)
    assert (seen.verdict, seen.ssl_ok) == (Verdict.UP, True), seen
    assert seen.phases.tls is not None
    assert 950 < seen.phases.tls < 1_500, "it had its time to refuse"


async def test_ones_own_authority_is_trusted_in_place_of_the_systems(
    prober: TcpProber, authority: Authority, tmp_path: Path
) -> None:
    own = Authority(tmp_path, "own")
    settings = TlsSettings(ca_pem="Our authority, für uns:\n" + own.ca_file.read_text())
    async with serve(GOOD, tls=own.server("localhost")) as server:
        assert (await probe(prober, server.port, tls=settings)).verdict is Verdict.UP
        assert (await probe(prober, server.port)).category is Category.TLS_UNTRUSTED
    async with serve(GOOD, tls=authority.server("localhost")) as server:
        assert (await probe(prober, server.port, tls=settings)).category is Category.TLS_UNTRUSTED


async def test_another_name_is_asked_for_and_verified(authority: Authority, tls: object) -> None:
    prober = TcpProber(make_services(tls, ScriptedResolver(("127.0.0.1",))))  # type: ignore[arg-type]
    asked: list[str | None] = []
    context = authority.server("xn--bcher-kva.example")
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with serve(GOOD, tls=context) as server:
        right = await probe(prober, server.port, host="db.internal", tls=TlsSettings(server_name="Bücher.example"))
        wrong = await probe(prober, server.port, host="db.internal", tls=TlsSettings(server_name="other.example"))
        plain = await probe(prober, server.port, host="db.internal")
        nonsense = await probe(prober, server.port, host="db.internal", tls=TlsSettings(server_name="a b"))
    assert right.verdict is Verdict.UP, right
    assert (wrong.category, "not for other.example but" in wrong.message) == (Category.TLS_HOSTNAME, True)
    assert (plain.category, "not for db.internal but" in plain.message) == (Category.TLS_HOSTNAME, True)
    assert asked == ["xn--bcher-kva.example", "other.example", "db.internal"]
    assert (nonsense.verdict, nonsense.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_INTERNAL)


async def test_a_certificate_that_expires_soon_is_degraded(prober: TcpProber, authority: Authority) -> None:
    async with serve(GOOD, tls=authority.server("localhost", days=(-1, 5))) as server:
        soon = await probe(prober, server.port, min_certificate_days=14)
        fine = await probe(prober, server.port, min_certificate_days=4)
        indifferent = await probe(prober, server.port)
    assert (soon.verdict, soon.category, soon.ssl_ok) == (Verdict.DEGRADED, Category.TLS_EXPIRING, True)
    assert "4 days; 14 are asked for" in soon.message
    assert (fine.verdict, indifferent.verdict) == (Verdict.UP, Verdict.UP)


async def test_hanging_up_after_the_handshake(prober: TcpProber, authority: Authority) -> None:
    async with serve(saying(), tls=authority.server("localhost")) as server:
        seen = await probe(prober, server.port, expect="hello")
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, Category.PROTOCOL_CLOSED, True), seen


async def test_silence_after_the_handshake(prober: TcpProber, authority: Authority) -> None:
    async with serve(saying(then="silence"), tls=authority.server("localhost")) as server:
        seen = await probe(prober, server.port, timeout_s=0.3, expect="hello")
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, Category.TIMEOUT_TTFB, True), seen
