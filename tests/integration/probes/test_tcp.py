"""The TCP check, against servers that speak, that stay silent, and that begin TLS when asked."""

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.kinds.tcp import TcpCheck
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.resolver import SystemResolver
from monitord.probes.tcp import TcpProber
from monitord.probes.tls import Tls
from tests.support.probing import service_checks
from tests.support.targets import Peer, Script, serve

DAY_US = 86_400_000_000


@pytest.fixture
def prober(tls: Tls) -> TcpProber:
    dialler = Dialler(EgressPolicy("private"), SystemResolver(2))
    return TcpProber(service_checks(dialler, tls))


def saying(*parts: bytes, then: str = "close") -> Script:
    """Say things at once, without being asked."""

    async def script(peer: Peer) -> None:
        for part in parts:
            await peer.send(part)
        if then == "reset":
            peer.reset()
        elif then == "silence":
            await peer.silence()

    return script


async def probe(prober: TcpProber, port: int, timeout_s: float = 2.0, **fields: object) -> Observation:
    check = TcpCheck(**({"host": "127.0.0.1", "port": port} | fields))  # type: ignore[arg-type]
    return await prober(check, timeout_s, trace=True)


async def test_a_port_that_accepts_is_up(prober: TcpProber) -> None:
    async with serve(saying(then="silence")) as server:
        seen = await probe(prober, server.port)
    assert (seen.verdict, seen.category) == (Verdict.UP, None)
    assert seen.phases.connect is not None
    assert seen.address == f"127.0.0.1:{server.port}"


async def test_what_is_expected_is_looked_for_as_it_comes(prober: TcpProber) -> None:
    async with serve(saying(b"220 mail.", b"example ESMTP\r\n", then="silence")) as server:
        seen = await probe(prober, server.port, expect=r"^220 .*ESMTP")
        assert (seen.verdict, seen.content_ok) == (Verdict.UP, True)
        wrong = await probe(prober, server.port, timeout_s=0.3, expect="^554")
    assert (wrong.verdict, wrong.category) == (Verdict.DOWN, Category.TIMEOUT_TOTAL)


async def test_what_is_sent_is_answered(prober: TcpProber) -> None:
    async def echo(peer: Peer) -> None:
        await peer.send(b"echo " + await peer.reader.readexactly(4))

    async with serve(echo) as server:
        assert (await probe(prober, server.port, send=b"ping", expect="echo ping")).verdict is Verdict.UP
        seen = await probe(prober, server.port, send=b"ping", expect="pong")
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.ASSERT_REGEX)
    assert "'echo ping'" in seen.message
