"""The conversation that most kinds of check are made of: its bounds, its ends, what is left when it is cancelled."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable

import pytest

from monitord.domain.check import Category, Verdict
from monitord.domain.connection import AddressFamily
from monitord.domain.target import parse_endpoint
from monitord.probes import channel as channels
from monitord.probes.channel import MAX_HANDSHAKE_BYTES, MAX_RECEIVED, Channel
from monitord.probes.deadline import Deadline, Deadlines
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.failure import Failure
from monitord.probes.resolver import SystemResolver
from monitord.probes.service import connect
from monitord.probes.tls import Tls
from monitord.probes.trial import StepError, Trial
from tests.support.authority import Authority
from tests.support.targets import Peer, Script, endlessly, saying, serve


class _Anything:
    address_family = AddressFamily.ANY


@contextlib.asynccontextmanager
async def talking(
    script: Script, *, timeout_s: float = 2.0, max_received: int = MAX_RECEIVED
) -> AsyncIterator[Channel]:
    """Yield a channel to a server that runs ``script``."""
    deadline = Deadlines().start(timeout_s)
    trial = Trial(deadline)
    async with serve(script) as server:
        dialler = Dialler(EgressPolicy("private"), SystemResolver(1))
        channel = await connect(dialler, parse_endpoint("127.0.0.1", server.port), _Anything(), trial)
        channel._max_received = max_received
        try:
            yield channel
        finally:
            channel.close()
            channel.close()
            deadline.close()


async def failing(awaitable: Awaitable[object]) -> Failure:
    with pytest.raises(StepError) as caught:
        await awaitable
    return caught.value.failure


async def test_lines_bytes_and_pieces_are_taken_in_turn() -> None:
    async with talking(saying(b"one\r", b"\ntwo\n\nfo", b"ur\r\n12345", b"rest")) as channel:
        assert [await channel.line() for _ in range(4)] == [b"one", b"two", b"", b"four"]
        assert await channel.exactly(0) == b""
        assert await channel.exactly(3) == b"123"
        assert await channel.receive(1) == b"4"
        rest = b""
        while piece := await channel.receive(2):
            assert len(piece) <= 2
            rest += piece
        assert rest == b"5rest"
        assert await channel.receive() == b"", "the end stays the end"
        assert (await failing(channel.line())).category is Category.PROTOCOL_CLOSED
        assert (await failing(channel.exactly(1))).category is Category.PROTOCOL_CLOSED


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_line_has_a_limit_to_the_byte(end: bytes, pieces: int) -> None:
    def sent(size: int) -> list[bytes]:
        whole = b"x" * size + end
        return [whole] if pieces == 1 else [whole[:size], whole[size:]]

    async with talking(saying(*sent(10), then="silence")) as channel:
        assert await channel.line(10) == b"x" * 10
    async with talking(saying(*sent(11), then="silence")) as channel:
        assert (await failing(channel.line(10))).category is Category.PROTOCOL_INVALID
    async with talking(saying(b"x" * 12, then="silence"), timeout_s=5) as channel:
        began_at = time.monotonic()
        assert (await failing(channel.line(10))).category is Category.PROTOCOL_INVALID
        assert time.monotonic() - began_at < 1, "no need to wait for its end"


async def test_no_more_is_received_than_allowed() -> None:
    async with talking(endlessly(b"x" * 10_000), max_received=100_000) as channel:
        assert len(await channel.exactly(100_000)) == 100_000
        failure = await failing(_drain(channel))
        assert (failure.category, "97 KiB" in failure.message) == (Category.BODY_TOO_LARGE, True)
        assert channel._trial.received <= 100_000 + 65_536, "one read more, to see that there is more"
    async with talking(saying(b"x" * 1_000, then="silence"), max_received=1_000) as channel:
        assert len(await channel.exactly(1_000)) == 1_000
    async with talking(saying(then="silence")) as channel:
        assert (await failing(channel.exactly(MAX_RECEIVED + 1))).category is Category.BODY_TOO_LARGE


async def _drain(channel: Channel) -> None:
    while await channel.receive():
        pass


async def test_a_flood_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wire is never empty: nothing but the turns lets anybody else run."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(channels, "_TURN", 4_096)
    async with talking(saying(then="silence")) as channel:
        _supply(channel, b"x" * 1_024)
        task = asyncio.create_task(other())
        try:
            await channel.exactly(500_000)
        finally:
            task.cancel()
    assert turns > 50


class _Supply:
    """A socket that always has something."""

    def __init__(self, piece: bytes) -> None:
        self.piece = piece

    def recv(self, size: int) -> bytes:
        return self.piece

    def close(self) -> None:
        pass


def _supply(channel: Channel, piece: bytes) -> None:
    """Let the wire never run dry."""
    channel._sock.close()
    channel._sock = _Supply(piece)  # type: ignore[assignment]


async def test_many_crumbs_cost_no_more_than_they_are() -> None:
    """A million bytes, a few at a time: copying the whole for each would take minutes."""
    async with talking(saying(then="silence"), timeout_s=30) as channel:
        _supply(channel, b"xy")
        began_at = time.process_time()
        await channel.exactly(1_000_000)
        assert time.process_time() - began_at < 5
    async with talking(saying(b"ab\n" * 20_000, then="silence")) as channel:
        await channel.exactly(3)
        began_at = time.process_time()
        for _ in range(19_999):
            assert await channel.line() == b"ab"
        assert time.process_time() - began_at < 1


async def test_the_time_is_over_in_the_middle_of_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(saying(then="silence"), timeout_s=0.05, max_received=1 << 40) as channel:
        monkeypatch.setattr(channel, "_max_wire", 1 << 40)
        _supply(channel, b"x" * 64)
        failure = await failing(_drain(channel))
    assert failure.category is Category.TIMEOUT_TOTAL


async def test_records_that_say_nothing_are_not_read_without_end(authority: Authority, tls: Tls) -> None:
    """Tickets are no conversation: without a bound on the wire a server could send them for ever."""

    async def script(peer: Peer) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = authority.server("127.0.0.1").wrap_bio(incoming, outgoing, server_side=True)
        with contextlib.suppress(ssl.SSLWantReadError):
            incoming.write(await peer.reader.read(4_096))
            server.do_handshake()
        await peer.send(outgoing.read())
        incoming.write(await peer.reader.read(4_096))
        server.do_handshake()
        await peer.send(outgoing.read())
        await peer.silence()

    async with talking(script, timeout_s=5) as channel:
        session = tls.session(channel.peer, verify=True, judge=True)
        await channel.start_tls(session)

        mute = _Mute()
        channel._session = mute  # type: ignore[assignment]
        _supply(channel, b"x" * 65_536)
        failure = await failing(channel.receive())
    assert failure.category is Category.BODY_TOO_LARGE
    assert mute.taken < 3 * MAX_RECEIVED


class _Mute:
    """A session that takes whatever comes for records without content, as OpenSSL does tickets."""

    closed, judge = False, True
    asked_for_certificate = shows_certificate = False
    server_name = "mute.example"

    def __init__(self, *, established: bool = True) -> None:
        self.established = established
        self.taken = 0

    def receive(self, data: bytes) -> bytes:
        self.taken += len(data)
        return b""

    def outgoing(self) -> bytes:
        return b""

    def leaf(self) -> None:
        return None

    def chain(self) -> list[bytes]:
        return []


async def test_a_handshake_is_not_read_without_end() -> None:
    async with talking(saying(then="silence"), timeout_s=5) as channel:
        mute = _Mute(established=False)
        _supply(channel, b"\x16\x03\x03" + bytes(10_000))
        failure = await failing(channel.start_tls(mute))  # type: ignore[arg-type]
    assert (failure.category, "longer than 256 KiB" in failure.message) == (Category.TLS_PROTOCOL, True)
    assert mute.taken <= MAX_HANDSHAKE_BYTES


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("script", "category"),
    [(saying(then="silence"), Category.TIMEOUT_TTFB), (saying(b"so", then="silence"), Category.TIMEOUT_TOTAL)],
)
async def test_the_end_of_time_by_what_was_waited_for(
    script: Script, category: Category, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expire = Deadline.expire
    monkeypatch.setattr(Deadline, "expire", lambda self, _: expire(self, late))
    async with talking(script, timeout_s=0.1) as channel:
        failure = await failing(channel.exactly(10))
        again = await failing(channel.exactly(10))
    expected = (Verdict.INCONCLUSIVE, Category.ENGINE_OVERLOAD) if late else (Verdict.DOWN, category)
    assert (failure.verdict, failure.category) == expected
    assert again == failure, "time stays over"


async def test_late_in_the_handshake_is_our_own_fault(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    expire = Deadline.expire
    monkeypatch.setattr(Deadline, "expire", lambda self, _: expire(self, True))
    async with talking(saying(then="silence"), timeout_s=0.1) as channel:
        failure = await failing(channel.start_tls(tls.session(channel.peer, verify=True, judge=True)))
    assert (failure.verdict, failure.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_OVERLOAD)


async def test_a_reset_that_sending_has_noticed_is_told_as_one() -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        peer.reset()
        gone.set()

    async with talking(script) as channel:
        await gone.wait()
        for _ in range(10):
            await channel.send(b"x")
        assert (await failing(channel.exactly(1))).category is Category.CONNECT_RESET


async def test_a_large_message_is_sent_whole_to_a_slow_reader() -> None:
    got: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        size = 0
        while size < 8_000_000:
            size += len(await peer.reader.read(65_536))
        got.set_result(size)

    async with talking(script, timeout_s=10) as channel:
        await channel.send(bytes(8_000_000))
        assert await asyncio.wait_for(got, 5) == 8_000_000


async def test_goodbye_in_the_same_packet_as_the_last_words_is_the_end(authority: Authority, tls: Tls) -> None:
    async def script(peer: Peer) -> None:
        await peer.secure(authority.server("127.0.0.1"), b"bye", goodbye=True)
        await peer.silence()

    async with talking(script) as channel:
        await channel.start_tls(tls.session(channel.peer, verify=True, judge=True))
        assert await channel.exactly(3) == b"bye"
        assert await channel.receive() == b""
