"""What a server in place of a Postgres can do to the check, on the wire."""

import asyncio
import base64
import hashlib
import hmac
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import Security
from monitord.domain.kinds.postgres import PostgresCheck
from monitord.domain.secrets import Secret
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.postgres import PostgresProber
from monitord.probes.resolver import SystemResolver
from monitord.probes.scram import MAX_ITERATIONS, Challenge, Scram
from monitord.probes.tls import Tls
from tests.support.authority import Authority
from tests.support.bounds import bounded
from tests.support.postgres_wire import (
    ANSWERED,
    BEGUN,
    NOTICE,
    PARSED,
    ROLLED_BACK,
    SIGNED_IN,
    WHOLE,
    authentication,
    error,
    message,
    ready,
    row,
    said,
    startup,
)
from tests.support.probing import service_checks
from tests.support.targets import Peer, Script, black_hole, serve, unused_port
from tests.support.tls_front import postgres_over_tls

PASSWORD = "correct horse battery"
ASKED = {"user": "app", "password": Secret(PASSWORD), "query": "SELECT state FROM jobs", "expect": "^done$"}
TIMEOUT_S = 0.5


@pytest.fixture
def prober(tls: Tls) -> PostgresProber:
    dialler = Dialler(EgressPolicy("private"), SystemResolver(2))
    return PostgresProber(service_checks(dialler, tls))


async def probe(prober: PostgresProber, port: int, timeout_s: float = TIMEOUT_S, **fields: object) -> Observation:
    check = PostgresCheck(**({"host": "127.0.0.1", "port": port} | fields))  # type: ignore[arg-type]
    async with bounded(timeout_s):
        seen = await prober(check, timeout_s, trace=True)
    assert PASSWORD not in repr(seen)
    assert seen.message.isprintable()
    return seen


def saying(*parts: bytes, then: str = "silence", flood: bytes = b"") -> Script:
    """Wait for the startup message, say things, and then flood, close, reset or stay silent."""

    async def script(peer: Peer) -> None:
        await startup(peer)
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


async def resetting_in_the_query(peer: Peer) -> None:
    await startup(peer)
    await peer.send(SIGNED_IN)
    await said(peer)
    await peer.send(BEGUN)
    await said(peer)
    peer.reset()


CLEAR, MD5, SASL = authentication(3), authentication(5, b"salt"), authentication(10, b"SCRAM-SHA-256\0\0")
INVALID, CLOSED, REFUSED = Category.PROTOCOL_INVALID, Category.PROTOCOL_CLOSED, Category.PROTOCOL_REFUSED
AUTH, FAILED, LARGE = Category.AUTH_REFUSED, Category.QUERY_FAILED, Category.BODY_TOO_LARGE
TTFB, TOTAL = Category.TIMEOUT_TTFB, Category.TIMEOUT_TOTAL

CASES: dict[str, tuple[Script, Category | None, str]] = {
    "all is well": (saying(WHOLE), None, ""),
    "RST": (saying(then="reset"), Category.CONNECT_RESET, "reset the connection"),
    "silence": (saying(), TTFB, "sent nothing"),
    "silence after a piece of a head": (saying(b"R\0"), TOTAL, ""),
    "silence after the sign-in": (saying(SIGNED_IN), TOTAL, ""),
    "silence in the query": (saying(SIGNED_IN, BEGUN, PARSED), TOTAL, ""),
    "silence before the rollback": (saying(SIGNED_IN, BEGUN, ANSWERED), TOTAL, ""),
    "closed at once": (saying(then="close"), CLOSED, "without an answer"),
    "closed in the sign-in": (saying(authentication(0), then="close"), CLOSED, "in the middle"),
    "closed in the query": (saying(SIGNED_IN, BEGUN, then="close"), CLOSED, ""),
    "reset in the query": (resetting_in_the_query, Category.CONNECT_RESET, ""),
    "truncated row": (saying(SIGNED_IN, BEGUN, PARSED, row(b"done")[:-2], then="close"), CLOSED, ""),
    # Other protocols
    "HTTP": (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), INVALID, "which is HTTP"),
    "an SSH banner": (saying(b"SSH-2.0-OpenSSH_9.9\r\n"), INVALID, "which is SSH"),
    "SMTP": (saying(b"220 mail.example ESMTP\r\n"), INVALID, "SMTP"),
    "MySQL": (saying(b"\x4a\0\0\0\x0a8.4.3\0" + bytes(80)), INVALID, "which is MySQL"),
    "Redis": (saying(b"-ERR unknown command\r\n"), INVALID, "which is Redis"),
    "memcached": (saying(b"ERROR\r\n"), INVALID, "does not speak Postgres"),
    "TLS": (saying(b"\x15\x03\x01\0\x02\x02\x28"), INVALID, "TLS"),
    "garbage": (saying(b"\xff\xfe\0\x01\x02\x1b[31m" * 9), INVALID, ""),
    "an old postmaster": (saying(b"Ecould not fork new process\n\0"), REFUSED, "overloaded"),
    # Lengths
    "a length of 2 GiB": (saying(b"R\x7f\xff\xff\xff"), INVALID, ""),
    "a negative length": (saying(b"R\xff\xff\xff\xff"), INVALID, ""),
    "a length that misses itself": (saying(b"R\0\0\0\x03"), INVALID, ""),
    "a row of 1 GiB": (saying(SIGNED_IN, BEGUN, PARSED, b"D\x40\0\0\0"), LARGE, "1024 KiB"),
    "a parameter of 1 MiB": (saying(authentication(0), b"S\0\x10\0\0"), INVALID, ""),
    "a column longer than its row": (
        saying(SIGNED_IN, BEGUN, PARSED, message("D", b"\0\x01\0\0\xff\xff")),
        INVALID,
        "an impossible length",
    ),
    "a column of negative length": (
        saying(SIGNED_IN, BEGUN, PARSED, message("D", b"\0\x01\xff\xff\xff\xfe")),
        INVALID,
        "an impossible length",
    ),
    "a row with a tail": (saying(SIGNED_IN, BEGUN, PARSED, message("D", b"\0\0tail")), INVALID, "longer"),
    "more columns than there are": (saying(SIGNED_IN, BEGUN, PARSED, message("D", b"\0\x09")), INVALID, "cut off"),
    "too many columns": (saying(SIGNED_IN, BEGUN, PARSED, message("D", b"\x7f\xff")), INVALID, "a count of columns"),
    "a short authentication": (saying(message("R", b"\0\0")), INVALID, ""),
    # Floods
    "notices without end": (saying(authentication(0), flood=NOTICE * 100), INVALID, "1000 messages"),
    "large notices without end": (saying(authentication(0), flood=message("N", bytes(60_000))), LARGE, ""),
    "notices without end, at once": (saying(flood=NOTICE * 100), INVALID, "1000 messages"),
    "rows without end": (saying(SIGNED_IN, BEGUN, PARSED, flood=row(b"done")), INVALID, "a second row"),
    "notifications in the query": (saying(SIGNED_IN, BEGUN, flood=message("A", b"\0" * 9)), INVALID, "1000 messages"),
    "an endless row": (saying(SIGNED_IN, BEGUN, PARSED, b"D\0\x0f\0\0", flood=bytes(65536)), INVALID, ""),
    # Authentication
    "ready before the sign-in": (saying(NOTICE, ready("I")), INVALID, "before it had asked"),
    "a key before the sign-in": (saying(NOTICE, message("K", bytes(8))), INVALID, ""),
    "a row in the sign-in": (saying(authentication(0), row(b"x")), INVALID, ""),
    "the clear, without TLS": (saying(CLEAR), AUTH, "the password in the clear"),
    "the clear, after MD5": (saying(MD5, CLEAR), INVALID, "a second request"),
    "the clear, after SCRAM began": (saying(SASL, CLEAR), INVALID, "a second request"),
    "MD5, after SCRAM began": (saying(SASL, MD5), INVALID, "a second request"),
    "MD5 twice": (saying(MD5, MD5), INVALID, "a second request"),
    "consent in the middle of SCRAM": (saying(SASL, authentication(0)), INVALID, "without proving"),
    "consent twice": (saying(authentication(0), authentication(0)), INVALID, "out of place"),
    "a salt of 3 bytes": (saying(authentication(5, b"abc")), INVALID, "salt"),
    "only what we can't": (saying(authentication(10, b"SCRAM-SHA-256-PLUS\0\0")), AUTH, "SCRAM-SHA-256"),
    "GSSAPI": (saying(authentication(7)), AUTH, "GSSAPI"),
    "an unknown way": (saying(authentication(99)), AUTH, "method 99"),
    "SCRAM without a beginning": (saying(authentication(11, b"r=x,s=eA==,i=1")), INVALID, "out of place"),
    # Refusals
    "starting up": (saying(error("57P03", "the database system is starting up")), REFUSED, "starting up (57P03)"),
    "too many": (saying(error("53300", "sorry, too many clients already")), REFUSED, "53300"),
    "too many, after the sign-in": (saying(MD5, error("53300", "too many")), REFUSED, "53300"),
    "an error that quotes the password": (saying(MD5, error("28P01", f"no {PASSWORD}")), AUTH, "<password>"),
    "an error with controls": (saying(MD5, error("28000", "a\x1b[2Jb\u202ec\n")), AUTH, "28000"),
    "an error without a code": (saying(message("E", b"SFATAL\0\0")), INVALID, "without a code"),
    "an endless error": (saying(error("28000", "x" * 60_000)), AUTH, ""),
    "an empty error": (saying(message("E")), INVALID, ""),
    "a pooler that is full": (saying(error("08P01", "no more connections allowed (max_client_conn)")), REFUSED, ""),
    # The query
    "no transaction": (saying(SIGNED_IN, message("C", b"BEGIN\0"), ready("I")), INVALID, "state"),
    "a state of nothing": (saying(SIGNED_IN, message("C", b"BEGIN\0"), message("Z")), INVALID, "state"),
    "shut down in the query": (saying(SIGNED_IN, BEGUN, error("57P01", "terminating"), ready("I")), REFUSED, "57P01"),
    "a copy out": (saying(SIGNED_IN, BEGUN, PARSED, message("H", b"\0\0\0")), FAILED, "COPY"),
    "a copy in": (saying(SIGNED_IN, BEGUN, PARSED, message("G", b"\0\0\0")), FAILED, "COPY"),
    "a copy both": (saying(SIGNED_IN, BEGUN, PARSED, message("W", b"\0\0\0")), FAILED, "COPY"),
    "a request to sign in, in the query": (saying(SIGNED_IN, BEGUN, PARSED, CLEAR), INVALID, ""),
    "an empty query": (saying(SIGNED_IN, BEGUN, PARSED, message("I"), ready("T")), TOTAL, ""),
    "the query quotes the password": (
        saying(SIGNED_IN, BEGUN, PARSED, row(PASSWORD.encode()), ready("T"), ROLLED_BACK),
        Category.ASSERT_REGEX,
        "<password>",
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_server_that_misbehaves(prober: PostgresProber, case: str) -> None:
    script, category, words = CASES[case]
    async with serve(script) as server:
        seen = await probe(prober, server.port, **ASKED)
    assert seen.verdict is (Verdict.UP if category is None else Verdict.DOWN)
    assert (seen.category, seen.message if category is None else "") == (category, "")
    assert words in seen.message


async def test_nothing_listens_and_nobody_answers(prober: PostgresProber) -> None:
    assert (await probe(prober, unused_port(), **ASKED)).category is Category.CONNECT_REFUSED
    with black_hole() as port:
        assert (await probe(prober, port, **ASKED)).category is Category.CONNECT_TIMEOUT


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        (authentication(0), None),
        (MD5, None),
        (SASL, None),
        (authentication(99), None),
        (NOTICE + authentication(0), None),
        (message("v", bytes(8)) + MD5, None),
        (error("28000", 'no pg_hba.conf entry for host "127.0.0.1"'), None),
        (error("28000", 'role "monitord" does not exist'), None),
        (error("3D000", 'database "monitord" does not exist'), None),
        (error("08P01", "no such user: monitord"), None),
        (error("57P03", "the database system is starting up"), REFUSED),
        (error("57P03", "the database system is shutting down"), REFUSED),
        (error("53300", "sorry, too many clients already"), REFUSED),
        (error("08P01", "no more connections allowed (max_client_conn)"), REFUSED),
        (error("XX000", "internal error"), REFUSED),
        (message("E", b"\0"), INVALID),
        (message("R", b"\0"), INVALID),
        (NOTICE + ready("I"), INVALID),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", INVALID),
    ],
)
async def test_knocking_without_a_user(prober: PostgresProber, answer: bytes, category: Category | None) -> None:
    async with serve(saying(answer)) as server:
        seen = await probe(prober, server.port)
    assert (seen.verdict, seen.category) == (Verdict.UP if category is None else Verdict.DOWN, category)


async def test_knocking_at_a_door_of_notices(prober: PostgresProber) -> None:
    async with serve(saying(flood=NOTICE)) as server:
        assert (await probe(prober, server.port)).category is INVALID


# SCRAM

Change = Callable[[str], str]


def scram(
    password: str = PASSWORD,
    *,
    iterations: str = "4096",
    change: Change = str,
    change_final: Change = str,
    again: bool = False,
) -> Script:
    """Play the server's part as RFC 5802 says, with its messages changed on the way."""

    async def script(peer: Peer) -> None:
        await startup(peer)
        await peer.send(SASL)
        _, body = await said(peer)
        first_bare = body[body.index(b"n,,") + 3 :].decode()
        nonce = first_bare.partition("r=")[2]
        server_first = change(f"r={nonce}more,s=c2FsdHNhbHQ=,i={iterations}")
        await peer.send(authentication(11, server_first.encode()))
        _, final = await said(peer)
        if again:
            await peer.send(authentication(11, server_first.encode()))
            await peer.silence()
        bare = final.decode().rpartition(",p=")[0]
        signed = f"{first_bare},{server_first},{bare}".encode()
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b"saltsalt", int(iterations))
        key = hmac.digest(salted, b"Server Key", "sha256")
        signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
        await peer.send(authentication(12, change_final(f"v={signature}").encode()) + WHOLE)
        await peer.silence()

    return script


SCRAM_CASES: dict[str, tuple[Script, Category | None, str]] = {
    "all is well": (scram(), None, ""),
    "a server that does not know the password": (scram("another"), INVALID, "prove that it knows the password"),
    "a signature of nothing": (scram(change_final=lambda _: "v="), INVALID, "a proof that is none"),
    "a signature that is no base64": (scram(change_final=lambda _: "v=a==="), INVALID, ""),
    "an error in place of a signature": (scram(change_final=lambda _: "e=other-error"), INVALID, ""),
    "an empty nonce": (
        scram(change=lambda first: "r=" + first[first.index(",") :]),
        INVALID,
        "a challenge that is none",
    ),
    "a nonce of its own": (scram(change=lambda first: "r=own" + first[first.index(",") :]), INVALID, "extend ours"),
    "our nonce, as it is": (scram(change=lambda first: first.replace("more", "")), INVALID, "extend ours"),
    "no salt": (scram(change=lambda first: first.replace("c2FsdHNhbHQ=", "")), INVALID, ""),
    "a salt that is none": (scram(change=lambda first: first.replace("c2FsdHNhbHQ=", "====")), INVALID, ""),
    "an extension that is mandatory": (scram(change=lambda first: "m=x," + first), INVALID, ""),
    "no iterations": (scram(change=lambda first: first.replace("i=4096", "i=0")), INVALID, ""),
    "negative iterations": (scram(change=lambda first: first.replace("i=4096", "i=-1")), INVALID, ""),
    "too many iterations": (scram(iterations=str(MAX_ITERATIONS + 1)), INVALID, "iterations"),
    "a number without end": (scram(change=lambda first: first + "0" * 3000), INVALID, ""),
    "a second challenge": (scram(again=True), INVALID, "out of place"),
}


@pytest.mark.parametrize("case", SCRAM_CASES)
async def test_scram(prober: PostgresProber, case: str) -> None:
    script, category, words = SCRAM_CASES[case]
    async with serve(script) as server:
        seen = await probe(prober, server.port, **ASKED)
    assert (seen.verdict, seen.category) == (Verdict.UP if category is None else Verdict.DOWN, category)
    assert words in seen.message
    assert seen.evidence is not None
    if category is not None:
        assert seen.evidence.body_excerpt == b""


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Proofs of the most iterations take until the end of the test: however quick this machine is."""
    end = threading.Event()
    computed = Scram.salted

    def salted(scram: Scram, challenge: Challenge) -> bytes:
        if challenge.iterations == MAX_ITERATIONS:
            end.wait(10)
        return computed(scram, Challenge(challenge.salt, min(challenge.iterations, 4096)))

    monkeypatch.setattr(Scram, "salted", salted)
    yield
    end.set()


@pytest.mark.usefixtures("stuck")
async def test_an_expensive_proof_stops_neither_the_loop_nor_the_deadline(prober: PostgresProber) -> None:
    async with serve(challenging(MAX_ITERATIONS)) as server:
        seen = await probe(prober, server.port, **ASKED)
    assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_OVERLOAD)
    assert "could not compute the proof" in seen.message


@pytest.mark.usefixtures("stuck")
async def test_expensive_proofs_delay_no_sign_in_that_is_cheap(prober: PostgresProber) -> None:
    """Several are asked for before the cheap one is (I11)."""
    asked = asyncio.Semaphore(0)
    async with serve(scram()) as good, serve(challenging(MAX_ITERATIONS, asked)) as bad:
        check = PostgresCheck(host="127.0.0.1", port=bad.port, **ASKED)  # type: ignore[arg-type]
        others = [asyncio.create_task(prober(check, 1.0)) for _ in range(3)]
        for _ in others:
            await asked.acquire()
        seen = await prober(PostgresCheck(host="127.0.0.1", port=good.port, **ASKED), 1.0)  # type: ignore[arg-type]
        verdicts = [await other for other in others]
    assert (seen.verdict, seen.message) == (Verdict.UP, "")
    assert {each.category for each in verdicts} == {Category.ENGINE_OVERLOAD}


def challenging(iterations: int, asked: asyncio.Semaphore | None = None) -> Script:
    """Ask for a proof, tell that it was asked for, and wait for it."""

    async def script(peer: Peer) -> None:
        await startup(peer)
        await peer.send(SASL)
        nonce = (await said(peer))[1].partition(b"r=")[2]
        await peer.send(authentication(11, b"r=" + nonce + b"more,s=c2FsdHNhbHQ=,i=%d" % iterations))
        if asked is not None:
            asked.release()
        await peer.silence()

    return script


# TLS


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        (b"N", Category.TLS_REQUIRED),
        (b"E", INVALID),
        (b"H", INVALID),
        (b"S" + b"R\0\0\0\x08\0\0\0\0", INVALID),
        (b"S" + b"HTTP/1.1 400 Bad Request\r\n", INVALID),
    ],
)
async def test_what_is_no_agreement_to_tls(prober: PostgresProber, answer: bytes, category: Category) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readexactly(8)
        await peer.send(answer)
        await peer.silence()

    async with serve(script) as server:
        seen = await probe(prober, server.port, security=Security.TLS, **ASKED)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, category)


async def test_silence_in_the_handshake(prober: PostgresProber) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"S")
        await peer.silence()

    async with serve(script) as server:
        seen = await probe(prober, server.port, security=Security.TLS, **ASKED)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_TIMEOUT)


async def test_the_password_goes_to_a_server_that_is_trusted_and_to_no_other(
    prober: PostgresProber, authority: Authority
) -> None:
    given: list[bytes] = []

    async def asking(peer: Peer) -> None:
        await startup(peer)
        await peer.send(CLEAR)
        given.append((await said(peer))[1])
        await peer.send(WHOLE)
        await peer.silence()

    async with postgres_over_tls(authority.server("127.0.0.1", self_signed=True), asking) as server:
        seen = await probe(prober, server.port, security=Security.TLS, **ASKED)
        assert (seen.category, given) == (Category.TLS_SELF_SIGNED, [])
    async with postgres_over_tls(authority.server("127.0.0.1"), asking) as server:
        seen = await probe(prober, server.port, security=Security.TLS, **ASKED)
    assert (seen.verdict, seen.message) == (Verdict.UP, "")
    assert given == [PASSWORD.encode() + b"\0"]


async def test_one_statement_alone_is_what_is_sent(prober: PostgresProber) -> None:
    """Parse, not a simple query: the server itself refuses a second statement."""
    heard: list[tuple[bytes, bytes]] = []

    async def script(peer: Peer) -> None:
        first = await startup(peer)
        assert first[:4] == struct.pack("!i", 196608)
        await peer.send(SIGNED_IN)
        heard.append(await said(peer))
        await peer.send(BEGUN)
        heard.extend([await said(peer) for _ in range(4)])
        await peer.send(ANSWERED)
        heard.append(await said(peer))
        await peer.send(ROLLED_BACK)
        heard.append(await said(peer))

    async with serve(script) as server:
        seen = await probe(prober, server.port, **(ASKED | {"query": "SELECT 1; DROP TABLE jobs"}))
    assert seen.verdict is Verdict.UP
    assert [kind for kind, _ in heard] == [b"Q", b"P", b"B", b"E", b"S", b"Q", b"X"]
    assert heard[0][1].startswith(b"BEGIN TRANSACTION READ ONLY;")
    assert heard[1][1] == b"\0SELECT 1; DROP TABLE jobs\0\0\0"
    assert heard[3][1] == b"\0" + struct.pack("!i", 1)
    assert heard[5][1] == b"ROLLBACK\0"
