"""The TCP check, against servers that speak, that stay silent, and that misbehave on the wire."""

import asyncio
import socket
import time
import tracemalloc

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.kinds.tcp import TcpCheck
from monitord.probes import tcp
from monitord.probes.deadline import Deadline
from monitord.probes.service import ServiceChecks
from monitord.probes.tcp import TcpProber
from tests.support.targets import Peer, Script, black_hole, endlessly, saying, serve, unused_port


@pytest.fixture
def prober(services: ServiceChecks) -> TcpProber:
    return TcpProber(services)


async def probe(
    prober: TcpProber, port: int, timeout_s: float = 2.0, *, trace: bool = True, **fields: object
) -> Observation:
    check = TcpCheck(**({"host": "127.0.0.1", "port": port} | fields))  # type: ignore[arg-type]
    return await prober(check, timeout_s, trace=trace)


async def test_a_port_that_accepts_is_up(prober: TcpProber) -> None:
    async with serve(saying(then="silence")) as server:
        seen = await probe(prober, server.port)
    assert (seen.verdict, seen.category) == (Verdict.UP, None)
    assert seen.phases.connect is not None
    assert (seen.phases.dns, seen.phases.tls, seen.phases.ttfb) == (None, None, None)
    assert (seen.ssl_ok, seen.content_ok, seen.measurements) == (None, None, None)
    assert seen.address == f"127.0.0.1:{server.port}"


async def test_ipv6(prober: TcpProber) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    async with serve(saying(b"hello"), host="::1") as server:
        seen = await probe(prober, server.port, host="::1", expect="hello")
    assert (seen.verdict, seen.address) == (Verdict.UP, f"[::1]:{server.port}"), seen


async def test_nothing_listens(prober: TcpProber) -> None:
    seen = await probe(prober, unused_port())
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.CONNECT_REFUSED)
    assert seen.evidence is not None
    assert seen.message.endswith(".")


async def test_a_black_hole(prober: TcpProber) -> None:
    with black_hole() as port:
        began_at = time.monotonic()
        seen = await probe(prober, port, timeout_s=0.3)
        took_s = time.monotonic() - began_at
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.CONNECT_TIMEOUT)
    assert 0.3 <= took_s < 0.8


async def test_what_is_expected_is_looked_for_as_it_comes(prober: TcpProber) -> None:
    async with serve(saying(b"220 mail.", b"example ESMTP\r\n", then="silence")) as server:
        seen = await probe(prober, server.port, expect=r"^220 .*ESMTP")
        assert (seen.verdict, seen.content_ok) == (Verdict.UP, True)
        assert seen.phases.ttfb is not None
        wrong = await probe(prober, server.port, timeout_s=0.3, expect="^554")
    assert (wrong.verdict, wrong.category) == (Verdict.DOWN, Category.TIMEOUT_TOTAL)
    assert "'^554' does not match what came until then: '220 mail.example ESMTP" in wrong.message
    assert wrong.content_ok is False


async def test_what_is_sent_is_answered(prober: TcpProber) -> None:
    async def echo(peer: Peer) -> None:
        await peer.send(b"echo " + await peer.reader.readexactly(4))

    async with serve(echo) as server:
        assert (await probe(prober, server.port, send=b"ping", expect="echo ping")).verdict is Verdict.UP
        seen = await probe(prober, server.port, send=b"ping", expect="pong")
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.ASSERT_REGEX)
    assert "'echo ping'" in seen.message


async def test_any_bytes_are_sent_as_they_are(prober: TcpProber) -> None:
    data = bytes(range(256)) * 16
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        got.set_result(await peer.reader.readexactly(len(data)))
        await peer.send(b"\x00\xff\x80ok")

    async with serve(script) as server:
        seen = await probe(prober, server.port, send=data, expect=r"^\x00\C\Cok$")
        assert await asyncio.wait_for(got, 2) == data
    assert seen.verdict is Verdict.UP


async def test_what_is_sent_without_an_expectation_arrives(prober: TcpProber) -> None:
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        got.set_result(await peer.reader.read(100))

    async with serve(script) as server:
        seen = await probe(prober, server.port, send=b"bye")
        assert await asyncio.wait_for(got, 2) == b"bye"
    assert (seen.verdict, seen.content_ok) == (Verdict.UP, None)


DEAF: dict[str, tuple[Script, Category]] = {
    "silence": (saying(then="silence"), Category.TIMEOUT_TTFB),
    "hangs up at once": (saying(), Category.PROTOCOL_CLOSED),
    "resets at once": (saying(then="reset"), Category.CONNECT_RESET),
    "hangs up in the middle": (saying(b"220 ma"), Category.ASSERT_REGEX),
    "says something else": (saying(b"SSH-2.0-x\r\n"), Category.ASSERT_REGEX),
    "resets in the middle": (saying(b"220 ma", then="reset"), Category.CONNECT_RESET),
    "goes silent in the middle": (saying(b"220 ma", then="silence"), Category.TIMEOUT_TOTAL),
}


@pytest.mark.parametrize("case", DEAF)
async def test_a_server_that_does_not_say_it(prober: TcpProber, case: str) -> None:
    script, category = DEAF[case]
    began_at = time.monotonic()
    async with serve(script) as server:
        seen = await probe(prober, server.port, timeout_s=0.4, expect="^220 .*ESMTP")
    assert time.monotonic() - began_at < 0.9
    assert (seen.verdict, seen.category, seen.content_ok) == (Verdict.DOWN, category, False), seen
    assert seen.message.endswith(".")


async def test_a_drip_ends_with_the_timeout_and_tells_what_came(prober: TcpProber) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.02)

    began_at = time.monotonic()
    async with serve(script) as server:
        seen = await probe(prober, server.port, timeout_s=0.4, expect="never")
    assert time.monotonic() - began_at < 0.9
    assert seen.category is Category.TIMEOUT_TOTAL
    assert "'never' does not match what came until then: 'xx" in seen.message


async def test_an_endless_answer_is_read_up_to_64_kib(prober: TcpProber) -> None:
    async with serve(endlessly(b"x" * 30_000)) as server:
        tracemalloc.start()
        try:
            seen = await probe(prober, server.port, expect="never")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.ASSERT_REGEX)
    assert "the first 64 KiB" in seen.message
    assert seen.bytes_received <= 128 * 1024
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize("at", [0, 65_530])
async def test_a_match_within_the_first_64_kib_counts_and_none_after(prober: TcpProber, at: int) -> None:
    async with serve(saying(b"x" * at + b"needle" + b"y" * 70_000, then="silence")) as server:
        assert (await probe(prober, server.port, expect="needle")).verdict is Verdict.UP
    async with serve(saying(b"x" * (at + 65_532) + b"needle", then="silence")) as server:
        assert (await probe(prober, server.port, expect="needle")).category is Category.ASSERT_REGEX


async def test_crumbs_do_not_cost_more_and_more(prober: TcpProber, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each crumb would have the whole searched again; and what comes last is looked at all the same."""
    monkeypatch.setattr(tcp, "MAX_SEARCHED_BYTES", 100)
    searched: list[int] = []
    compiled = tcp.compiled

    class Counting:
        def __init__(self, pattern: str) -> None:
            self._real = compiled(pattern)

        def search(self, data: bytes) -> object:
            searched.append(len(data))
            return self._real.search(data)

    monkeypatch.setattr(tcp, "compiled", Counting)
    up, down = Verdict.UP, Verdict.DOWN
    for then, expect, verdict in (("silence", "z$", up), ("close", "z$", up), ("close", "q", down)):
        searched.clear()
        async with serve(saying(*[b"x"] * 200, b"z", then=then)) as server:
            seen = await probe(prober, server.port, timeout_s=0.4, expect=expect)
        assert seen.verdict is verdict, seen
        assert sum(searched[:-1]) <= 100 + 201


async def test_what_a_server_says_is_shown_without_controls(prober: TcpProber) -> None:
    async with serve(saying(b"\x1b[31m\xe2\x80\xaered\r\n")) as server:
        seen = await probe(prober, server.port, expect="green")
    assert "\x1b" not in seen.message
    assert "\u202e" not in seen.message


async def test_a_slow_answer_is_degraded(prober: TcpProber) -> None:
    async def script(peer: Peer) -> None:
        await asyncio.sleep(0.05)
        await peer.send(b"ok")

    async with serve(script) as server:
        slow = await probe(prober, server.port, expect="ok", expected_latency_ms=20)
        fine = await probe(prober, server.port, expect="ok", expected_latency_ms=1_900)
    assert (slow.verdict, slow.category) == (Verdict.DEGRADED, Category.ASSERT_LATENCY)
    assert fine.verdict is Verdict.UP


async def test_a_deadline_that_we_noticed_late_is_our_own_fault(
    prober: TcpProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    expire = Deadline.expire
    monkeypatch.setattr(Deadline, "expire", lambda self, late: expire(self, True))
    for script in (saying(then="silence"), saying(b"so", then="silence")):
        async with serve(script) as server:
            seen = await probe(prober, server.port, timeout_s=0.1, expect="never")
        assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_OVERLOAD)


async def test_what_is_stored_and_no_host_is_our_own_fault(prober: TcpProber) -> None:
    seen = await probe(prober, 80, host="a b")
    assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_INTERNAL)


async def test_what_the_policy_forbids_is_blocked(prober: TcpProber) -> None:
    seen = await probe(prober, 80, host="169.254.169.254")
    assert (seen.verdict, seen.category) == (Verdict.BLOCKED, Category.POLICY_BLOCKED)
