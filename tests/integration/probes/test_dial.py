"""Cases 1 to 8: names, the policy on every address, and the race to connect. Nothing leaves loopback."""

import asyncio
import errno
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from monitord.domain.check import Category, Verdict
from monitord.domain.connection import AddressFamily
from monitord.domain.kinds import HttpCheck
from monitord.probes import connect, resolver
from monitord.probes.failure import Failure
from monitord.probes.resolver import SystemResolver
from tests.integration.probes.conftest import MakeProber, ScriptedResolver, probe
from tests.support.targets import OK, Peer, answering, black_hole, serve, unused_port


@pytest.mark.parametrize(
    ("error", "category", "verdict"),
    [
        (socket.gaierror(socket.EAI_NONAME, "?"), Category.DNS_NXDOMAIN, Verdict.DOWN),
        (socket.gaierror(socket.EAI_AGAIN, "?"), Category.DNS_SERVFAIL, Verdict.DOWN),
        (socket.gaierror(socket.EAI_FAIL, "?"), Category.DNS_SERVFAIL, Verdict.DOWN),
        (socket.gaierror(socket.EAI_NODATA, "?"), Category.DNS_NO_ADDRESS, Verdict.DOWN),
        (socket.gaierror(socket.EAI_MEMORY, "?"), Category.ENGINE_OVERLOAD, Verdict.INCONCLUSIVE),
        (OSError(errno.EMFILE, "?"), Category.ENGINE_FD, Verdict.INCONCLUSIVE),
        (OSError(errno.ECONNREFUSED, "?"), Category.ENGINE_NETWORK_DOWN, Verdict.INCONCLUSIVE),
    ],
)
async def test_a_name_that_does_not_resolve(
    make_prober: MakeProber,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    category: Category,
    verdict: Verdict,
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    seen = await probe(make_prober(), "http://name.example/")
    assert (seen.verdict, seen.category, seen.dns_ok) == (verdict, category, False)
    assert seen.phases.dns is not None
    assert seen.phases.connect is None


async def test_3_a_resolver_that_never_answers_and_one_that_is_busy(
    make_prober: MakeProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(resolver, "_ask", lambda *_: release.wait(10) and ("127.0.0.1",))
    prober = make_prober(SystemResolver(max_threads=1))
    try:
        silent, busy = await asyncio.gather(
            probe(prober, "http://a.example/", timeout_s=0.2), probe(prober, "http://b.example/", timeout_s=0.2)
        )
    finally:
        release.set()
    assert (silent.verdict, silent.category) == (Verdict.DOWN, Category.DNS_TIMEOUT)
    assert (busy.verdict, busy.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_OVERLOAD)


async def test_the_name_is_resolved_each_time(make_prober: MakeProber) -> None:
    scripted = ScriptedResolver(("127.0.0.1",))
    prober = make_prober(scripted)
    async with serve(answering(OK)) as server:
        for _ in range(3):
            assert (await probe(prober, server.url(host="name.example"))).verdict is Verdict.UP
    assert len(scripted.asked) == 3


async def test_a_real_name_in_the_hosts_file(make_prober: MakeProber) -> None:
    async with serve(answering(OK)) as server:
        seen = await make_prober()(HttpCheck(url=server.url(host="localhost")), 2.0, trace=True)
    assert (seen.verdict, seen.dns_ok) == (Verdict.UP, True)
    assert seen.evidence is not None
    assert "127.0.0.1" in seen.evidence.resolved
    assert [step.phase for step in seen.evidence.steps] == ["dns", "connect", "ttfb", "ttfb", "transfer", "judge"]
    assert [step.at_ms for step in seen.evidence.steps] == sorted(step.at_ms for step in seen.evidence.steps)


@pytest.mark.parametrize("answer", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "::ffff:169.254.169.254", "fe80::1"])
async def test_4_an_answer_in_a_forbidden_range(make_prober: MakeProber, answer: str) -> None:
    seen = await probe(make_prober(ScriptedResolver((answer,))), "http://inward.example/")
    assert (seen.verdict, seen.category, seen.address) == (Verdict.BLOCKED, Category.POLICY_BLOCKED, None)
    assert seen.phases.connect is None


@pytest.mark.parametrize(
    "literal", ["http://169.254.169.254/", "http://[::ffff:a9fe:a9fe]/", "http://[fd00:ec2::254]/"]
)
async def test_4_a_forbidden_literal(make_prober: MakeProber, literal: str) -> None:
    seen = await probe(make_prober(), literal)
    assert (seen.verdict, seen.category) == (Verdict.BLOCKED, Category.POLICY_BLOCKED)


@pytest.mark.parametrize("answer", [("127.0.0.1", "169.254.169.254"), ("169.254.169.254", "127.0.0.1")])
async def test_5_an_answer_that_is_partly_forbidden(make_prober: MakeProber, answer: tuple[str, ...]) -> None:
    async with serve(answering(OK)) as server:
        seen = await probe(make_prober(ScriptedResolver(answer)), server.url(host="mixed.example"))
    assert seen.verdict is Verdict.BLOCKED
    assert server.connections == 0


async def test_5_answers_that_alternate(make_prober: MakeProber) -> None:
    prober = make_prober(ScriptedResolver(("127.0.0.1",), ("169.254.169.254",)))
    async with serve(answering(OK)) as server:
        assert (await probe(prober, server.url(host="alternating.example"))).verdict is Verdict.UP
        assert (await probe(prober, server.url(host="alternating.example"))).verdict is Verdict.BLOCKED
    assert server.connections == 1


async def test_6_the_first_address_is_a_black_hole(make_prober: MakeProber, monkeypatch: pytest.MonkeyPatch) -> None:
    with black_hole() as port:
        async with serve(answering(OK), host="127.0.0.2", port=port) as server:
            prober = make_prober(ScriptedResolver(("127.0.0.1", "127.0.0.2")))
            seen = await probe(prober, server.url(host="both.example"))
    assert (seen.verdict, seen.address) == (Verdict.UP, f"127.0.0.2:{port}")
    assert seen.phases.connect is not None
    assert 240 < seen.phases.connect < 900


async def test_6_the_first_address_refuses(make_prober: MakeProber) -> None:
    async with serve(answering(OK), host="127.0.0.2") as server:
        prober = make_prober(ScriptedResolver(("127.0.0.1", "127.0.0.2")))
        seen = await probe(prober, server.url(host="both.example"))
    assert (seen.verdict, seen.address) == (Verdict.UP, f"127.0.0.2:{server.port}")
    assert seen.phases.connect is not None
    assert seen.phases.connect < 200


async def test_all_addresses_refuse(make_prober: MakeProber) -> None:
    prober = make_prober(ScriptedResolver(("127.0.0.1", "::1", "127.0.0.2")))
    seen = await probe(prober, f"http://all.example:{unused_port()}/")
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.CONNECT_REFUSED)


async def test_ipv6_and_a_pinned_family(make_prober: MakeProber) -> None:
    prober = make_prober()
    async with serve(answering(OK), host="::1") as server:
        seen = await probe(prober, server.url(host="[::1]"))
        assert (seen.verdict, seen.address) == (Verdict.UP, f"[::1]:{server.port}")
        pinned = await probe(prober, server.url(host="[::1]"), address_family=AddressFamily.IPV4)
    assert (pinned.verdict, pinned.category) == (Verdict.DOWN, Category.DNS_NO_ADDRESS)
    assert server.connections == 1


@contextmanager
def no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as lowest_free:
        limit = lowest_free.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_i9_no_descriptors_left_is_our_own_fault(make_prober: MakeProber) -> None:
    prober = make_prober()
    async with serve(answering(OK)) as server:
        assert (await probe(prober, server.url())).verdict is Verdict.UP
        with no_descriptors():
            literal = await probe(prober, server.url())
            name = await probe(prober, server.url(host="no-such-name.invalid"))
    assert (literal.verdict, literal.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_FD)
    assert (name.verdict, name.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_FD)


async def test_i9_a_resolver_without_descriptors_says_that_the_name_is_missing(
    make_prober: MakeProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    prober = make_prober()
    with no_descriptors():
        seen = await probe(prober, "http://name.example/")
    assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_FD)


@pytest.mark.parametrize(
    ("number", "category", "verdict"),
    [
        (errno.ENETUNREACH, Category.ENGINE_NETWORK_DOWN, Verdict.INCONCLUSIVE),
        (errno.EHOSTUNREACH, Category.ENGINE_NETWORK_DOWN, Verdict.INCONCLUSIVE),
        (errno.EADDRNOTAVAIL, Category.ENGINE_OVERLOAD, Verdict.INCONCLUSIVE),
        (errno.EPERM, Category.ENGINE_NETWORK_DOWN, Verdict.INCONCLUSIVE),
        (errno.ENOBUFS, Category.ENGINE_OVERLOAD, Verdict.INCONCLUSIVE),
        (errno.ECONNREFUSED, Category.CONNECT_REFUSED, Verdict.DOWN),
    ],
)
async def test_i9_what_connect_says_at_once_was_decided_here(
    make_prober: MakeProber, monkeypatch: pytest.MonkeyPatch, number: int, category: Category, verdict: Verdict
) -> None:
    class Failing(socket.SocketType):
        def connect_ex(self, _: object) -> int:
            return number

    monkeypatch.setattr(socket, "SocketType", Failing)
    seen = await probe(make_prober(), "http://127.0.0.1:9/")
    assert (seen.verdict, seen.category) == (verdict, category)


def test_what_the_network_says_later_is_about_the_target() -> None:
    assert connect.connect_failure(errno.EHOSTUNREACH, "192.0.2.1", 80).category is Category.CONNECT_UNREACHABLE
    assert connect.connect_failure(errno.ETIMEDOUT, "192.0.2.1", 80).category is Category.CONNECT_TIMEOUT
    assert isinstance(connect.connect_failure(errno.ENETUNREACH, "::1", 80), Failure)


async def test_i9_a_deadline_that_our_own_loop_overslept(make_prober: MakeProber) -> None:
    prober = make_prober()
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.silence()

    async with serve(script) as server:
        task = asyncio.ensure_future(probe(prober, server.url(), timeout_s=0.1))
        await asyncio.wait_for(asked.wait(), 2)
        time.sleep(0.5)  # noqa: ASYNC251 (the loop must oversleep)
        seen = await task
    assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_OVERLOAD)
