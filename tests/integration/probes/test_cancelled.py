"""What a check leaves behind when it is cancelled, wherever it is: nothing."""

import asyncio
import random
from collections.abc import Callable

import pytest

from monitord.domain.check import Verdict
from monitord.domain.connection import SecureCheck, Security
from monitord.probes import connect as connecting
from monitord.probes import waiting
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure
from monitord.probes.service import ServiceChecks
from monitord.probes.trial import Trial
from tests.support.authority import Authority
from tests.support.targets import Peer, Script, saying, serve

SCENES: dict[str, tuple[Security, Callable[[Authority], Script]]] = {
    "plain": (Security.PLAIN, lambda _: saying(b"x\n" * 10, then="silence")),
    "tls": (Security.TLS, lambda ca: _secured(ca)),
    "starttls": (Security.STARTTLS_POP3, lambda ca: _pop3(ca)),
    "silence": (Security.TLS, lambda _: saying(then="silence")),
}


def _secured(authority: Authority) -> Script:
    context = authority.server("127.0.0.1")

    async def script(peer: Peer) -> None:
        await peer.secure(context, *[b"x\n"] * 10)
        await peer.silence()

    return script


def _pop3(authority: Authority) -> Script:
    secured = _secured(authority)

    async def script(peer: Peer) -> None:
        await peer.send(b"+OK\r\n")
        await peer.reader.readexactly(6)
        await peer.send(b"+OK\r\n")
        await secured(peer)

    return script


@pytest.mark.parametrize("scene", SCENES)
async def test_cancelled_anywhere_nothing_is_left_behind(
    scene: str, services: ServiceChecks, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancel after each number of turns of the loop: no watcher, descriptor or timer may outlive the check.

    (``no_socket_is_left_behind`` counts the descriptors.)
    """
    security, make = SCENES[scene]
    loop = asyncio.get_running_loop()
    watched: set[tuple[str, int]] = set()
    chance = random.Random(20261127)

    async def talk(channel: Channel, check: SecureCheck, trial: Trial) -> Failure | None:
        for _ in range(10):
            assert await channel.line() == b"x"
        await channel.send(b"done")
        return None

    _note_watchers(monkeypatch, loop, watched)
    finished = cancelled = 0
    async with serve(make(authority)) as server:
        check = SecureCheck(host="127.0.0.1", port=server.port, security=security)
        for turns in [*range(30), *(chance.randrange(30, 400) for _ in range(10))]:
            task = asyncio.create_task(services.check(check, 2.0, talk, trace=False))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                seen = await task
                assert seen.verdict is Verdict.UP, seen
                finished += 1
            except asyncio.CancelledError:
                cancelled += 1
            assert not watched
            assert not services._deadlines._buckets, "its timer is gone"
    assert cancelled
    assert finished or scene == "silence"


def _note_watchers(
    monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop, watched: set[tuple[str, int]]
) -> None:
    """Note who watches which descriptor, through the places that probers watch from."""

    class Noting:
        """The running loop, with its watchers noted."""

        def __getattr__(self, name: str) -> object:
            return getattr(loop, name)

        def add_reader(self, fd: int, *args: object) -> None:
            watched.add(("reader", fd))
            loop.add_reader(fd, *args)  # type: ignore[arg-type]

        def remove_reader(self, fd: int) -> bool:
            watched.discard(("reader", fd))
            return loop.remove_reader(fd)

        def add_writer(self, fd: int, *args: object) -> None:
            watched.add(("writer", fd))
            loop.add_writer(fd, *args)  # type: ignore[arg-type]

        def remove_writer(self, fd: int) -> bool:
            watched.discard(("writer", fd))
            return loop.remove_writer(fd)

    class Module:
        def __getattr__(self, name: str) -> object:
            return getattr(asyncio, name)

        def get_running_loop(self) -> Noting:
            return Noting()

    monkeypatch.setattr(waiting, "asyncio", Module())
    monkeypatch.setattr(connecting, "asyncio", Module())
