"""The TLS check, with real handshakes: what a certificate, its chain and the version must be like."""

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import Security, TlsSettings
from monitord.domain.kinds.tls import TlsCheck, TlsVersion
from monitord.domain.secrets import Secret
from monitord.probes.service import ServiceChecks
from monitord.probes.tls import Tls
from monitord.probes.tls_check import TlsProber
from tests.integration.probes.conftest import ScriptedResolver, make_services
from tests.support.authority import Authority, certificate_in, server_context
from tests.support.targets import Peer, Script, black_hole, saying, serve, unused_port

SILENT = saying(then="silence")


def now() -> int:
    return time.time_ns() // 1000


@pytest.fixture
def prober(services: ServiceChecks) -> TlsProber:
    return TlsProber(services, now=now)


async def probe(
    prober: TlsProber, port: int, timeout_s: float = 2.0, *, trace: bool = True, **fields: object
) -> Observation:
    check = TlsCheck(**({"host": "localhost", "port": port} | fields))  # type: ignore[arg-type]
    return await prober(check, timeout_s, trace=trace)


async def judged(prober: TlsProber, context: ssl.SSLContext, **fields: object) -> Observation:
    async with serve(SILENT, tls=context) as server:
        return await probe(prober, server.port, **fields)


async def test_a_right_certificate(prober: TlsProber, authority: Authority) -> None:
    seen = await judged(prober, authority.server("localhost", days=(-1, 30), by_intermediate=True))
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.UP, None, True), seen
    assert seen.measurements == {
        "tls.version": 1.3,
        "tls.chain_length": 2.0,
        "tls.days_left": 29.0,
        "tls.key_bits": 256.0,
    }
    assert seen.phases.tls is not None
    assert seen.certificate_expires_at is not None
    assert seen.evidence is not None
    assert len(seen.evidence.certificates) == 2


@pytest.mark.parametrize("key", ["ec-256", "rsa-2048", "ed25519"])
async def test_keys_that_are_strong(prober: TlsProber, authority: Authority, key: str) -> None:
    context = authority.server("localhost", key=key, issuer=authority.intermediate(key=key))
    seen = await judged(prober, context)
    assert seen.verdict is Verdict.UP, seen
    assert seen.measurements is not None
    assert seen.measurements["tls.key_bits"] == {"ec-256": 256, "rsa-2048": 2048, "ed25519": 256}[key]


def _expired(ca: Authority) -> ssl.SSLContext:
    return ca.server("localhost", days=(-10, -2))


WRONG: dict[str, tuple[Callable[[Authority], ssl.SSLContext], Category]] = {
    "expired": (_expired, Category.TLS_EXPIRED),
    "expired in the chain": (
        lambda ca: ca.server("localhost", issuer=ca.intermediate(days=(-10, -2))),
        Category.TLS_EXPIRED,
    ),
    "not yet valid": (lambda ca: ca.server("localhost", days=(1, 10)), Category.TLS_NOT_YET_VALID),
    "self-signed": (lambda ca: ca.server("localhost", self_signed=True), Category.TLS_SELF_SIGNED),
    "another's": (lambda ca: ca.server("other.example"), Category.TLS_HOSTNAME),
    "without its intermediate": (
        lambda ca: ca.server("localhost", by_intermediate=True, send_chain=False),
        Category.TLS_UNTRUSTED,
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_certificate_is_recorded_all_the_same(prober: TlsProber, authority: Authority, case: str) -> None:
    make, category = WRONG[case]
    seen = await judged(prober, make(authority))
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, category, False), seen
    assert seen.evidence is not None
    assert seen.certificate_expires_at == seen.evidence.certificates[0].not_after
    assert seen.measurements is not None
    assert seen.measurements["tls.chain_length"] == len(seen.evidence.certificates)
    assert seen.measurements["tls.key_bits"] == 256
    assert "tls.version" not in seen.measurements, "none was agreed to"
    if "expired" in case:
        assert seen.measurements["tls.days_left"] == -3


WEAK: dict[str, tuple[Callable[[Authority], ssl.SSLContext], str]] = {
    "RSA of 1024 bits": (
        lambda ca: ca.server("localhost", key="rsa-1024"),
        "its certificate has an RSA key of 1024 bits; 2048 are the least",
    ),
    "RSA of 1024 bits in the chain": (
        lambda ca: ca.server("localhost", issuer=ca.intermediate(key="rsa-1024")),
        "in its chain, has an RSA key of 1024 bits",
    ),
    "an elliptic curve of 192 bits in the chain": (
        lambda ca: ca.server("localhost", issuer=ca.intermediate(key="ec-192")),
        "in its chain, has an elliptic-curve key of 192 bits; 224 are the least",
    ),
    "DSA in the chain": (
        lambda ca: ca.server("localhost", issuer=ca.intermediate(key="dsa-2048")),
        "in its chain, has a DSA key",
    ),
    "signed with SHA-1": (
        lambda ca: ca.server("localhost", issuer=ca.intermediate(key="rsa-2048"), digest="sha1"),
        "its certificate is signed with SHA-1",
    ),
    "signed with MD5": (
        lambda ca: ca.server("localhost", issuer=ca.intermediate(key="rsa-2048"), digest="md5"),
        "its certificate is signed with MD5",
    ),
}


@pytest.mark.parametrize("case", WEAK)
async def test_what_is_too_weak(prober: TlsProber, authority: Authority, case: str) -> None:
    make, words = WEAK[case]
    context = make(authority)
    seen = await judged(prober, context)
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, Category.TLS_WEAK, False), seen
    assert words in seen.message
    assert seen.certificate_expires_at is not None
    anyway = await judged(prober, context, verify_tls=False)
    assert anyway.verdict is Verdict.UP, anyway


async def test_a_weak_signature_in_the_chain_by_a_strong_root(prober: TlsProber, tmp_path: Path) -> None:
    """SHA-1 of a root's own signature means nothing, whether it is sent or not; that of what it signed does."""
    ca = Authority(tmp_path, key="rsa-2048", digest="sha1")
    trusting = TlsSettings(ca_pem=ca.ca_file.read_text())
    fine = await judged(prober, ca.server("localhost", by_intermediate=True, send_root=True), tls=trusting)
    assert fine.verdict is Verdict.UP, fine
    assert fine.measurements is not None
    assert fine.measurements["tls.chain_length"] == 3
    weak = ca.server("localhost", issuer=ca.intermediate(digest="sha1"))
    seen = await judged(prober, weak, tls=trusting)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_WEAK), seen
    assert "in its chain, is signed with SHA-1" in seen.message


async def test_days_left_of_each_certificate_of_the_chain(prober: TlsProber, authority: Authority) -> None:
    soon = await judged(prober, authority.server("localhost", days=(-1, 5)))
    assert (soon.verdict, soon.category, soon.ssl_ok) == (Verdict.DEGRADED, Category.TLS_EXPIRING, True), soon
    assert "expires in 4 days; 14 are asked for" in soon.message
    chain = authority.server("localhost", days=(-1, 300), issuer=authority.intermediate(days=(-1, 10)))
    soon = await judged(prober, chain)
    assert (soon.verdict, soon.category) == (Verdict.DEGRADED, Category.TLS_EXPIRING), soon
    assert "in the chain, expires in 9 days" in soon.message
    assert soon.measurements is not None
    assert soon.measurements["tls.days_left"] == 9
    assert (await judged(prober, chain, min_certificate_days=9)).verdict is Verdict.UP
    assert (await judged(prober, chain, min_certificate_days=0)).verdict is Verdict.UP


async def test_the_oldest_version(prober: TlsProber, authority: Authority) -> None:
    context = authority.server("localhost")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    for least in (TlsVersion.ANY, TlsVersion.TLS_1_2):
        seen = await judged(prober, context, min_version=least)
        assert seen.verdict is Verdict.UP, seen
        assert seen.measurements is not None
        assert seen.measurements["tls.version"] == 1.2
    seen = await judged(prober, context, min_version=TlsVersion.TLS_1_3)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_PROTOCOL), seen
    assert "agreed to TLS 1.2; TLS 1.3 or newer is asked for" in seen.message
    seen = await judged(prober, authority.server("localhost"), min_version=TlsVersion.TLS_1_3)
    assert seen.verdict is Verdict.UP


@pytest.mark.parametrize("newest", ["TLSv1", "TLSv1_1"])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_a_server_of_old_versions_alone(prober: TlsProber, authority: Authority, newest: str) -> None:
    context = authority.server("localhost")
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion[newest]
    async with serve(lambda peer: peer.secure(context)) as server:
        seen = await probe(prober, server.port, verify_tls=False)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_PROTOCOL), seen
    assert "share no TLS version: 1.2 or 1.3 is needed" in seen.message


@pytest.mark.parametrize("version", [b"\x03\x00", b"\x03\x01", b"\x03\x02"])
async def test_a_server_that_answers_in_an_old_version(prober: TlsProber, version: bytes) -> None:
    """As servers do that know none newer: they choose the newest of theirs, whatever the client offers."""
    hello = version + bytes(32) + b"\x00" + b"\xc0\x13" + b"\x00"
    message = b"\x02" + len(hello).to_bytes(3, "big") + hello

    async def script(peer: Peer) -> None:
        await peer.reader.read(4_096)
        await peer.send(b"\x16" + version + len(message).to_bytes(2, "big") + message)
        await peer.silence()

    async with serve(script) as server:
        seen = await probe(prober, server.port)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_PROTOCOL), seen
    assert "share no TLS version: 1.2 or 1.3 is needed" in seen.message


async def test_further_names(prober: TlsProber, authority: Authority) -> None:
    context = authority.server(
        "localhost", "*.example.com", "a.example.net", "xn--bcher-kva.example", "127.0.0.7", "2001:db8::1"
    )
    right = ("www.example.com", "A.Example.NET", "bücher.example", "127.0.0.7", "[2001:db8:0::1]", "localhost")
    seen = await judged(prober, context, names=right)
    assert seen.verdict is Verdict.UP, seen
    for wrong in ("example.com", "a.b.example.com", "b.example.net", "127.0.0.1", "2001:db8::2", "straße.example"):
        seen = await judged(prober, context, names=(*right, wrong))
        assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, Category.TLS_HOSTNAME, False), (wrong, seen)
        assert f"is not for {wrong} but for localhost, *.example.com" in seen.message
    nothing = await judged(prober, authority.server(common_name="localhost"), names=("localhost",), verify_tls=False)
    assert (nothing.category, "for no name at all" in nothing.message) == (Category.TLS_HOSTNAME, True)
    ours = await judged(prober, context, names=("a b",))
    assert (ours.verdict, ours.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_INTERNAL)


async def test_fingerprints(prober: TlsProber, authority: Authority) -> None:
    path = authority.server_file("localhost")
    own = certificate_in(path).fingerprint(SHA256()).hex()
    root = authority.root.certificate.fingerprint(SHA256()).hex()
    context = server_context(path)
    assert (await judged(prober, context, fingerprints_sha256=("0" * 64, own))).verdict is Verdict.UP
    seen = await judged(prober, context, fingerprints_sha256=(root,))
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, Category.TLS_UNTRUSTED, False), seen
    assert f"has the SHA-256 fingerprint {own}, not the one that is accepted" in seen.message
    # Pinned, and for the rest anything goes.
    odd = authority.server_file("other.example", self_signed=True, days=(-9, 9))
    print_of = certificate_in(odd).fingerprint(SHA256()).hex()
    anything: dict[str, object] = {"verify_tls": False, "min_certificate_days": 0}
    pinned = await judged(prober, server_context(odd), fingerprints_sha256=(print_of,), **anything)
    assert pinned.verdict is Verdict.UP, pinned
    other = await judged(prober, server_context(odd), fingerprints_sha256=(own, root), **anything)
    assert (other.category, "one of the 2 that are accepted" in other.message) == (Category.TLS_UNTRUSTED, True)


async def test_the_name_that_is_asked_for(tls: Tls, authority: Authority) -> None:
    prober = TlsProber(make_services(tls, ScriptedResolver(("127.0.0.1",))), now=now)
    asked: list[str | None] = []
    one, other = authority.server("one.example"), authority.server("two.example")

    def choose(tls_object: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        asked.append(name)
        if name == "two.example":
            tls_object.context = other

    one.sni_callback = choose
    async with serve(SILENT, tls=one) as server:
        first = await probe(prober, server.port, host="one.example")
        second = await probe(prober, server.port, host="one.example", tls=TlsSettings(server_name="two.example"))
        third = await probe(prober, server.port, host="one.example", tls=TlsSettings(server_name="three.example"))
    assert (first.verdict, second.verdict) == (Verdict.UP, Verdict.UP)
    assert (third.category, "not for three.example but for one.example" in third.message) == (
        Category.TLS_HOSTNAME,
        True,
    )
    assert asked == ["one.example", "two.example", "three.example"]


async def test_a_client_certificate_is_demanded(prober: TlsProber, authority: Authority) -> None:
    """With TLS 1.3 the handshake is done before the server has seen that there is none."""
    context = authority.server("localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    certificate, key = authority.client("monitord")
    shown = TlsSettings(
        client_certificate_pem=certificate, client_key_pem=Secret(key), ca_pem=authority.ca_file.read_text()
    )
    none = await judged(prober, context)
    assert (none.verdict, none.category, none.ssl_ok) == (Verdict.DOWN, Category.TLS_CLIENT_CERT, False), none
    assert none.measurements is not None
    assert none.measurements["tls.days_left"] == 29
    assert (await judged(prober, context, tls=shown)).verdict is Verdict.UP


async def test_starttls(prober: TlsProber, authority: Authority) -> None:
    def script(context: ssl.SSLContext) -> Script:
        async def talk(peer: Peer) -> None:
            await peer.send(b"+OK\r\n")
            await peer.reader.readexactly(6)
            await peer.send(b"+OK\r\n")
            await peer.secure(context)
            await peer.silence()

        return talk

    async with serve(script(authority.server("localhost"))) as server:
        seen = await probe(prober, server.port, security=Security.STARTTLS_POP3)
    assert (seen.verdict, seen.ssl_ok) == (Verdict.UP, True), seen
    assert seen.phases.ttfb is not None
    async with serve(script(authority.server("other.example"))) as server:
        seen = await probe(prober, server.port, security=Security.STARTTLS_POP3)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_HOSTNAME)
    async with serve(saying(b"+OK\r\n", b"-ERR\r\n", then="silence")) as server:
        seen = await probe(prober, server.port, security=Security.STARTTLS_POP3)
    assert (seen.verdict, seen.category, seen.measurements) == (Verdict.DOWN, Category.TLS_REQUIRED, None)


async def test_no_tls_at_all(prober: TlsProber) -> None:
    async with serve(saying(b"220 hello\r\n", then="silence")) as server:
        seen = await probe(prober, server.port)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_NOT_TLS)
    async with serve(SILENT) as server:
        seen = await probe(prober, server.port, timeout_s=0.2)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_TIMEOUT)
    async with serve(saying(b"\x15\x03\x03\x00\x02\x02\x28")) as server:
        seen = await probe(prober, server.port)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_ALERT)
    seen = await probe(prober, unused_port(), host="127.0.0.1")
    assert (seen.verdict, seen.category, seen.measurements) == (Verdict.DOWN, Category.CONNECT_REFUSED, None)
    with black_hole() as port:
        seen = await probe(prober, port, timeout_s=0.2, host="127.0.0.1")
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.CONNECT_TIMEOUT)


async def test_the_time_of_the_handshake_counts(prober: TlsProber, authority: Authority) -> None:
    context = authority.server("localhost")

    async def slowly(peer: Peer) -> None:
        await asyncio.sleep(0.05)
        await peer.secure(context)
        await peer.silence()

    async with serve(slowly) as server:
        slow = await probe(prober, server.port, expected_latency_ms=20)
        fine = await probe(prober, server.port, expected_latency_ms=1_500)
    assert (slow.verdict, slow.category) == (Verdict.DEGRADED, Category.ASSERT_LATENCY)
    assert fine.verdict is Verdict.UP
