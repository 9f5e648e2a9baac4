"""Anchors on this machine: some that are there, some that are not."""

import asyncio

from monitord.domain.check import Category
from monitord.domain.network import Reach
from monitord.domain.target import parse_server
from monitord.probes.anchors import AnchorDialler
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.failure import Failure, ours
from tests.integration.probes.conftest import Answers, ScriptedResolver
from tests.support.targets import answering, black_hole, serve, unused_port

SILENT = Failure(Category.DNS_TIMEOUT, "It did not answer.")
WITHIN_S = 0.3


def anchors(*places: str, resolver: Answers = SILENT, deny: tuple[str, ...] = ()) -> AnchorDialler:
    dialler = Dialler(EgressPolicy("private", deny=deny), ScriptedResolver(resolver))
    return AnchorDialler(dialler, [parse_server(place, 0) for place in places])


async def test_one_that_accepts_is_enough() -> None:
    with black_hole() as port:
        async with serve(answering()) as server:
            asked = anchors(f"127.0.0.1:{port}", f"127.0.0.1:{server.port}")
            assert await asked.ask(WITHIN_S) == Reach(way_out=True, names=True)


async def test_a_refusal_is_an_answer_too() -> None:
    assert await anchors(f"127.0.0.1:{unused_port()}").ask(WITHIN_S) == Reach(way_out=True, names=True)


async def test_silence_of_all_is_no_way_out() -> None:
    with black_hole() as port:
        asked = anchors(f"127.0.0.1:{port}", "anchor.test:443")
        began = asyncio.get_running_loop().time()
        assert await asked.ask(WITHIN_S) == Reach(way_out=False, names=False)
        assert asyncio.get_running_loop().time() - began < WITHIN_S + 0.5


async def test_names_that_fail_are_told_apart() -> None:
    async with serve(answering()) as server:
        asked = anchors(f"127.0.0.1:{server.port}", "anchor.test:443")
        assert await asked.ask(WITHIN_S) == Reach(way_out=True, names=False)
        found = anchors("anchor.test:1", resolver=("127.0.0.1",))
        assert await found.ask(WITHIN_S) == Reach(way_out=True, names=True)


async def test_what_could_not_be_asked_acquits_nobody() -> None:
    """Else a full table of descriptors, or a policy that forbids the anchors, would hide every outage."""
    full = ours(Category.ENGINE_FD, "No descriptor was left.")
    assert (await anchors("anchor.test:443", resolver=full).ask(WITHIN_S)).way_out
    forbidden = anchors("127.0.0.1:9", deny=("127.0.0.1:9",))
    assert (await forbidden.ask(WITHIN_S)).way_out
