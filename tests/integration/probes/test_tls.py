"""Cases 35 to 43: what is wrong with a server's TLS, by its own category, with the certificate's facts."""

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.instant import DAY, SECOND
from monitord.domain.kinds import HttpCheck
from monitord.probes.http import HttpProber
from monitord.probes.tls import Tls
from tests.integration.probes.conftest import MakeProber, ScriptedResolver, probe
from tests.support.authority import Authority
from tests.support.targets import OK, Peer, answering, serve

CERTIFICATES: dict[str, tuple[Callable[[Authority], ssl.SSLContext], Category]] = {
    "35 expired": (lambda ca: ca.server("localhost", days=(-10, -1)), Category.TLS_EXPIRED),
    "35 not yet valid": (lambda ca: ca.server("localhost", days=(1, 10)), Category.TLS_NOT_YET_VALID),
    "36 self-signed": (lambda ca: ca.server("localhost", self_signed=True), Category.TLS_SELF_SIGNED),
    "37 wrong host": (lambda ca: ca.server("example.com"), Category.TLS_HOSTNAME),
    "38 a common name alone": (lambda ca: ca.server(common_name="localhost"), Category.TLS_HOSTNAME),
    "39 missing intermediate": (
        lambda ca: ca.server("localhost", by_intermediate=True, send_chain=False),
        Category.TLS_UNTRUSTED,
    ),
}


def _repeated(seen: Observation) -> bool:
    """Tell whether OpenSSL was asked after rustls had failed."""
    assert seen.evidence is not None
    return any("was repeated" in step.text for step in seen.evidence.steps)


@pytest.fixture(params=["auto", "openssl"])
def either(request: pytest.FixtureRequest, tls: Tls, tls_openssl: Tls) -> Tls:
    return tls if request.param == "auto" else tls_openssl


@pytest.mark.parametrize("case", CERTIFICATES)
async def test_a_wrong_certificate(make_prober: MakeProber, either: Tls, authority: Authority, case: str) -> None:
    make, category = CERTIFICATES[case]
    async with serve(answering(OK), tls=make(authority)) as server:
        seen = await probe(make_prober(sessions=either), server.url(scheme="https", host="localhost"))
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, category, False), seen
    assert seen.evidence is not None
    assert len(seen.evidence.certificates) == 1
    assert seen.certificate_expires_at == seen.evidence.certificates[0].not_after
    assert seen.message.endswith(".")
    assert seen.phases.tls is not None
    assert seen.phases.ttfb is None


@pytest.mark.parametrize("case", CERTIFICATES)
async def test_no_verification_accepts_any_but_records_it(
    make_prober: MakeProber, either: Tls, authority: Authority, case: str
) -> None:
    async with serve(answering(OK), tls=CERTIFICATES[case][0](authority)) as server:
        url = server.url(scheme="https", host="localhost")
        seen = await probe(make_prober(sessions=either), url, verify_tls=False)
    assert seen.verdict is Verdict.UP
    assert seen.certificate_expires_at is not None
    assert server.connections == 1


async def test_a_right_certificate(make_prober: MakeProber, either: Tls, authority: Authority) -> None:
    context = authority.server("localhost", "127.0.0.1", days=(-1, 2), by_intermediate=True)
    prober = make_prober(sessions=either)
    async with serve(answering(OK), tls=context) as server:
        for host in ("localhost", "127.0.0.1"):
            seen = await probe(prober, server.url(scheme="https", host=host), keyword="hello")
            assert (seen.verdict, seen.ssl_ok, seen.content_ok) == (Verdict.UP, True, True), seen
            # 43: expiring soon is UP, and the expiry is there for whoever warns of it.
            assert seen.certificate_expires_at is not None
            assert abs(seen.certificate_expires_at - (int(time.time()) * SECOND + 2 * DAY)) < DAY
            assert seen.bytes_received == len(OK)
            assert seen.measurements == {"tls.version": 1.3}
    assert server.connections == 2


async def test_a_server_that_only_openssl_can_talk_to_is_up_and_remembered(
    make_prober: MakeProber, authority: Authority
) -> None:
    context = authority.server("localhost")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")  # CBC: not in rustls
    sessions = Tls("auto", ca_file=authority.ca_file)
    prober = make_prober(sessions=sessions)
    async with serve(answering(OK), tls=context) as server:
        check = HttpCheck(url=server.url(scheme="https", host="localhost"))
        seen = [await prober(check, 2.0, trace=True) for _ in range(2)]
    assert [each.verdict for each in seen] == [Verdict.UP, Verdict.UP]
    assert [_repeated(each) for each in seen] == [True, False]


async def test_40_a_handshake_that_hangs(make_prober: MakeProber, either: Tls) -> None:
    async with serve(lambda peer: peer.silence()) as server:
        seen = await probe(make_prober(sessions=either), server.url(scheme="https"), timeout_s=0.3)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_TIMEOUT)
    assert seen.phases.tls is not None
    assert seen.phases.tls > 250


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"\x00" * 20])
async def test_41_what_does_not_speak_tls(make_prober: MakeProber, either: Tls, answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.send(answer)
        await peer.silence()

    async with serve(script) as server:
        seen = await probe(make_prober(sessions=either), server.url(scheme="https"))
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, Category.TLS_NOT_TLS, False)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_42_a_client_certificate_is_demanded(
    make_prober: MakeProber, either: Tls, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.server("localhost")
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    async with serve(answering(OK), tls=context) as server:
        seen = await probe(make_prober(sessions=either), server.url(scheme="https", host="localhost"))
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, Category.TLS_CLIENT_CERT, False), seen


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        (b"\x15\x03\x03\x00\x02\x02\x28", Category.TLS_ALERT),
        (b"\x15\x03\x03\x00\x02\x02\x46", Category.TLS_PROTOCOL),
        (b"\x16\x03\x03\x00\x04\x0e\x00\x00\x00", Category.TLS_PROTOCOL),
        (b"", Category.TLS_PROTOCOL),
    ],
    ids=["handshake failure", "protocol version", "unexpected message", "hangs up"],
)
async def test_a_handshake_that_is_refused(
    make_prober: MakeProber, either: Tls, answer: bytes, category: Category
) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(4096)
        await peer.send(answer)

    async with serve(script) as server:
        seen = await probe(make_prober(sessions=either), server.url(scheme="https"))
    assert (seen.verdict, seen.category) == (Verdict.DOWN, category), seen


async def test_a_reset_in_the_handshake(make_prober: MakeProber, either: Tls) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.reset()

    async with serve(script) as server:
        seen = await probe(make_prober(sessions=either), server.url(scheme="https"))
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.CONNECT_RESET)


async def test_a_body_in_many_records_ended_by_close_notify(
    make_prober: MakeProber, either: Tls, authority: Authority
) -> None:
    body = b"x" * 300_000 + b"needle"
    script = answering(b"HTTP/1.1 200 OK\r\n\r\n", body)
    async with serve(script, tls=authority.server("localhost")) as server:
        seen = await probe(make_prober(sessions=either), server.url(scheme="https", host="localhost"), keyword="needle")
    assert seen.verdict is Verdict.UP, seen
    assert seen.bytes_received == len(body) + len(b"HTTP/1.1 200 OK\r\n\r\n")


async def test_a_request_without_effect_alone_is_repeated_after_the_handshake(
    make_prober: MakeProber, authority: Authority
) -> None:
    requests: list[bytes] = []

    async def script(peer: Peer) -> None:
        requests.append((await peer.request())[:4])

    prober = make_prober(sessions=Tls("auto", ca_file=authority.ca_file))
    async with serve(script, tls=authority.server("localhost")) as server:
        seen = await probe(prober, server.url(scheme="https", host="localhost"), method="POST", body=b"x")
    assert seen.category is Category.HTTP_EMPTY
    assert requests == [b"POST"]


async def test_the_name_is_verified_not_the_address_dialled(make_prober: MakeProber, authority: Authority) -> None:
    resolver = ScriptedResolver(("127.0.0.1",))
    async with serve(answering(OK), tls=authority.server("service.example")) as server:
        seen = await probe(make_prober(resolver), server.url(scheme="https", host="service.example"))
        wrong = await probe(make_prober(resolver), server.url(scheme="https", host="other.example"))
    assert seen.verdict is Verdict.UP
    assert (wrong.category, "service.example" in wrong.message) == (Category.TLS_HOSTNAME, True)


async def test_many_handshakes_at_once(prober: HttpProber, authority: Authority) -> None:
    async with serve(answering(OK), tls=authority.server("localhost", "127.0.0.1")) as server:
        seen = await asyncio.gather(*(probe(prober, server.url(scheme="https")) for _ in range(50)))
    assert {each.verdict for each in seen} == {Verdict.UP}


async def test_sessions_trust_only_the_roots_that_a_server_needs_until_that_fails(
    make_prober: MakeProber, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "another")
    both = tmp_path / "both.pem"
    both.write_bytes(authority.ca_file.read_bytes() + other.ca_file.read_bytes())
    prober = make_prober(sessions=Tls("auto", ca_file=both))
    async with serve(answering(OK), tls=authority.server("localhost")) as server:
        url = server.url(scheme="https", host="localhost")
        for _ in range(3):
            assert (await probe(prober, url)).verdict is Verdict.UP
    async with serve(answering(OK), tls=other.server("localhost"), port=server.port):
        seen = await prober(HttpCheck(url=url), 2.0, trace=True)
    assert (seen.verdict, _repeated(seen)) == (Verdict.UP, True)
    async with serve(answering(OK), tls=other.server("localhost", self_signed=True), port=server.port):
        assert (await probe(prober, url)).category is Category.TLS_SELF_SIGNED
