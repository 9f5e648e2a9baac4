"""What a server in place of a Redis can do to the check, on the wire."""

import asyncio

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import Security
from monitord.domain.kinds.redis import RedisCheck
from monitord.domain.secrets import Secret
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.redis import RedisProber
from monitord.probes.resolver import SystemResolver
from monitord.probes.tls import Tls
from tests.support.bounds import bounded
from tests.support.probing import service_checks
from tests.support.targets import Peer, Script, black_hole, serve, unused_port

PASSWORD = "correct horse battery"
SIGNED_IN = {"user": "app", "password": Secret(PASSWORD)}
TIMEOUT_S = 0.5


@pytest.fixture
def prober(tls: Tls) -> RedisProber:
    dialler = Dialler(EgressPolicy("private"), SystemResolver(2))
    return RedisProber(service_checks(dialler, tls))


async def probe(prober: RedisProber, port: int, timeout_s: float = TIMEOUT_S, **fields: object) -> Observation:
    check = RedisCheck(**({"host": "127.0.0.1", "port": port} | fields))  # type: ignore[arg-type]
    async with bounded(timeout_s):
        seen = await prober(check, timeout_s, trace=True)
    assert PASSWORD not in repr(seen)
    assert seen.message.isprintable()
    return seen


def saying(*parts: bytes, then: str = "silence", flood: bytes = b"") -> Script:
    """Wait for a command, say things, and then flood, close, reset or stay silent."""

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n")
        for part in parts:
            await peer.send(part)
        while flood:
            await peer.send(flood)
            await asyncio.sleep(0)
        if then == "reset":
            peer.reset()
        elif then == "silence":
            await peer.silence()

    return script


INVALID, CLOSED, REFUSED = Category.PROTOCOL_INVALID, Category.PROTOCOL_CLOSED, Category.PROTOCOL_REFUSED
AUTH, FAILED, REGEX = Category.AUTH_REFUSED, Category.QUERY_FAILED, Category.ASSERT_REGEX
TTFB, TOTAL = Category.TIMEOUT_TTFB, Category.TIMEOUT_TOTAL

CASES: dict[str, tuple[Script, Category | None, str]] = {
    "all is well": (saying(b"+PONG\r\n"), None, ""),
    "in pieces": (saying(b"+", b"PO", b"NG\r", b"\n"), None, ""),
    "RST": (saying(then="reset"), Category.CONNECT_RESET, ""),
    "silence": (saying(), TTFB, ""),
    "silence in a line": (saying(b"+PON"), TOTAL, ""),
    "silence in a string": (saying(b"$4\r\nPO"), TOTAL, ""),
    "silence in an array": (saying(b"*2\r\n+PONG\r\n"), TOTAL, ""),
    "closed at once": (saying(then="close"), CLOSED, "without an answer"),
    "closed in a string": (saying(b"$4\r\nPO", then="close"), CLOSED, "in the middle"),
    # Other protocols
    "HTTP": (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), INVALID, "which is HTTP"),
    "an SSH banner": (saying(b"SSH-2.0-OpenSSH_9.9\r\n"), INVALID, "which is SSH"),
    "TLS": (saying(b"\x15\x03\x01\0\x02\x02\x28"), INVALID, "which is TLS"),
    "MySQL": (saying(b"\x4a\0\0\0\x0a8.4.3\0" + bytes(80)), INVALID, "which is MySQL"),
    "garbage": (saying(b"\xff\xfe\0\x01\x02\x1b[31m" * 9), INVALID, ""),
    "an echo": (saying(b"*1\r\n$4\r\nPING\r\n"), REGEX, "'PING'"),
    # Lengths
    "an endless line": (saying(b"+", flood=b"x" * 65536), INVALID, "more than 4096 bytes"),
    "a string of 512 MiB": (saying(b"$536870912\r\nPONG", flood=b"x" * 65536), None, ""),
    "a string of 512 MiB that never comes": (saying(b"$536870912\r\n"), TOTAL, ""),
    "a length of 20 digits": (saying(b"$99999999999999999999\r\n"), INVALID, "as a length"),
    "a negative length": (saying(b"$-2\r\n"), INVALID, "as a length"),
    "a negative set": (saying(b"~-1\r\n"), INVALID, "negative"),
    "a length with a sign": (saying(b"$+4\r\nPONG\r\n"), INVALID, "as a length"),
    "a length with zeros": (saying(b"$04\r\nPONG\r\n"), INVALID, "as a length"),
    "no length": (saying(b"$\r\n"), INVALID, "as a length"),
    "a streamed string": (saying(b"$?\r\n;4\r\nPONG\r\n;0\r\n"), INVALID, "as a length"),
    "a string that goes on": (saying(b"$4\r\nPONGPONG\r\n"), INVALID, "end where it should"),
    "an array of 10^9": (saying(b"*1000000000\r\n"), INVALID, "more than 4096 elements"),
    "a map of 10^9": (saying(b"%1000000000\r\n"), INVALID, "more than 4096 elements"),
    "arrays that add up": (saying(b"*64\r\n" + b"*100\r\n" * 64), INVALID, "deep"),
    "an array of too many arrays": (saying(b"*2\r\n*4000\r\n" + b":1\r\n" * 4000 + b"*99\r\n"), INVALID, "4096"),
    "arrays 10^6 deep": (saying(b"*1\r\n" * 1_000_000), INVALID, "nested more than 8 deep"),
    "arrays without end": (saying(flood=b"*1\r\n" * 10_000), INVALID, "deep"),
    "an integer of 4000 digits": (saying(b":" + b"1" * 4000 + b"\r\n"), INVALID, "as a number"),
    "an integer that is none": (saying(b":1x\r\n"), INVALID, "as a number"),
    "an element that is none": (saying(b"*2\r\n+a\r\nx\r\n"), INVALID, "as an element"),
    "an empty element": (saying(b"*2\r\n\r\n\r\n"), INVALID, "as an element"),
    "a push within": (saying(b"*1\r\n>1\r\n+a\r\n"), INVALID, "as an element"),
    "pushes without end": (saying(flood=b">1\r\n+PONG\r\n"), INVALID, "nobody asked for"),
    "attributes without end": (saying(flood=b"|1\r\n+a\r\n+b\r\n"), INVALID, "nobody asked for"),
    "a push, and then the answer": (saying(b">2\r\n+invalidate\r\n_\r\n+PONG\r\n"), None, ""),
    # RESP3
    "a map": (saying(b"%2\r\n+a\r\n:1\r\n+PONG\r\n#t\r\n"), None, ""),
    "a verbatim text": (saying(b"=8\r\ntxt:PONG\r\n"), None, ""),
    "a verbatim text without a format": (saying(b"=4\r\nPONG\r\n"), INVALID, "without its format"),
    "a truth": (saying(b"#t\r\n"), REGEX, "'true'"),
    "a truth that is none": (saying(b"#x\r\n"), INVALID, "as a truth value"),
    "a double": (saying(b",1.5e3\r\n"), REGEX, "'1.5e3'"),
    "a double that is none": (saying(b",1.5.3\r\n"), INVALID, "as a number"),
    "a big number": (saying(b"(" + b"9" * 99 + b"\r\n"), REGEX, ""),
    "nothing": (saying(b"_\r\n"), REGEX, "nil"),
    "an error as a string": (saying(b"!21\r\nSYNTAX invalid syntax\r\n"), FAILED, "SYNTAX invalid syntax"),
    # Answers
    "nil": (saying(b"$-1\r\n"), REGEX, "nil"),
    "a nil array": (saying(b"*-1\r\n"), REGEX, "nil"),
    "an empty array": (saying(b"*0\r\n"), REGEX, "''"),
    "loading": (saying(b"-LOADING Redis is loading the dataset in memory\r\n"), REFUSED, "LOADING"),
    "no master": (saying(b"-MASTERDOWN Link with MASTER is down\r\n"), REFUSED, "MASTERDOWN"),
    "too many clients": (saying(b"-ERR max number of clients reached\r\n", then="close"), REFUSED, "max number"),
    "protected": (saying(b"-DENIED Redis is running in protected mode because\r\n"), REFUSED, "protected mode"),
    "no password": (saying(b"-NOAUTH Authentication required.\r\n"), AUTH, "wants a password"),
    "another node": (saying(b"-MOVED 3999 127.0.0.1:6381\r\n"), FAILED, "the key is on another"),
    "an error with controls": (saying(b"-ERR a\x1b[2Jb\xe2\x80\xae\r\n"), FAILED, ""),
    "an empty error": (saying(b"-\r\n"), FAILED, ""),
    "controls": (saying(b"+a\x1b[2Jb\xff\x00\r\n"), REGEX, ""),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_server_that_misbehaves(prober: RedisProber, case: str) -> None:
    script, category, words = CASES[case]
    async with serve(script) as server:
        seen = await probe(prober, server.port, expect="PONG")
    assert (seen.verdict, seen.category) == (Verdict.UP if category is None else Verdict.DOWN, category)
    assert words in seen.message


async def test_a_long_answer_is_looked_at_up_to_a_bound(prober: RedisProber) -> None:
    long = b"$70000\r\n" + b"x" * 69_996 + b"done\r\n"
    async with serve(saying(long)) as server:
        seen = await probe(prober, server.port, expect="done")
        assert (seen.verdict, seen.category) == (Verdict.DOWN, REGEX)
        assert "the first 64 KiB" in seen.message
        assert (await probe(prober, server.port, expect="^x+$")).verdict is Verdict.UP
    # The bound is that of all strings together.
    async with serve(saying(b"*3\r\n" + 2 * (b"$40000\r\n" + b"x" * 40_000 + b"\r\n"))) as server:
        seen = await probe(prober, server.port, expect="^x+\nx+$")
    assert (seen.verdict, seen.content_ok) == (Verdict.UP, True)
    assert seen.bytes_received < 90_000


async def test_nothing_listens_and_nobody_answers(prober: RedisProber) -> None:
    assert (await probe(prober, unused_port())).category is Category.CONNECT_REFUSED
    with black_hole() as port:
        assert (await probe(prober, port)).category is Category.CONNECT_TIMEOUT


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        (b"+OK\r\n+PONG\r\n", None),
        (b"-WRONGPASS invalid\r\n", AUTH),
        (b"-ERR invalid password\r\n", AUTH),
        (b"-NOAUTH HELLO must be called\r\n", AUTH),
        (b"-LOADING Redis is loading\r\n", REFUSED),
        (b"-ERR max number of clients reached\r\n", REFUSED),
        # Where AUTH has another name, the server quotes what it was sent.
        (b"-ERR unknown command 'AUTH', with args beginning with: 'app' '" + PASSWORD.encode() + b"' \r\n", AUTH),
        (b"*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$21\r\n" + PASSWORD.encode() + b"\r\n", INVALID),
        (PASSWORD.encode() + b"\r\n", INVALID),
        (PASSWORD.encode() * 999, INVALID),
        (b"+" + PASSWORD.encode() * 999, INVALID),
        (b"$9\r\n" + PASSWORD.encode(), INVALID),
        (b"+" + PASSWORD.encode() + b"\r\n", INVALID),
        (b"$-1\r\n", INVALID),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", INVALID),
        (b"", TTFB),
    ],
)
async def test_signing_in(prober: RedisProber, answer: bytes, category: Category | None) -> None:
    async with serve(saying(answer)) as server:
        seen = await probe(prober, server.port, **SIGNED_IN)
    assert (seen.verdict, seen.category) == (Verdict.UP if category is None else Verdict.DOWN, category)
    assert PASSWORD[:8] not in repr(seen)


async def test_what_is_sent(prober: RedisProber) -> None:
    """Words as strings of their own: none of them can end the command, or begin another."""
    heard: list[bytes] = []

    async def script(peer: Peer) -> None:
        for answer in (b"+OK\r\n", b"+OK\r\n", b"$1\r\nx\r\n"):
            heard.append(await peer.reader.read(4096))
            await peer.send(answer)
        await peer.silence()

    async with serve(script) as server:
        seen = await probe(prober, server.port, database=3, command="GET  jobs:käse", **SIGNED_IN)
    assert seen.verdict is Verdict.UP
    assert heard == [
        b"*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$21\r\n" + PASSWORD.encode() + b"\r\n",
        b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n",
        b"*2\r\n$3\r\nGET\r\n$10\r\n" + "jobs:käse".encode() + b"\r\n",
    ]


async def test_a_database_that_is_answered_oddly(prober: RedisProber) -> None:
    async with serve(saying(b":1\r\n")) as server:
        seen = await probe(prober, server.port, database=3)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, INVALID)


async def test_silence_in_the_handshake(prober: RedisProber) -> None:
    async with serve(Peer.silence) as server:
        seen = await probe(prober, server.port, security=Security.TLS)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_TIMEOUT)
