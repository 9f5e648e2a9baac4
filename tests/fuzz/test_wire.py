"""The whole prober against servers that send what is nearly right: a verdict in time, and nothing left behind."""

import asyncio
import random
import tracemalloc
from pathlib import Path

from monitord.domain.check import Category, Verdict
from monitord.domain.connection import Security
from monitord.domain.kinds import HttpCheck, TcpCheck
from monitord.probes.assembly import Options, assemble
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.resolver import SystemResolver
from monitord.probes.table import Probes
from tests.fuzz.mutation import mutated, pieces, rounds
from tests.fuzz.test_http import ANSWERS, WORDS
from tests.support.targets import Peer, serve

TIMEOUT_S = 0.3
HANG_S = 30.0
"""Far beyond the deadline: it is hangs that are looked for, not how busy the machine is."""
MAX_GROWTH = 8 * 1024 * 1024
AT_ONCE = 20

BANNERS = [
    b"220 mail.example ESMTP\r\n250-mail.example\r\n250 STARTTLS\r\n220 go\r\n",
    b"* OK IMAP4rev1\r\nm1 OK begin\r\n",
    b"+OK POP3\r\n+OK begin\r\n",
    bytes.fromhex("300c02010178070a010004000400"),
    b"S",
]
SECURITIES = [each for each in Security if each is not Security.PLAIN]


def descriptors() -> int:
    here = Path("/proc/self/fd")
    return len(list(here.iterdir())) if here.exists() else 0


def saying(data: bytes, chance: random.Random):
    """Send bytes in pieces without waiting to be asked, then close, reset or stay silent."""

    async def script(peer: Peer) -> None:
        for piece in pieces(data, chance):
            await peer.send(piece)
        match chance.randrange(4):
            case 0:
                peer.reset()
            case 1:
                await peer.silence()

    return script


async def one(probes: Probes, label: str, chance: random.Random) -> None:
    """Run one check against a server that is spoilt, and see that its verdict is one, and in time."""
    if chance.random() < 0.5:
        answer, expect = mutated(chance.choice(ANSWERS), chance, WORDS), chance.choice(("", "quick"))
    else:
        answer, expect = mutated(chance.choice(BANNERS), chance, WORDS), "mail"
    async with serve(saying(answer, chance)) as server:
        url = f"{chance.choice(('http', 'https'))}://127.0.0.1:{server.port}/"
        check: HttpCheck | TcpCheck = HttpCheck(url=url, keyword=expect, max_redirects=3)
        if expect == "mail":
            security = chance.choice(SECURITIES)
            check = TcpCheck(host="127.0.0.1", port=server.port, expect=expect, security=security)
        async with asyncio.timeout(HANG_S):
            seen = await probes(check, TIMEOUT_S)
    # A machine that is too busy to see the deadline pass says so.
    is_ours = seen.category is Category.ENGINE_OVERLOAD
    assert seen.verdict in (Verdict.UP, Verdict.DOWN) or is_ours, f"{label}: {seen}"
    assert seen.verdict is Verdict.UP or (seen.category and seen.message and seen.evidence), f"{label}: {seen}"


async def test_every_server_gets_a_verdict_in_time_and_leaves_nothing_behind() -> None:
    probes = assemble(
        Dialler(EgressPolicy("private"), SystemResolver(2)), Options(max_body_bytes=65_536), now=lambda: 0
    )
    every = rounds("wire", 400)
    await one(probes, "warm up", random.Random(1))
    tracemalloc.start()
    try:
        before, open_before = tracemalloc.get_traced_memory()[0], descriptors()
        while batch := [one(probes, label, chance) for (label, chance), _ in zip(every, range(AT_ONCE), strict=False)]:
            await asyncio.gather(*batch)
        growth = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert growth < MAX_GROWTH
    assert descriptors() <= open_before + 2, "an epoll set and a thread's pipe may have come"
